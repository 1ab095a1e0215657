use proptest::prelude::*;

use super::*;

#[test]
fn paths_of_the_specification() {
    for (index, tail) in [(0, "000"), (999, "999"), (1000, "x001/000"), (1_234_067, "x001/x234/067")] {
        let tile = Tile::new(0, index, 256).unwrap();
        assert_eq!(tile.path(), format!("tile/0/{tail}"));
        assert_eq!(tile.entries_path(), format!("tile/entries/{tail}"));
    }
    let partial = Tile::new(63, 1_234_067, 8).unwrap();
    assert_eq!(partial.path(), "tile/63/x001/x234/067.p/8");
    assert_eq!(parse_path("tile/63/x001/x234/067.p/8"), Ok(Resource::Hashes(partial)));
    assert_eq!(parse_path("tile/entries/000.p/255"), Ok(Resource::Entries(Tile::new(0, 0, 255).unwrap())));
    let last = Tile::new(0, u64::MAX, 255).unwrap();
    assert_eq!(parse_path(&last.entries_path()), Ok(Resource::Entries(last)));
}

#[test]
fn other_spellings_are_refused() {
    for bad in [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/000/",
        "tile//000",
        "tile/00/000",
        "tile/01/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/+1/000",
        "tile/8/0/000",
        "tile/data/000",
        "tile/entries/0",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000",
        "tile/0/x000/000",
        "tile/0/x000/001",
        "tile/0/001/000",
        "tile/0/x001/x000",
        "tile/0/X001/000",
        "tile/0/xx01/000",
        "tile/0/x01/000",
        "tile/0/x001//000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/08",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000.p/8/",
        "tile/0/000.p/8.p/8",
        "tile/0/000.p8",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "tile/0/٠٠٠",
        "tile/0/..%2f",
        "tile/entries/../000",
    ] {
        assert_eq!(parse_path(bad), Err(PathError), "{bad:?}");
    }
    assert_eq!(Tile::new(64, 0, 1), Err(PathError));
    assert_eq!(Tile::new(0, 0, 0), Err(PathError));
    assert_eq!(Tile::new(0, 0, 257), Err(PathError));
}

/// The worked sizes of tlog-tiles.
#[test]
fn widths_follow_the_size() {
    let tile = |level, index, width| Tile::new(level, index, width).unwrap();
    assert_eq!(Tile::in_tree(0, 272, 70_000), Some(tile(0, 272, 256)));
    assert_eq!(Tile::in_tree(0, 273, 70_000), Some(tile(0, 273, 112)));
    assert_eq!(Tile::in_tree(0, 274, 70_000), None);
    assert_eq!(Tile::in_tree(1, 0, 70_000), Some(tile(1, 0, 256)));
    assert_eq!(Tile::in_tree(1, 1, 70_000), Some(tile(1, 1, 17)));
    assert_eq!(Tile::in_tree(2, 0, 70_000), Some(tile(2, 0, 1)));
    assert_eq!(Tile::in_tree(3, 0, 70_000), None);
    assert_eq!(Tile::in_tree(0, 1, 256), None);
    assert_eq!(Tile::in_tree(1, 0, 256), Some(tile(1, 0, 1)));
    assert_eq!(Tile::in_tree(63, u64::MAX, u64::MAX), None);
    assert_eq!(Tile::in_tree(200, 0, u64::MAX), None);
    assert!(tile(0, 273, 5).is_within(70_000) && !tile(0, 273, 113).is_within(70_000));

    let all: Vec<Tile> = new_tiles(0, 70_000).collect();
    assert_eq!(all.len(), 274 + 2 + 1);
    let grown: Vec<String> = new_tiles(255, 257).map(|tile| tile.path()).collect();
    assert_eq!(grown, ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]);
    assert_eq!(new_tiles(70_000, 70_000).count(), 0);
    assert_eq!(new_tiles(70_000, 69_999).count(), 0);
    assert_eq!(new_tiles(u64::MAX - 1, u64::MAX).count(), 1);
}

