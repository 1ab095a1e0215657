//! What the disk can do: no durable figure can be read without it.
//!
//! Owns: timing `write` + `fdatasync` of an appended-to file. Not here: anything of ours.

use std::{fs::File, io::Write, path::Path, time::Instant};

use serde_json::{Map, Value, json};

use super::{Fault, latencies, members, micros};

/// Appends `times` times 4 KiB, then 64 KiB, then 512 KiB (about a batch), each followed by `fdatasync`; a line for each size.
///
/// # Errors
/// The folder cannot be written to.
pub fn fdatasync(dir: &Path, times: u32) -> Result<Vec<Map<String, Value>>, Fault> {
    let path = dir.join(format!(".indelible-bench-{}", std::process::id()));
    let what = |error| format!("cannot probe the disk under {}: {error}", dir.display());
    let mut file = File::create_new(&path).map_err(what)?;
    let mut lines = Vec::new();
    let mut measure = |bytes: usize| -> std::io::Result<()> {
        // Not zeros: some disks and file systems store those for free.
        let block: Vec<u8> = (0..bytes as u64).map(|at| super::tables::mix(at) as u8).collect();
        let mut taken = Vec::new();
        for _ in 0..times {
            let started = Instant::now();
            file.write_all(&block)?;
            file.sync_data()?;
            taken.push(micros(started));
        }
        let mut line = members(json!({"bench": "fdatasync", "bytes": bytes, "times": times}));
        line.extend(latencies(taken));
        lines.push(line);
        Ok(())
    };
    let done = [4 << 10, 64 << 10, 512 << 10].into_iter().try_for_each(&mut measure);
    std::fs::remove_file(&path)?;
    done.map_err(what)?;
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_probed_and_left_clean() {
        let dir = std::env::temp_dir().join(format!("indelible-probe-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let lines = fdatasync(&dir, 3).unwrap();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line["p99_ms"].as_f64().is_some()));
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
        std::fs::remove_dir(&dir).unwrap();
        assert!(fdatasync(&dir, 1).unwrap_err().to_string().contains("cannot probe"));
    }
}
