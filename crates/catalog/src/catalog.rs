//! The handle: opening, what is kept in memory, and the free-form values of `meta`.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use disk::Disk;
use parking_lot::{Mutex, RwLock};
use rusqlite::{OptionalExtension, Row};

use crate::db::Db;
use crate::error::{Error, Result, Step};
use crate::ids::SegmentIds;
use crate::keys::KeyCache;
use crate::sum::Sum;
use crate::tenants::TenantCache;
use crate::vault::Vault;

/// An open catalog. Share it between threads; reads do not wait for writes.
pub struct Catalog {
    pub(crate) db: Db,
    pub(crate) tenants: RwLock<TenantCache>,
    pub(crate) keys: RwLock<KeyCache>,
    pub(crate) ids: Mutex<SegmentIds>,
    pub(crate) vault: Vault,
}

impl Catalog {
    /// Opens the catalog in `path`, creating it if there is none, and brings an older version up to date. When
    /// this returns, the file and its folder entry are durable.
    ///
    /// The caller holds the data folder's lock: a second process writing here would not be seen by this one's
    /// memory.
    ///
    /// # Errors
    ///
    /// When the file is not a catalog, is from a newer program, is damaged, or cannot be opened or created.
    pub fn open(disk: &Arc<dyn Disk>, path: &Path) -> Result<Self> {
        Self::load(Db::open(disk, path)?)
    }

    /// Opens an existing catalog to look at it. A catalog that was closed in good order is read without touching
    /// anything beside it; one with a write-ahead log is read through that log.
    ///
    /// The caller makes sure that no server starts on it meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Catalog::open`], and when there is no file or its version is older than this program's.
    pub fn open_read_only(disk: &Arc<dyn Disk>, path: &Path) -> Result<Self> {
        Self::load(Db::open_read_only(disk, path)?)
    }

    fn load(db: Db) -> Result<Self> {
        let (tenants, keys) =
            db.read("load tenants and keys", |conn| Ok((TenantCache::load(conn)?, KeyCache::load(conn)?)))?;
        Ok(Self {
            db,
            tenants: RwLock::new(tenants),
            keys: RwLock::new(keys),
            ids: Mutex::default(),
            vault: Vault::default(),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.db.path()
    }

    /// A new random key, from where the disk has them.
    ///
    /// # Errors
    ///
    /// When there are none.
    pub fn random_key(&self) -> Result<[u8; 32]> {
        crate::secret::random(self.db.disk())
    }

    /// As many of them as `keys` has room for, asked of the system at once.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub fn random_keys(&self, keys: &mut [[u8; 32]]) -> Result<()> {
        crate::secret::fill(self.db.disk(), keys.as_flattened_mut())
    }

    /// A named value, or `None` when it was never set.
    ///
    /// # Errors
    ///
    /// When it cannot be read or its checksum does not match.
    pub fn meta(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.db.read("read a named value", |conn| {
            let mut query = conn.prepare_cached("SELECT name, value, sum FROM meta WHERE name = ?1")?;
            let found = query.query_row([name], |row| Ok(meta_row(row))).optional()?;
            found.transpose().map(|found| found.map(|(_, value)| value))
        })
    }

    /// The same of a file that nobody has open, whatever its version, without changing it or its log; `None` too where there is no such
    /// file. Its checksum is not looked at: whoever uses the value opens the catalog.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn peek_meta(disk: &dyn Disk, path: &Path, name: &str) -> Result<Option<Vec<u8>>> {
        Db::peek(disk, path, name)
    }

    /// Sets a named value, durably.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn set_meta(&self, name: &str, value: &[u8]) -> Result<()> {
        self.db.write("save a named value", |tx| {
            let mut insert = tx.prepare_cached(
                "INSERT INTO meta (name, value, sum) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value, sum = excluded.sum",
            )?;
            insert.execute((name, value, meta_sum(name, value).done()))?;
            Ok(())
        })
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").field("path", &self.path()).finish_non_exhaustive()
    }
}

pub(crate) const ALL_META: &str = "SELECT name, value, sum FROM meta ORDER BY name";

pub(crate) fn meta_row(row: &Row<'_>) -> Step<(String, Vec<u8>)> {
    let (name, value, sum): (String, Vec<u8>, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
    meta_sum(&name, &value).expect(sum, || format!("value {name:?}"))?;
    Ok((name, value))
}

fn meta_sum(name: &str, value: &[u8]) -> Sum {
    Sum::of("meta").text(name).bytes(value)
}

// Shared by the tables whose rows belong to a tenant.
impl Catalog {
    pub(crate) fn known_tenant(&self, number: u32) -> Result<()> {
        match self.tenant_by_number(number) {
            Some(_) => Ok(()),
            None => Err(Error::UnknownTenant { tenant: number.to_string() }),
        }
    }
}
