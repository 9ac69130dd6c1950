//! Which files the log is handed on in: C2SP tlog-tiles, 256 hashes or entries to a tile.
//!
//! `checkpoint`, `tile/<level>/<number>` and `tile/entries/<number>`; the last tile of a level is partial,
//! `<number>.p/<width>`. The files of a log follow from the sizes of its checkpoints alone, so no name on disk is
//! ever parsed.

use std::collections::BTreeMap;

use tlog_tiles::Tile;

/// The file with the newest checkpoint.
pub const CHECKPOINT_NAME: &str = "checkpoint";

/// A tile has two to the power of this many hashes.
const HEIGHT: u8 = 8;

/// The tiles of a log whose checkpoints have these sizes, in ascending order, by their paths.
pub(crate) fn of_sizes(sizes: &[u64]) -> BTreeMap<String, Tile> {
    let mut tiles = BTreeMap::new();
    let mut before = 0;
    for &size in sizes {
        for tile in Tile::new_tiles(HEIGHT, before, size) {
            tiles.insert(path(&tile), tile);
            if tile.level() == 0 {
                let mut entries = tile;
                entries.set_is_data();
                tiles.insert(path(&entries), entries);
            }
        }
        before = size;
    }
    tiles
}

/// Whether a partial tile may go, since a log of this size has the full one.
pub(crate) fn is_superseded(tile: &Tile, size: u64) -> bool {
    let hashes = size >> (HEIGHT * tile.level());
    tile.width() < 1 << HEIGHT && (tile.level_index() + 1) << HEIGHT <= hashes
}

/// The sequences of the entries in a tile of entries.
pub(crate) fn sequences(tile: &Tile) -> std::ops::RangeInclusive<u64> {
    let first = tile.level_index() << HEIGHT;
    first + 1..=first + u64::from(tile.width())
}

/// The crate writes the height into the path, as Go's checksum database does, and `data` for entries.
fn path(tile: &Tile) -> String {
    let path = tile.path();
    let rest = path.strip_prefix("tile/8/").unwrap_or(&path);
    match rest.strip_prefix("data/") {
        Some(rest) => format!("tile/entries/{rest}"),
        None => format!("tile/{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(sizes: &[u64]) -> Vec<String> {
        of_sizes(sizes).into_keys().collect()
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(paths(&[]), [""; 0]);
        assert_eq!(paths(&[3]), ["tile/0/000.p/3", "tile/entries/000.p/3"]);
        assert_eq!(paths(&[256]), ["tile/0/000", "tile/1/000.p/1", "tile/entries/000"]);
        assert_eq!(
            paths(&[3, 257]),
            [
                "tile/0/000",
                "tile/0/000.p/3",
                "tile/0/001.p/1",
                "tile/1/000.p/1",
                "tile/entries/000",
                "tile/entries/000.p/3",
                "tile/entries/001.p/1",
            ]
        );
        // The specification's example: 273 full tiles and one of 112, one full and one of 17, one of 1.
        let hashes = paths(&[70_000]).into_iter().filter(|path| !path.contains("entries")).count();
        assert_eq!(hashes, 273 + 1 + 1 + 1 + 1);
        for path in ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1", "tile/entries/273.p/112"] {
            assert!(paths(&[70_000]).contains(&path.to_owned()), "{path}");
        }
        assert!(paths(&[1_234_067 * 256]).contains(&"tile/0/x001/x234/066".to_owned()));
    }

    #[test]
    fn a_partial_tile_goes_when_the_full_one_is_there() {
        let tiles = of_sizes(&[3, 300]);
        assert!(is_superseded(&tiles["tile/0/000.p/3"], 300));
        assert!(!is_superseded(&tiles["tile/0/000.p/3"], 255));
        assert!(!is_superseded(&tiles["tile/0/000"], 300));
        assert!(!is_superseded(&tiles["tile/1/000.p/1"], 300));
        assert_eq!(sequences(&tiles["tile/entries/001.p/44"]), 257..=300);
    }
}
