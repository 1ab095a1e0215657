//! Personal salt keys: one random key per person and tenant, from which the salts of what is said about that
//! person derive. Destroying one erases the person; the records' proofs still hold.
//!
//! This module only keeps them: the ledger makes a key durable in the frame that first uses it, and it comes
//! here with the flush ([`Catalog::commit_store`]). The first key of a person stands.

use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use crate::catalog::Catalog;
use crate::error::{Result, Step, fixed, from_sql};
use crate::sum::Sum;

const ONE: &str = "SELECT tenant, person, secret, sum FROM person_key WHERE tenant = ?1 AND person = ?2";

impl Catalog {
    /// A person's key, if there is one.
    ///
    /// # Errors
    ///
    /// When it cannot be read or its checksum does not match.
    pub fn person_key(&self, tenant: u32, person: &[u8; 16]) -> Result<Option<[u8; 32]>> {
        self.db.read("read a personal key", |conn| find(conn, tenant, person))
    }

    /// Whether any person of a tenant has a key here.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn has_person_keys(&self, tenant: u32) -> Result<bool> {
        self.db.read("look for personal keys", |conn| {
            let mut query = conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM person_key WHERE tenant = ?1)")?;
            Ok(query.query_row([tenant], |row| row.get(0))?)
        })
    }

    /// The keys of many persons, of one moment, in the order asked.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read or its checksum does not match.
    pub fn person_keys(&self, wanted: &[(u32, [u8; 16])]) -> Result<Vec<Option<[u8; 32]>>> {
        self.db.read("read personal keys", |conn| {
            let moment = conn.unchecked_transaction()?;
            wanted.iter().map(|(tenant, person)| find(&moment, *tenant, person)).collect()
        })
    }

    /// Calls `f` with every person and key of a tenant, by person. `f` may read from the catalog; it must not
    /// close it.
    ///
    /// # Errors
    ///
    /// When they cannot be read; `f` has then seen only a part of them.
    pub fn for_each_person_key(&self, tenant: u32, mut f: impl FnMut(&[u8; 16], &[u8; 32])) -> Result<()> {
        self.db.read("read personal keys", |conn| {
            let mut query = conn.prepare_cached(
                "SELECT tenant, person, secret, sum FROM person_key WHERE tenant = ?1 ORDER BY person",
            )?;
            let mut rows = query.query([tenant])?;
            while let Some(row) = rows.next()? {
                let (_, person, key) = person_row(row)?;
                f(&person, &key);
            }
            Ok(())
        })
    }
}

fn find(conn: &Connection, tenant: u32, person: &[u8; 16]) -> Step<Option<[u8; 32]>> {
    let found = conn.prepare_cached(ONE)?.query_row((tenant, person), |row| Ok(person_row(row))).optional()?;
    Ok(found.transpose()?.map(|(_, _, key)| key))
}

/// Adds the keys of persons that have none.
pub(crate) fn insert_new(tx: &Transaction<'_>, keys: &[(u32, [u8; 16], [u8; 32])]) -> Step<()> {
    // Only the same person may be passed over; OR IGNORE would pass over every other constraint as well.
    let mut insert = tx.prepare_cached(
        "INSERT INTO person_key (tenant, person, secret, sum) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (tenant, person) DO NOTHING",
    )?;
    for (tenant, person, key) in keys {
        insert.execute((tenant, person, key, person_sum(*tenant, person, key).done()))?;
    }
    Ok(())
}

pub(crate) const ALL_PERSONS: &str = "SELECT tenant, person, secret, sum FROM person_key ORDER BY tenant, person";

pub(crate) fn person_row(row: &Row<'_>) -> Step<(u32, [u8; 16], [u8; 32])> {
    let number: i64 = row.get(0)?;
    let what = || format!("a personal key of tenant {number}");
    let (person, key): (Vec<u8>, Vec<u8>) = (row.get(1)?, row.get(2)?);
    let (tenant, person, key) = (from_sql(&what(), number)?, fixed(&what(), &person)?, fixed(&what(), &key)?);
    person_sum(tenant, &person, &key).expect(row.get(3)?, what)?;
    Ok((tenant, person, key))
}

fn person_sum(tenant: u32, person: &[u8; 16], key: &[u8; 32]) -> Sum {
    Sum::of("person_key").int(tenant.into()).bytes(person).bytes(key)
}
