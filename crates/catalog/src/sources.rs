//! Sources: the systems that a tenant's records come from or that are told things, what is needed to reach them, and
//! how far they were read.
//!
//! Owns the tables `source` and `source_state`. What settings mean is not known here, nor what a position is: they are
//! texts. Secrets are sealed ([`crate::vault`]) and leave only through [`Catalog::source_secret`].

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use crate::catalog::Catalog;
use crate::error::{Error, Result, Step, from_sql, to_sql};
use crate::sum::Sum;
use crate::tenants::is_slug;
use crate::vault::SecretText;

// Joined from the left: a state that is gone is damage, never "there is no source".
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT s.tenant, s.name, s.system, s.kind, s.settings, s.secret_names, s.secrets, s.created_at, ",
            "s.updated_at, s.sum, t.position, t.last_seen, t.received, t.duplicate, t.refused, t.sum ",
            "FROM source s LEFT JOIN source_state t ON t.tenant = s.tenant AND t.name = s.name ",
            $rest
        )
    };
}

/// Sources of one tenant.
pub const MAX_SOURCES: usize = 256;
/// The longest settings of a source, and the longest position.
pub const MAX_SOURCE_SETTINGS: usize = 64 * 1024;
/// The longest secret of a source.
pub const MAX_SECRET: usize = 16 * 1024;
/// Secrets of one source.
const MAX_SECRETS: usize = 32;

/// A source as it is to be.
#[derive(Debug, Clone)]
pub struct SourceSpec<'a> {
    /// What addresses call it: a slug, as a tenant's.
    pub name: &'a str,
    /// Whose shapes it has, such as `keycloak`.
    pub system: &'a str,
    /// What it is for: a word such as `push`, `pull` or `connector`.
    pub kind: &'a str,
    /// A JSON object. No secrets.
    pub settings: &'a str,
    /// All of its secrets, by name; what was there before is replaced.
    pub secrets: &'a BTreeMap<String, SecretText>,
}

/// A source as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The tenant's number.
    pub tenant: u32,
    /// See [`SourceSpec`].
    pub name: String,
    /// See [`SourceSpec`].
    pub system: String,
    /// See [`SourceSpec`].
    pub kind: String,
    /// See [`SourceSpec`].
    pub settings: String,
    /// The names of its secrets, in order.
    pub secrets: Vec<String>,
    /// When it was first put, in microseconds since 1970 UTC.
    pub created_at: i64,
    /// When it was last put.
    pub updated_at: i64,
    /// How far it was read. Every record before it is durable. `None` at the beginning.
    pub position: Option<String>,
    /// When it last answered, or last sent something.
    pub last_seen: Option<i64>,
    /// What came from it so far.
    pub counts: SourceCounts,
}

/// What came from a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Records, those that were there already included.
    pub received: u64,
    /// Of them, those that were there already.
    pub duplicate: u64,
    /// Of them, those that were refused.
    pub refused: u64,
}

/// What is new of a source.
#[derive(Debug, Clone, Copy, Default)]
pub struct SourceNews<'a> {
    /// Which one is meant: the `created_at` of the source that was read, so that one made anew under the same name
    /// meanwhile does not get its position. `None` means whichever has the name.
    pub made: Option<i64>,
    /// The position from now on; `None` leaves it.
    pub position: Option<&'a str>,
    /// When it was heard of; an older time than the one known is passed over.
    pub seen: Option<i64>,
    /// What came since, to be added.
    pub counts: SourceCounts,
}

