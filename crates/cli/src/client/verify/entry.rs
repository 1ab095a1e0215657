//! An entry's 47 bytes, and whose ledger an origin names, as an outsider reads them (`docs/formats/entry.md`).

use event::commit::{COMMITMENT_AT, ENTRY_LEN, ENTRY_VERSION, EntryKind};

/// Checks an entry's layout and gives its time in microseconds.
pub(super) fn read_entry(entry: &[u8]) -> Result<i64, String> {
    let entry: &[u8; ENTRY_LEN] =
        entry.try_into().map_err(|_| format!("has {} bytes, {ENTRY_LEN} are due", entry.len()))?;
    let [version, kind, t0, t1, t2, t3, t4, t5, t6, t7, .., o0, o1, o2, o3, count] = *entry;
    if version != ENTRY_VERSION {
        return Err(format!("has the version {version}, known is {ENTRY_VERSION}"));
    }
    if EntryKind::from_byte(kind).is_none() {
        return Err(format!("is of the unknown kind {kind}"));
    }
    let offset = u32::from_be_bytes([o0, o1, o2, o3]);
    if offset as usize != COMMITMENT_AT || count != 1 {
        return Err(format!("says {count} digests at {offset}, one at {COMMITMENT_AT} is due"));
    }
    let at = u64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
    // The last microsecond of the year 9999, the last that the time format can say.
    const END: u64 = 253_402_300_799_999_999;
    if at > END {
        return Err("has a time past the year 9999".to_owned());
    }
    Ok(at as i64)
}

/// Whether this origin names the ledger of this tenant.
pub(super) fn is_of(origin: &str, tenant: &str) -> bool {
    origin.strip_suffix(tenant).is_some_and(|host| host.ends_with("/t/") && host.len() > "/t/".len())
}
