//! The newest signed checkpoint of each tenant's ledger. The note is text to this module; whoever reads it
//! verifies its signature.
//!
//! Sizes never go back and one size never has two roots: what is shown to the outside cannot fork here.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::catalog::Catalog;
use crate::error::{Error, Result, Step, fixed, from_sql, to_sql};
use crate::sum::Sum;

/// Tenant, size, root, note.
type Stored = (u32, u64, [u8; 32], String);

impl Catalog {
    /// Keeps the newest checkpoints (tenant, size, root, signed note), all of them or none, durably. The note of
    /// an equal size and root may be replaced, as when a witness has signed it too.
    ///
    /// # Errors
    ///
    /// When a size goes back, a root contradicts the one of the same size, a tenant is unknown, or they cannot
    /// be written.
    pub fn put_checkpoints(&self, checkpoints: &[(u32, u64, [u8; 32], String)]) -> Result<()> {
        checkpoints.iter().try_for_each(|(tenant, ..)| self.known_tenant(*tenant))?;
        self.db.write("save checkpoints", |tx| {
            let mut insert = tx.prepare_cached(
                "INSERT INTO checkpoint (tenant, size, root, note, sum) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (tenant) DO UPDATE
                 SET size = excluded.size, root = excluded.root, note = excluded.note, sum = excluded.sum",
            )?;
            for (tenant, size, root, note) in checkpoints {
                let (tenant, size) = (*tenant, *size);
                if let Some((_, from, old_root, _)) = find(tx, tenant)? {
                    if size < from {
                        let what = format!("the checkpoint of tenant {tenant}");
                        return Err(Error::WentBack { what, from, to: size }.into());
                    }
                    if size == from && *root != old_root {
                        return Err(Error::CheckpointConflict { tenant, size }.into());
                    }
                }
                let size = to_sql("checkpoint size", size)?;
                insert.execute((tenant, size, root, note, checkpoint_sum(tenant, size, root, note).done()))?;
            }
            Ok(())
        })
    }

    /// A tenant's newest checkpoint: size, root, signed note.
    ///
    /// # Errors
    ///
    /// When it cannot be read or its checksum does not match.
    pub fn checkpoint(&self, tenant: u32) -> Result<Option<(u64, [u8; 32], String)>> {
        self.db
            .read("read a checkpoint", |conn| Ok(find(conn, tenant)?.map(|(_, size, root, note)| (size, root, note))))
    }
}

fn find(conn: &Connection, tenant: u32) -> Step<Option<Stored>> {
    let mut query = conn.prepare_cached("SELECT tenant, size, root, note, sum FROM checkpoint WHERE tenant = ?1")?;
    query.query_row([tenant], |row| Ok(checkpoint_row(row))).optional()?.transpose()
}

pub(crate) const ALL_CHECKPOINTS: &str = "SELECT tenant, size, root, note, sum FROM checkpoint ORDER BY tenant";

pub(crate) fn checkpoint_row(row: &Row<'_>) -> Step<Stored> {
    let (number, size): (i64, i64) = (row.get(0)?, row.get(1)?);
    let what = || format!("the checkpoint of tenant {number}");
    let (root, note): (Vec<u8>, String) = (row.get(2)?, row.get(3)?);
    let (tenant, root) = (from_sql(&what(), number)?, fixed(&what(), &root)?);
    checkpoint_sum(tenant, size, &root, &note).expect(row.get(4)?, what)?;
    Ok((tenant, from_sql(&what(), size)?, root, note))
}

fn checkpoint_sum(tenant: u32, size: i64, root: &[u8; 32], note: &str) -> Sum {
    Sum::of("checkpoint").int(tenant.into()).int(size).bytes(root).text(note)
}
