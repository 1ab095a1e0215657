//! Contember's table `person_auth_log`, asked over PostgreSQL.
//!
//! A row comes as JSON with every column the table has, under the column's own name, so an older engine's table with
//! fewer columns and a newer one's with more are both read as they are. The columns and their order are those of
//! `packages/engine-tenant-api/src/migrations/snapshot.ts`; the tables of the tenant API are in the schema `tenant`.
//!
//! A window is walked by `(created_at, id)`, oldest first: a page begins behind the last row of the one before. So a page
//! is asked for by what was read and not by how much, and rows that come or go meanwhile move nothing. What commits late
//! has an early `created_at` (the default is the time its transaction began); looking back over the last stretch, and
//! comparing, are what finds it.

use crate::Reason;
use crate::pull::sql::{self, Database, Rows, Sql, Statement};
use crate::pull::{self, Answer, Ask, Config, Page, Pull, Trouble, Window};
use event::time;

/// The table `person_auth_log`.
#[derive(Debug)]
pub struct ContemberTable;

/// Rows of a page.
const LIMIT: usize = 500;
/// A row's JSON, at most; the largest record that can be stored is a quarter of it.
const MAX_ROW: usize = 4 << 20;
const SCHEMA: &str = "tenant";
const TABLE: &str = "person_auth_log";

impl Pull for ContemberTable {
    fn system(&self) -> &'static str {
        super::NAME
    }

    fn check(&self, config: &Config) -> Result<(), Reason> {
        pull::only(config, sql::SETTINGS, sql::SECRETS)?;
        Database::of(config)?;
        sql::quoted(config, "schema", SCHEMA).map(drop)
    }

    /// A week: the engine has no index on `created_at` alone, so that every page may read the whole table once.
    fn step(&self) -> i64 {
        7 * 86_400
    }

    fn sql(&self) -> Option<&dyn Sql> {
        Some(self)
    }

    fn ask(&self, _: &Config, _: &str, _: &str, _: Window, _: Option<&str>) -> Result<Ask, Reason> {
        Err(Reason::new("invalid_settings", "a database is not asked over HTTP"))
    }

    fn read(&self, _: Window, _: Option<&str>, _: &Answer<'_>, _: i64) -> Result<Page, Trouble> {
        Err(Trouble::Refused("a database does not answer over HTTP".into()))
    }
}

impl Sql for ContemberTable {
    fn statement(&self, config: &Config, window: Window, page: Option<&str>) -> Result<Statement, Reason> {
        let schema = sql::quoted(config, "schema", SCHEMA)?;
        let mut parameters = vec![time::format(window.from), time::format(window.to)];
        let behind = match page.and_then(Key::parse) {
            None => "",
            Some(key) => {
                parameters.extend([time::format(key.at), key.id]);
                " AND (created_at, id) > ($3::timestamptz, $4::uuid)"
            }
        };
        let text = format!(
            "SELECT CASE WHEN octet_length(doc) <= {MAX_ROW} THEN doc END, at, id FROM (\
             SELECT row_to_json(r)::text AS doc, (extract(epoch FROM r.created_at) * 1000000)::bigint::text AS at, \
             r.id::text AS id FROM (SELECT * FROM {schema}.\"{TABLE}\" \
             WHERE created_at >= $1::timestamptz AND created_at < $2::timestamptz{behind} \
             ORDER BY created_at, id LIMIT {LIMIT}) r ORDER BY r.created_at, r.id) page"
        );
        Ok(Statement { text, parameters })
    }

    fn rows(&self, window: Window, page: Option<&str>, rows: Rows) -> Result<Page, Trouble> {
        let mut last = page.and_then(Key::parse);
        let mut more = rows.cut || rows.list.len() >= LIMIT;
        let mut out = Page::default();
        for row in rows.list {
            let Ok([json, Some(at), Some(id)]) = <[Option<String>; 3]>::try_from(row) else {
                return Err(unusable());
            };
            let key = Key::parse(&format!("{at}/{id}")).ok_or_else(unusable)?;
            if key.at < window.from || key.at >= window.to || last.as_ref().is_some_and(|last| key <= *last) {
                return Err(unusable());
            }
            let at = key.at;
            out.passed = Some(pull::onward(window, at));
            last = Some(key);
            let Some(json) = json else {
                // The page ends here: it tells of one such row only.
                let lost = Window { from: at, to: at.saturating_add(1) };
                out.lost = Some((lost, "a row of person_auth_log is larger than 4 MiB"));
                more = true;
                break;
            };
            out.body.push(if out.count == 0 { '[' } else { ',' });
            out.body.push_str(&json);
            out.count += 1;
        }
        if out.count > 0 {
            out.body.push(']');
        }
        out.next = last.filter(|_| more).map(|key| key.text()).filter(|next| page != Some(next.as_str()));
        Ok(out)
    }
}

