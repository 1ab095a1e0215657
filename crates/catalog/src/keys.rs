//! API keys: made, listed, revoked, and checked on every request.
//!
//! The live ones are in memory. A key is checked by looking up its id and comparing hashes in constant time; an
//! unknown id is compared too, against nothing, so the time of an answer does not tell which ids exist.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};
use subtle::ConstantTimeEq;

use crate::catalog::Catalog;
use crate::error::{Error, Result, Step, fixed, from_sql};
use crate::keytext::{self, new_key};
use crate::scopes::Scopes;
use crate::sum::Sum;

/// What is known of a key after it was made; not the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The public part of the key's text.
    pub id: String,
    /// The tenant it belongs to; `None` is the whole installation.
    pub tenant: Option<u32>,
    /// What people call it.
    pub name: String,
    /// What it allows.
    pub scopes: Scopes,
    /// The last four characters of its text, to tell keys apart.
    pub last4: String,
    /// When it was made, in microseconds since 1970 UTC.
    pub created_at: i64,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
}

/// Who a presented key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The key's id.
    pub key_id: Arc<str>,
    /// The key's name.
    pub name: Arc<str>,
    /// Its tenant; `None` is an administrator of the installation.
    pub tenant: Option<u32>,
    /// What it allows.
    pub scopes: Scopes,
}

/// The live keys, by id.
#[derive(Default)]
pub(crate) struct KeyCache(HashMap<Arc<str>, LiveKey>);

struct LiveKey {
    hash: [u8; 32],
    principal: Principal,
}

impl KeyCache {
    pub(crate) fn load(conn: &Connection) -> Step<Self> {
        let mut cache = Self::default();
        let mut query = conn.prepare(ALL_KEYS)?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let (key, hash) = key_row(row)?;
            if key.revoked_at.is_none() {
                cache.put(&key, hash);
            }
        }
        Ok(cache)
    }

    fn put(&mut self, key: &ApiKey, hash: [u8; 32]) {
        let key_id: Arc<str> = key.id.as_str().into();
        let principal = Principal {
            key_id: Arc::clone(&key_id),
            name: key.name.as_str().into(),
            tenant: key.tenant,
            scopes: key.scopes,
        };
        self.0.insert(key_id, LiveKey { hash, principal });
    }
}

impl Catalog {
    /// Who this key stands for; `None` when it is malformed, unknown, wrong or revoked. From memory.
    pub fn authenticate(&self, presented: &str) -> Option<Principal> {
        let (id, hash) = keytext::parse(presented)?;
        let keys = self.keys.read();
        match keys.0.get(id) {
            Some(key) => bool::from(key.hash.ct_eq(&hash)).then(|| key.principal.clone()),
            None => {
                let _ = std::hint::black_box([0; 32].ct_eq(&hash));
                None
            }
        }
    }

