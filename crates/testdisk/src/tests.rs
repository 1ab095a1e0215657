//! The test disk itself: what a power cut keeps, and that calls fail as ordered.

use super::*;
use crate::file::SECTOR;

fn path(name: &str) -> PathBuf {
    Path::new("/d").join(name)
}

/// A file with four synced sectors, and four more that were not.
fn half_synced(seed: u64) -> FaultyDisk {
    let disk = FaultyDisk::new(seed);
    let mut file = disk.create(&path("a")).unwrap();
    file.append(&[1; 4 * SECTOR]).unwrap();
    file.sync().unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    file.append(&[2; 4 * SECTOR]).unwrap();
    disk.create(&path("b")).unwrap();
    disk
}

#[test]
fn a_power_cut_keeps_what_was_synced_and_any_part_of_the_rest() {
    let (mut lengths, mut torn, mut names) = (std::collections::BTreeSet::new(), false, [false; 2]);
    for seed in 0..400 {
        let disk = half_synced(seed);
        disk.power_cut();
        let bytes = disk.read(&path("a")).unwrap();
        assert!(bytes.starts_with(&[1; 4 * SECTOR]), "seed {seed}: synced bytes are gone");
        let rest = &bytes[4 * SECTOR..];
        assert!(rest.iter().all(|b| matches!(b, 0 | 2)));
        torn |= rest.chunks(SECTOR).any(|s| s[0] == 0);
        lengths.insert(rest.len());
        names[usize::from(disk.exists(&path("b")).unwrap())] = true;
        let again = half_synced(seed);
        again.power_cut();
        assert_eq!(disk.content(), again.content(), "seed {seed} does not repeat");
    }
    assert!(lengths.contains(&0) && lengths.contains(&(4 * SECTOR)) && lengths.len() > 20, "{lengths:?}");
    assert!(torn && names == [true; 2]);
}

#[test]
fn calls_fail_as_ordered() {
    let disk = FaultyDisk::new(1);
    let mut file = disk.create(&path("a")).unwrap();
    disk.fail_in(2, Fault::Before, false);
    file.append(b"one").unwrap();
    file.append(b"two").unwrap_err();
    file.append(b"three").unwrap();
    disk.fail_in(1, Fault::After, false);
    file.append(b"four").unwrap_err();
    assert_eq!(disk.bytes(&path("a")), b"onethreefour");
    disk.fail_in(1, Fault::Short, true);
    file.append(&[b'x'; 1000]).unwrap_err();
    let len = disk.bytes(&path("a")).len();
    assert!(len <= 12 + 1000);
    file.append(b"y").unwrap_err();
    disk.read(&path("a")).unwrap_err();
    disk.mend();
    disk.fill_up(10);
    assert_eq!(file.append(&[0; 11]).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(disk.bytes(&path("a")).len(), len + 10);
    disk.mend();
    disk.rot(&path("a"), 3);
    assert_eq!(disk.bytes(&path("a"))[0], b'o' ^ 8);
}