fn unusable() -> Trouble {
    Trouble::Later(None, "the answer is not the rows that were asked for, in order".into())
}

/// Where a row stands in the order of the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// `created_at`, microseconds since 1970 UTC.
    at: i64,
    /// `id`, as PostgreSQL prints a uuid: its texts have the order of its values.
    id: String,
}

impl Key {
    fn parse(text: &str) -> Option<Key> {
        let (at, id) = text.split_once('/')?;
        let dashes = [8, 13, 18, 23];
        let is_uuid = id.len() == 36
            && id.bytes().enumerate().all(|(n, b)| match b {
                b'-' => dashes.contains(&n),
                b'0'..=b'9' | b'a'..=b'f' => !dashes.contains(&n),
                _ => false,
            });
        is_uuid.then_some(())?;
        Some(Key { at: at.parse().ok()?, id: id.to_owned() })
    }

    fn text(&self) -> String {
        format!("{}/{}", self.at, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pull::sql::SslMode;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const HOUR: Window = Window { from: 1_795_176_000_000_000, to: 1_795_179_600_000_000 };

    fn config(more: Value) -> Config {
        let mut settings = json!({ "url": "postgresql://db.example:6432/tenant", "user": "indelible" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let Value::Object(settings) = settings else { unreachable!() };
        Config { settings, secrets: [("password".to_owned(), "hush".to_owned())].into() }
    }

    fn id(n: u8) -> String {
        format!("5b0c3f3e-0d7e-4a53-8f1a-0000000000{n:02x}")
    }

    fn row(at: i64, n: u8) -> Vec<Option<String>> {
        vec![Some(format!("{{\"id\":\"{}\"}}", id(n))), Some(at.to_string()), Some(id(n))]
    }

    #[test]
    fn settings_say_where_and_errors_what_is_wrong_and_no_secret() {
        let good = Database::of(&config(json!({}))).unwrap();
        assert_eq!((good.host.as_str(), good.port, good.name.as_str()), ("db.example", 6432, "tenant"));
        assert_eq!(good.tls, SslMode::VerifyFull, "if absent");
        assert!(!format!("{good:?}").contains("hush"));
        let six = Database::of(&config(json!({ "url": "postgres://[::1]/x", "sslmode": "disable" }))).unwrap();
        assert_eq!((six.host.as_str(), six.port), ("::1", 5432));
        for (settings, says) in [
            (json!({ "url": "postgresql://db.example" }), "host:port/database"),
            (json!({ "url": "postgresql://me:hush@db/x" }), "`secrets`"),
            (json!({ "url": "postgresql://db/x?sslmode=disable" }), "`sslmode`"),
            (json!({ "url": "postgresql://db:0/x" }), "host:port/database"),
            (json!({ "url": "postgresql:///x" }), "host:port/database"),
            (json!({ "user": "" }), "settings.user"),
            (json!({ "sslmode": "verify-ca" }), "verify-full"),
            (json!({ "sslmode": "require", "ca": "-----BEGIN" }), "verify-full"),
            (json!({ "schema": "s".repeat(64) }), "settings.schema"),
            (json!({ "token": "x" }), "settings.token"),
        ] {
            let refused = ContemberTable.check(&config(settings)).unwrap_err();
            assert!(refused.detail.contains(says) && !refused.detail.contains("hush"), "{}", refused.detail);
        }
        let mut without = config(json!({}));
        without.secrets.clear();
        assert!(ContemberTable.check(&without).unwrap_err().detail.contains("secrets.password"));
        let found = |c: &Config| pull::find("contember", &c.settings).is_some_and(|p| p.sql().is_some());
        assert!(found(&config(json!({}))) && !found(&config(json!({ "url": "https://x" }))));
    }

    #[test]
    fn a_page_is_asked_for_by_the_last_row_before_it() {
        let first = ContemberTable.statement(&config(json!({ "schema": "a\"b" })), HOUR, None).unwrap();
        assert!(first.text.contains("FROM \"a\"\"b\".\"person_auth_log\""), "{}", first.text);
        assert!(!first.text.to_lowercase().contains("offset") && first.parameters.len() == 2);
        let key = format!("{}/{}", HOUR.from + 7, id(3));
        let next = ContemberTable.statement(&config(json!({})), HOUR, Some(&key)).unwrap();
        assert_eq!(next.parameters[2..], [time::format(HOUR.from + 7), id(3)]);
        assert!(next.text.contains("(created_at, id) > ($3"), "{}", next.text);
        // A position that is none asks from the beginning; nothing of it gets into the statement.
        let other = ContemberTable.statement(&config(json!({})), HOUR, Some("1/' OR 1=1")).unwrap();
        assert_eq!(other.parameters.len(), 2);
    }

    #[test]
    fn rows_are_a_page_and_the_last_key_the_next() {
        let page = |page: Option<&str>, list: Vec<Vec<Option<String>>>, cut| {
            ContemberTable.rows(HOUR, page, Rows { list, cut })
        };
        let two = page(None, vec![row(HOUR.from, 1), row(HOUR.from, 2)], false).unwrap();
        assert_eq!((two.count, two.next), (2, None));
        assert_eq!(serde_json::from_str::<Value>(&two.body).unwrap()[1]["id"], json!(id(2)));
        let cut = page(None, vec![row(HOUR.from, 1)], true).unwrap();
        assert_eq!(cut.next.unwrap(), format!("{}/{}", HOUR.from, id(1)));
        let full: Vec<_> = (0..LIMIT).map(|n| row(HOUR.from + n as i64, 1)).collect();
        assert_eq!(page(None, full, false).unwrap().next.unwrap(), format!("{}/{}", HOUR.from + 499, id(1)));
        assert_eq!(page(None, vec![], false).unwrap(), Page::default());
        // A row too large to come is told of, and the one behind it is the next page's.
        let mut huge = row(HOUR.from + 5, 2);
        huge[0] = None;
        let lost = page(None, vec![row(HOUR.from, 1), huge, row(HOUR.from + 9, 1)], false).unwrap();
        assert_eq!((lost.count, lost.lost.unwrap().0), (1, Window { from: HOUR.from + 5, to: HOUR.from + 6 }));
        assert_eq!(lost.next.unwrap(), format!("{}/{}", HOUR.from + 5, id(2)));
        // Out of order, out of the window, of the wrong shape: asked for again, never believed.
        let key = format!("{}/{}", HOUR.from, id(2));
        for list in [
            vec![row(HOUR.from, 2), row(HOUR.from, 1)],
            vec![row(HOUR.to, 1)],
            vec![row(HOUR.from - 1, 1)],
            vec![vec![None, None]],
            vec![vec![Some("{}".into()), Some("now".into()), Some(id(1))]],
        ] {
            assert!(matches!(page(None, list, false), Err(Trouble::Later(..))));
        }
        assert!(page(Some(&key), vec![row(HOUR.from, 2)], false).is_err(), "the same row again");
    }

    proptest! {
        #[test]
        fn whatever_comes_back_never_panics_and_always_leads_on(
            list in proptest::collection::vec(proptest::collection::vec(proptest::option::of(".{0,40}"), 0..5), 0..4),
            start in -2i64..4, seconds in proptest::collection::vec((0i64..3_600, any::<u8>()), 0..8), cut: bool,
        ) {
            let _ = ContemberTable.rows(HOUR, Some("x"), Rows { list, cut });
            let mut keys: Vec<(i64, u8)> = seconds;
            keys.sort_unstable();
            let list = keys.iter().map(|(s, n)| row(HOUR.from + s * 1_000_000, *n)).collect();
            let page = format!("{}/{}", HOUR.from + start * 1_000_000, id(0));
            if let Ok(got) = ContemberTable.rows(HOUR, Some(&page), Rows { list, cut }) {
                prop_assert!(got.next.is_none_or(|next| Key::parse(&next) > Key::parse(&page)));
            }
        }
    }
}