    /// Makes a key of a tenant, or with `None` of the installation. The second value is its full text, which is
    /// kept nowhere. When this returns, the key is durable and works.
    ///
    /// # Errors
    ///
    /// When there is no such tenant, the name breaks its rule, or it cannot be written.
    pub fn create_key(&self, tenant: Option<u32>, name: &str, scopes: Scopes, now: i64) -> Result<(ApiKey, String)> {
        if !(1..=200).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return Err(Error::InvalidKeyName);
        }
        if let Some(number) = tenant {
            self.known_tenant(number)?;
        }
        let new = new_key(self.db.disk())?;
        let key = ApiKey {
            id: new.id,
            tenant,
            name: name.into(),
            scopes,
            last4: new.last4,
            created_at: now,
            revoked_at: None,
        };
        self.db.write_then(
            "create a key",
            |tx| {
                tx.execute(
                    "INSERT INTO api_key (id, tenant, name, scopes, hash, last4, created_at, revoked_at, sum)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL, ?8)",
                    (
                        &key.id,
                        key.tenant,
                        &key.name,
                        key.scopes.to_string(),
                        new.hash,
                        &key.last4,
                        key.created_at,
                        key_sum(&key, &new.hash).done(),
                    ),
                )?;
                Ok(())
            },
            |()| self.keys.write().put(&key, new.hash),
        )?;
        Ok((key, new.text))
    }

    /// A tenant's keys, the revoked ones too, oldest first.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub fn keys(&self, tenant: u32) -> Result<Vec<ApiKey>> {
        self.keys_of(Some(tenant))
    }

    /// The installation's own keys, the revoked ones too, oldest first.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub fn administrator_keys(&self) -> Result<Vec<ApiKey>> {
        self.keys_of(None)
    }

    fn keys_of(&self, tenant: Option<u32>) -> Result<Vec<ApiKey>> {
        self.db.read("list keys", |conn| {
            let mut query = conn.prepare_cached(
                "SELECT id, tenant, name, scopes, hash, last4, created_at, revoked_at, sum FROM api_key
                 WHERE tenant IS ?1 ORDER BY created_at, id",
            )?;
            let mut rows = query.query([tenant])?;
            let mut keys = Vec::new();
            while let Some(row) = rows.next()? {
                keys.push(key_row(row)?.0);
            }
            Ok(keys)
        })
    }

    /// Revokes a key of this tenant (`None`: of the installation). `true` when there is such a key: it is revoked
    /// now, durably, and no longer works; a key revoked before keeps its first time. `false` when this tenant has
    /// no such key.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the key then still works.
    pub fn revoke_key(&self, tenant: Option<u32>, id: &str, now: i64) -> Result<bool> {
        self.db.write_then(
            "revoke a key",
            |tx| {
                let mut query = tx.prepare_cached(
                    "SELECT id, tenant, name, scopes, hash, last4, created_at, revoked_at, sum FROM api_key
                     WHERE id = ?1 AND tenant IS ?2",
                )?;
                let found = query.query_row((id, tenant), |row| Ok(key_row(row))).optional()?.transpose()?;
                let Some((mut key, hash)) = found else { return Ok(false) };
                if key.revoked_at.is_none() {
                    key.revoked_at = Some(now);
                    tx.execute(
                        "UPDATE api_key SET revoked_at = ?2, sum = ?3 WHERE id = ?1",
                        (id, now, key_sum(&key, &hash).done()),
                    )?;
                }
                Ok(true)
            },
            |revoked| {
                if revoked {
                    self.keys.write().0.remove(id);
                }
                revoked
            },
        )
    }
}

pub(crate) const ALL_KEYS: &str =
    "SELECT id, tenant, name, scopes, hash, last4, created_at, revoked_at, sum FROM api_key ORDER BY id";

pub(crate) fn key_row(row: &Row<'_>) -> Step<(ApiKey, [u8; 32])> {
    let id: String = row.get(0)?;
    let what = || format!("key {id:?}");
    let (scopes, hash): (String, Vec<u8>) = (row.get(3)?, row.get(4)?);
    let hash = fixed(&what(), &hash)?;
    let key = ApiKey {
        tenant: row.get::<_, Option<i64>>(1)?.map(|number| from_sql(&what(), number)).transpose()?,
        name: row.get(2)?,
        scopes: scopes.parse().map_err(|e: crate::UnknownScope| Error::damaged(what(), e.to_string()))?,
        last4: row.get(5)?,
        created_at: row.get(6)?,
        revoked_at: row.get(7)?,
        id: id.clone(),
    };
    key_sum(&key, &hash).expect(row.get(8)?, what)?;
    Ok((key, hash))
}

fn key_sum(key: &ApiKey, hash: &[u8; 32]) -> Sum {
    Sum::of("api_key")
        .text(&key.id)
        .opt(key.tenant.map(i64::from))
        .text(&key.name)
        .text(&key.scopes.to_string())
        .bytes(hash)
        .text(&key.last4)
        .int(key.created_at)
        .opt(key.revoked_at)
}