#[test]
fn plans_read_few_tiles_and_no_others() {
    let paths = |tiles: Vec<Tile>| tiles.iter().map(Tile::path).collect::<Vec<_>>();
    assert_eq!(paths(tiles_for_root(0)), [""; 0]);
    assert_eq!(paths(tiles_for_root(256)), ["tile/1/000.p/1"]);
    assert_eq!(paths(tiles_for_root(70_000)), ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
    assert_eq!(
        paths(tiles_for_inclusion(0, 70_000).unwrap()),
        ["tile/0/000", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17"]
    );
    assert_eq!(tiles_for_inclusion(5, 5), Err(crate::proof::ProofError::IndexOutOfRange { index: 5, size: 5 }));
    assert_eq!(tiles_for_consistency(5, 4), Err(crate::proof::ProofError::SizesReversed { old: 5, new: 4 }));
    assert!(tiles_for_consistency(0, 5).unwrap().is_empty());
    assert!(tiles_for_consistency(5, 5).unwrap().is_empty());
    // A billion leaves: four tile levels on the way up, and the right edge.
    assert!(tiles_for_inclusion(123_456_789, 1_000_000_000).unwrap().len() <= 8);
}

#[test]
fn tiles_of_a_wrong_length_are_bad_data_and_failed_reads_are_not() {
    let tile = |width| Tile::new(0, 0, width).unwrap();
    for got in [0, 31, 33, 64, 95, 97, 8193, 8224] {
        let mut reader = |_: Tile| Ok::<_, ()>(vec![0; got]);
        assert_eq!(inclusion_proof(&mut reader, 1, 3), Err(ReadError::BadTile { tile: tile(3), got }));
    }
    for enough in [96, 128, 8192] {
        let mut reader = |_: Tile| Ok::<_, ()>(vec![0; enough]);
        assert_eq!(inclusion_proof(&mut reader, 1, 3).map(|proof| proof.len()), Ok(2));
    }
    let mut broken = |_: Tile| Err("disk on fire");
    assert_eq!(root(&mut broken, 3), Err(ReadError::Reader { tile: tile(3), source: "disk on fire" }));
    assert_eq!(root(&mut broken, 0), Ok(crate::empty_root()));
    assert!(matches!(inclusion_proof(&mut broken, 3, 3), Err(ReadError::Request(_))));
    assert!(matches!(consistency_proof(&mut broken, 4, 3), Err(ReadError::Request(_))));
    let mut zeros = |tile: Tile| Ok::<_, ()>(vec![0; tile.byte_len()]);
    assert!(matches!(frontier(&mut zeros, u64::MAX), Err(ReadError::Size(_))));
    assert_eq!(tile_root(&[0; 8191]), None);
    assert!(tile_root(&[0; 8192]).is_some());
}

proptest! {
    #[test]
    fn paths_round_trip(level in 0u8..64, index in any::<u64>(), shift in 0u32..64, width in 1u16..=256) {
        let tile = Tile::new(level, index >> shift, width).unwrap();
        prop_assert_eq!(parse_path(&tile.path()), Ok(Resource::Hashes(tile)));
        let entries = Resource::Entries(Tile { level: 0, ..tile });
        prop_assert_eq!(parse_path(&entries.path()), Ok(entries));
    }

    #[test]
    fn any_text_is_a_canonical_path_or_refused(path in "(tile/)?(entries|[0-9]{1,2})?/?(x?[0-9x]{0,4}/){0,3}[0-9]{0,4}(\\.p/[0-9]{0,4})?|\\PC{0,40}") {
        if let Ok(resource) = parse_path(&path) {
            prop_assert_eq!(resource.path(), path);
        }
    }

    #[test]
    fn plans_of_any_size_stay_within_the_tree(a in any::<u64>(), b in any::<u64>(), shift in 0u32..64) {
        let size = b >> shift;
        let mut tiles = tiles_for_root(size);
        if size > 0 {
            tiles.extend(tiles_for_inclusion(a % size, size).unwrap());
            tiles.extend(tiles_for_consistency(a % size, size).unwrap());
        }
        for tile in tiles {
            prop_assert_eq!(Tile::in_tree(tile.level, tile.index, size), Some(tile));
        }
    }
}
