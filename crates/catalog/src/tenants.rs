//! Tenants: a number for every stored row, a name for people and addresses, settings, and a key for salts.
//!
//! All of them are in memory, because the name of one is in every request.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};

use crate::catalog::Catalog;
use crate::error::{Error, Result, Step, fixed, from_sql};
use crate::secret::SecretKey;
use crate::sum::Sum;

/// The longest settings text.
pub const MAX_SETTINGS_BYTES: usize = 256 * 1024;

/// One tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// What stored rows call it: from 1, never given twice.
    pub number: u32,
    /// What people and addresses call it.
    pub slug: String,
    /// A JSON object, as it was given.
    pub settings: String,
    /// What the salts of its records derive from where no person is concerned.
    pub key: SecretKey,
    /// When it was created, in microseconds since 1970 UTC.
    pub created_at: i64,
}

#[derive(Default)]
pub(crate) struct TenantCache {
    by_slug: HashMap<String, Arc<Tenant>>,
    by_number: BTreeMap<u32, Arc<Tenant>>,
}

impl TenantCache {
    pub(crate) fn load(conn: &Connection) -> Step<Self> {
        let mut cache = Self::default();
        let mut query = conn.prepare(ALL_TENANTS)?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            cache.put(&Arc::new(tenant_row(row)?));
        }
        Ok(cache)
    }

    fn put(&mut self, tenant: &Arc<Tenant>) {
        self.by_slug.insert(tenant.slug.clone(), Arc::clone(tenant));
        self.by_number.insert(tenant.number, Arc::clone(tenant));
    }
}

impl Catalog {
    /// The tenant of this name; from memory.
    pub fn tenant(&self, slug: &str) -> Option<Arc<Tenant>> {
        self.tenants.read().by_slug.get(slug).map(Arc::clone)
    }

    /// The tenant of this number; from memory.
    pub fn tenant_by_number(&self, number: u32) -> Option<Arc<Tenant>> {
        self.tenants.read().by_number.get(&number).map(Arc::clone)
    }

    /// All tenants, by number.
    pub fn tenants(&self) -> Vec<Arc<Tenant>> {
        self.tenants.read().by_number.values().map(Arc::clone).collect()
    }

    /// Creates a tenant and says `true`, or gives back the one that has this name, its settings untouched, and
    /// says `false`. When this returns, it is durable.
    ///
    /// # Errors
    ///
    /// When the name or the settings break their rules, or it cannot be written.
    pub fn create_tenant(&self, slug: &str, settings: &str, now: i64) -> Result<(Arc<Tenant>, bool)> {
        check_slug(slug)?;
        if let Some(tenant) = self.tenant(slug) {
            return Ok((tenant, false));
        }
        check_settings(settings)?;
        let key = SecretKey::random(self.db.disk())?;
        self.db.write_then(
            "create a tenant",
            |tx| {
                // Another writer may have been first; memory follows each commit before the next begins.
                if let Some(tenant) = self.tenant(slug) {
                    return Ok((tenant, false));
                }
                let last: i64 = tx.query_row("SELECT coalesce(max(number), 0) FROM tenant", [], |row| row.get(0))?;
                let number = u32::try_from(last).ok().and_then(|last| last.checked_add(1));
                let number = number.ok_or(Error::TenantsExhausted)?;
                let tenant = Tenant { number, slug: slug.into(), settings: settings.into(), key, created_at: now };
                tx.execute(
                    "INSERT INTO tenant (number, slug, settings, secret, created_at, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    (number, slug, settings, tenant.key.expose(), now, tenant_sum(&tenant).done()),
                )?;
                Ok((Arc::new(tenant), true))
            },
            |(tenant, created)| {
                if created {
                    self.tenants.write().put(&tenant);
                }
                (tenant, created)
            },
        )
    }