impl SourceSpec<'_> {
    /// Whether it keeps the rules; nothing is written.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSource`] naming the rule. It never quotes a setting or a secret.
    pub fn check(&self) -> Result<()> {
        if !is_slug(self.name) {
            return Err(invalid("its name is 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends"));
        }
        for (what, word) in [("system", self.system), ("kind", self.kind)] {
            if !is_word(word) {
                return Err(invalid(format!("its {what} is a word of 1 to 63 of a-z, 0-9, - and _")));
            }
        }
        if self.settings.len() > MAX_SOURCE_SETTINGS {
            return Err(invalid(format!("its settings are longer than {MAX_SOURCE_SETTINGS} bytes")));
        }
        if !matches!(serde_json::from_str(self.settings), Ok(serde_json::Value::Object(_))) {
            return Err(invalid("its settings are not a JSON object"));
        }
        if self.secrets.len() > MAX_SECRETS {
            return Err(invalid(format!("it has more than {MAX_SECRETS} secrets")));
        }
        for (name, secret) in self.secrets {
            if !is_word(name) {
                return Err(invalid("the name of a secret is a word of 1 to 63 of a-z, 0-9, - and _"));
            }
            if !(1..=MAX_SECRET).contains(&secret.expose().len()) {
                return Err(invalid(format!("its secret `{name}` is empty or longer than {MAX_SECRET} bytes")));
            }
        }
        Ok(())
    }
}

impl Catalog {
    /// Makes a source (`true`) or changes it (`false`), durably. A changed one keeps position and counts, unless its
    /// system or kind is another: then it begins again.
    ///
    /// # Errors
    ///
    /// When there is no such tenant, something breaks its rule, there are [`MAX_SOURCES`] already, or it cannot be
    /// written.
    pub fn put_source(&self, tenant: u32, spec: &SourceSpec<'_>, now: i64) -> Result<(Source, bool)> {
        self.save_source(tenant, spec, now, false)
    }

    /// As [`Catalog::put_source`], where another thing stands behind the name from now on, so that nothing known of the
    /// old one holds: position, counts and what was compared begin again.
    ///
    /// # Errors
    ///
    /// As [`Catalog::put_source`].
    pub fn replace_source(&self, tenant: u32, spec: &SourceSpec<'_>, now: i64) -> Result<(Source, bool)> {
        self.save_source(tenant, spec, now, true)
    }

    fn save_source(&self, tenant: u32, spec: &SourceSpec<'_>, now: i64, anew: bool) -> Result<(Source, bool)> {
        self.known_tenant(tenant)?;
        spec.check()?;
        let names: Vec<&str> = spec.secrets.keys().map(String::as_str).collect();
        let plain: BTreeMap<&str, &str> = spec.secrets.iter().map(|(k, v)| (k.as_str(), v.expose())).collect();
        let plain = serde_json::to_string(&plain).map_err(|_| invalid("its secrets cannot be written as JSON"))?;
        let sealed = self.vault.seal(self.db.disk(), self.path(), &place(tenant, spec.name), &plain)?;
        self.db.write("save a source", |tx| {
            let old = find(tx, tenant, spec.name)?;
            if old.is_none() {
                let count: i64 =
                    tx.query_row("SELECT count(*) FROM source WHERE tenant = ?1", [tenant], |row| row.get(0))?;
                if usize::try_from(count).unwrap_or(usize::MAX) >= MAX_SOURCES {
                    return Err(invalid(format!("a tenant has {MAX_SOURCES} at most; remove one")).into());
                }
            }
            let created = old.is_none();
            let kept = old.filter(|o| !anew && o.system == spec.system && o.kind == spec.kind);
            if kept.is_none() && !created {
                tx.execute("DELETE FROM source_span WHERE tenant = ?1 AND name = ?2", (tenant, spec.name))?;
                tx.execute("DELETE FROM source_gap WHERE tenant = ?1 AND name = ?2", (tenant, spec.name))?;
            }
            let mut source = kept.unwrap_or_else(|| Source {
                tenant,
                name: spec.name.into(),
                system: spec.system.into(),
                kind: spec.kind.into(),
                settings: String::new(),
                secrets: Vec::new(),
                created_at: now,
                updated_at: now,
                position: None,
                last_seen: None,
                counts: SourceCounts::default(),
            });
            source.settings = spec.settings.into();
            source.secrets = names.iter().map(|n| (*n).to_owned()).collect();
            source.updated_at = now;
            tx.prepare_cached(
                "INSERT INTO source (tenant, name, system, kind, settings, secret_names, secrets, created_at, updated_at, sum)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                 ON CONFLICT (tenant, name) DO UPDATE SET system = excluded.system, kind = excluded.kind,
                 settings = excluded.settings, secret_names = excluded.secret_names, secrets = excluded.secrets,
                 created_at = excluded.created_at, updated_at = excluded.updated_at, sum = excluded.sum",
            )?
            .execute((
                tenant,
                &source.name,
                &source.system,
                &source.kind,
                &source.settings,
                names.join(","),
                &sealed,
                source.created_at,
                now,
                source_sum(&source, &sealed).done(),
            ))?;
            put_state(tx, &source)?;
            Ok((source, created))
        })
    }