    /// Replaces a tenant's settings, durably, and gives back the tenant as it is now.
    ///
    /// # Errors
    ///
    /// When there is no such tenant, the settings break their rule, or they cannot be written.
    pub fn update_settings(&self, slug: &str, settings: &str) -> Result<Arc<Tenant>> {
        check_slug(slug)?;
        check_settings(settings)?;
        self.db.write_then(
            "save a tenant's settings",
            |tx| {
                let found = tx
                    .prepare_cached(
                        "SELECT number, slug, settings, secret, created_at, sum FROM tenant WHERE slug = ?1",
                    )?
                    .query_row([slug], |row| Ok(tenant_row(row)))
                    .optional()?;
                let mut tenant = found.transpose()?.ok_or_else(|| Error::UnknownTenant { tenant: slug.into() })?;
                tenant.settings = settings.into();
                tx.execute(
                    "UPDATE tenant SET settings = ?2, sum = ?3 WHERE number = ?1",
                    (tenant.number, settings, tenant_sum(&tenant).done()),
                )?;
                Ok(Arc::new(tenant))
            },
            |tenant| {
                self.tenants.write().put(&tenant);
                tenant
            },
        )
    }
}

pub(crate) const ALL_TENANTS: &str =
    "SELECT number, slug, settings, secret, created_at, sum FROM tenant ORDER BY number";

pub(crate) fn tenant_row(row: &Row<'_>) -> Step<Tenant> {
    let number: i64 = row.get(0)?;
    let what = || format!("tenant {number}");
    let secret: Vec<u8> = row.get(3)?;
    let tenant = Tenant {
        number: from_sql(&what(), number)?,
        slug: row.get(1)?,
        settings: row.get(2)?,
        key: SecretKey::new(fixed(&what(), &secret)?),
        created_at: row.get(4)?,
    };
    tenant_sum(&tenant).expect(row.get(5)?, what)?;
    Ok(tenant)
}

fn tenant_sum(tenant: &Tenant) -> Sum {
    Sum::of("tenant")
        .int(tenant.number.into())
        .text(&tenant.slug)
        .text(&tenant.settings)
        .bytes(tenant.key.expose())
        .int(tenant.created_at)
}

/// Whether a text is 1 to 63 of a-z, 0-9 and `-`, with a letter or digit at both ends.
pub(crate) fn is_slug(slug: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = slug.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|b| alphanumeric(b) || *b == b'-')
        && bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
}

fn check_slug(slug: &str) -> Result<()> {
    if is_slug(slug) { Ok(()) } else { Err(Error::InvalidSlug { slug: slug.chars().take(80).collect() }) }
}

/// The error says where and of what sort, never what is written there: settings may hold a secret.
fn check_settings(settings: &str) -> Result<()> {
    let invalid = |reason| Err(Error::InvalidSettings { reason });
    if settings.len() > MAX_SETTINGS_BYTES {
        return invalid(format!("{} bytes, and {MAX_SETTINGS_BYTES} are allowed", settings.len()));
    }
    match serde_json::from_str::<serde_json::Value>(settings) {
        Ok(serde_json::Value::Object(_)) => Ok(()),
        Ok(_) => invalid("they must be a JSON object".into()),
        Err(e) => invalid(format!("not JSON at line {} column {}", e.line(), e.column())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slug_rule() {
        let long = "a".repeat(63);
        for good in ["a", "0", "a-b", "a--b", "tenant-1", long.as_str()] {
            assert!(check_slug(good).is_ok(), "{good}");
        }
        let longer = "a".repeat(64);
        for bad in ["", "-", "-a", "a-", "A", "a_b", "a.b", "a/b", "ä", "a b", "a\n", longer.as_str()] {
            let error = check_slug(bad).unwrap_err();
            assert!(error.to_string().contains("1 to 63"), "{error}");
        }
    }

    #[test]
    fn settings_are_an_object_and_are_never_quoted() {
        assert!(check_settings("{}").is_ok());
        for bad in ["", "[]", "\"s3cret\"", "{\"a\": s3cret}", "{} x", "s3cret"] {
            let error = check_settings(bad).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
        assert!(check_settings(&format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_SETTINGS_BYTES))).is_err());
    }
}