    /// The source of this name.
    ///
    /// # Errors
    ///
    /// When it cannot be read or its checksum does not match.
    pub fn source(&self, tenant: u32, name: &str) -> Result<Option<Source>> {
        self.db.read("read a source", |conn| find(conn, tenant, name))
    }

    /// A tenant's sources, by name.
    ///
    /// # Errors
    ///
    /// As [`Catalog::source`].
    pub fn sources(&self, tenant: u32) -> Result<Vec<Source>> {
        self.db.read("read the sources", |conn| {
            let mut query = conn.prepare_cached(select!("WHERE s.tenant = ?1 ORDER BY s.name"))?;
            collect(&mut query.query([tenant])?)
        })
    }

    /// Every tenant's sources.
    ///
    /// # Errors
    ///
    /// As [`Catalog::source`].
    pub fn all_sources(&self) -> Result<Vec<Source>> {
        self.db.read("read the sources", |conn| collect(&mut conn.prepare_cached(ALL_SOURCES)?.query([])?))
    }

    /// One secret of a source; `None` where there is no such source or secret.
    ///
    /// # Errors
    ///
    /// As [`Catalog::source_secrets`].
    pub fn source_secret(&self, tenant: u32, name: &str, secret: &str) -> Result<Option<SecretText>> {
        Ok(self.source_secrets(tenant, name)?.remove(secret))
    }

    /// The secrets of a source, by name; none where there is no such source.
    ///
    /// # Errors
    ///
    /// When they cannot be read, or do not open with the key beside the catalog.
    pub fn source_secrets(&self, tenant: u32, name: &str) -> Result<BTreeMap<String, SecretText>> {
        let sealed: Option<Vec<u8>> = self.db.read("read a source's secrets", |conn| {
            let mut query = conn.prepare_cached("SELECT secrets FROM source WHERE tenant = ?1 AND name = ?2")?;
            Ok(query.query_row((tenant, name), |row| row.get(0)).optional()?)
        })?;
        let Some(sealed) = sealed else { return Ok(BTreeMap::new()) };
        let place = place(tenant, name);
        let plain = self.vault.open(self.db.disk(), self.path(), &place, &sealed)?;
        let all: BTreeMap<String, String> = serde_json::from_str(plain.expose())
            .map_err(|_| Error::damaged(format!("the secrets of {place}"), "they are not what was written"))?;
        Ok(all.into_iter().map(|(name, text)| (name, SecretText::new(text))).collect())
    }

    /// Removes a source, its secrets and its position, durably; says whether there was one.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn delete_source(&self, tenant: u32, name: &str) -> Result<bool> {
        self.db.write("remove a source", |tx| {
            Ok(tx.execute("DELETE FROM source WHERE tenant = ?1 AND name = ?2", (tenant, name))? > 0)
        })
    }

    /// Adds what is new of a source, durably: one transaction and one sync, so gather before calling. Call it with a
    /// position only after the records before that position are durable. Says `false` where the source is gone
    /// or another one.
    ///
    /// # Errors
    ///
    /// When the position is too long, or it cannot be read or written.
    pub fn note_source(&self, tenant: u32, name: &str, news: &SourceNews<'_>) -> Result<bool> {
        if news.position.is_some_and(|p| p.len() > MAX_SOURCE_SETTINGS) {
            return Err(invalid(format!("its position is longer than {MAX_SOURCE_SETTINGS} bytes")));
        }
        self.db.write("save how far a source was read", |tx| {
            let Some(mut source) = find(tx, tenant, name)? else { return Ok(false) };
            if news.made.is_some_and(|made| made != source.created_at) {
                return Ok(false);
            }
            if let Some(position) = news.position {
                source.position = Some(position.to_owned());
            }
            source.last_seen = source.last_seen.max(news.seen);
            let (counts, add) = (&mut source.counts, &news.counts);
            counts.received = counts.received.saturating_add(add.received);
            counts.duplicate = counts.duplicate.saturating_add(add.duplicate);
            counts.refused = counts.refused.saturating_add(add.refused);
            put_state(tx, &source)?;
            Ok(true)
        })
    }
}

pub(crate) const ALL_SOURCES: &str = select!("ORDER BY s.tenant, s.name");

fn find(conn: &Connection, tenant: u32, name: &str) -> Step<Option<Source>> {
    let mut query = conn.prepare_cached(select!("WHERE s.tenant = ?1 AND s.name = ?2"))?;
    let mut rows = query.query((tenant, name))?;
    rows.next()?.map(source_row).transpose()
}

fn collect(rows: &mut rusqlite::Rows<'_>) -> Step<Vec<Source>> {
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(source_row(row)?);
    }
    Ok(all)
}

pub(crate) fn source_row(row: &Row<'_>) -> Step<Source> {
    let (number, name): (i64, String) = (row.get(0)?, row.get(1)?);
    let what = || format!("source {name:?} of tenant {number}");
    let names: String = row.get(5)?;
    let sealed: Vec<u8> = row.get(6)?;
    let Some(sum) = row.get::<_, Option<i64>>(15)? else {
        return Err(Error::damaged(what(), "it has no row in source_state").into());
    };
    let count = |at: usize| -> Step<u64> { Ok(from_sql(&what(), row.get(at)?)?) };
    let source = Source {
        tenant: from_sql(&what(), number)?,
        system: row.get(2)?,
        kind: row.get(3)?,
        settings: row.get(4)?,
        secrets: names.split(',').filter(|n| !n.is_empty()).map(str::to_owned).collect(),
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
        position: row.get(10)?,
        last_seen: row.get(11)?,
        counts: SourceCounts { received: count(12)?, duplicate: count(13)?, refused: count(14)? },
        name: name.clone(),
    };
    source_sum(&source, &sealed).expect(row.get(9)?, what)?;
    state_sum(&source)?.expect(sum, what)?;
    Ok(source)
}

fn put_state(tx: &Transaction<'_>, source: &Source) -> Step<()> {
    let counts = &source.counts;
    tx.prepare_cached(
        "INSERT INTO source_state (tenant, name, position, last_seen, received, duplicate, refused, sum)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (tenant, name) DO UPDATE SET position = excluded.position, last_seen = excluded.last_seen,
         received = excluded.received, duplicate = excluded.duplicate, refused = excluded.refused, sum = excluded.sum",
    )?
    .execute((
        source.tenant,
        &source.name,
        &source.position,
        source.last_seen,
        to_sql("records received", counts.received)?,
        to_sql("records received twice", counts.duplicate)?,
        to_sql("records refused", counts.refused)?,
        state_sum(source)?.done(),
    ))?;
    Ok(())
}

fn source_sum(source: &Source, sealed: &[u8]) -> Sum {
    Sum::of("source")
        .int(source.tenant.into())
        .text(&source.name)
        .text(&source.system)
        .text(&source.kind)
        .text(&source.settings)
        .text(&source.secrets.join(","))
        .bytes(sealed)
        .int(source.created_at)
        .int(source.updated_at)
}

fn state_sum(source: &Source) -> Result<Sum> {
    let counts = &source.counts;
    let sum = Sum::of("source_state").int(source.tenant.into()).text(&source.name);
    let sum = match &source.position {
        Some(position) => sum.text(position),
        None => sum.opt(None),
    };
    Ok(sum
        .opt(source.last_seen)
        .int(to_sql("records received", counts.received)?)
        .int(to_sql("records received twice", counts.duplicate)?)
        .int(to_sql("records refused", counts.refused)?))
}

/// What a source's secrets are sealed for.
fn place(tenant: u32, name: &str) -> String {
    format!("source {tenant}/{name}")
}

fn invalid(reason: impl Into<String>) -> Error {
    Error::InvalidSource { reason: reason.into() }
}

fn is_word(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}
