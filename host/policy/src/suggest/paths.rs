//! Which paths a rule needs, by those that were seen.
//!
//! A segment `{x}` that only ever had one value becomes that value; with more than one it stays, since the next value is
//! as likely as those. A final `/**` becomes the paths themselves while they are few, and else one pattern for each depth,
//! in which a segment that varies is `{x}`. Nothing else is generalised, so no pattern here covers more than the old one.

use std::collections::{BTreeMap, BTreeSet};

use super::Generalisation;
use crate::pattern::PathPattern;

/// Up to so many paths stand for a `/**` one by one, and up to so many depths.
const FEW: usize = 3;

/// The patterns that stand for the old one, and by which rule. None where it stays as it is.
pub(super) fn narrow(old: &PathPattern, seen: &BTreeSet<&str>) -> Option<(Vec<PathPattern>, Generalisation)> {
    // In a pattern these would not stand for themselves.
    if seen.iter().any(|path| path.contains(['{', '}', '*'])) {
        return None;
    }
    let (patterns, by) = match old.to_string().strip_suffix("/**") {
        None => (vec![one_value(old, seen)?], Generalisation::OneValue),
        Some(_) if seen.len() <= FEW => (exact(seen)?, Generalisation::ExactPaths),
        Some(_) => (by_depth(seen)?, Generalisation::ByDepth),
    };
    // What cannot be written as a pattern, a long path for one, stays granted as it was.
    let covered = seen.iter().all(|path| patterns.iter().any(|pattern| pattern.matches(path)));
    (covered && patterns.as_slice() != std::slice::from_ref(old)).then_some((patterns, by))
}

/// The old pattern with each free segment that had one value replaced by it.
fn one_value(old: &PathPattern, seen: &BTreeSet<&str>) -> Option<PathPattern> {
    let text = old.to_string();
    let columns = columns(seen);
    let segments = text.split('/').enumerate().map(|(place, segment)| {
        let values = columns.get(place).map_or(&[][..], Vec::as_slice);
        match (segment.starts_with('{'), values) {
            (true, [only]) => *only,
            _ => segment,
        }
    });
    PathPattern::parse(&segments.collect::<Vec<_>>().join("/")).ok()
}

/// The paths as patterns of themselves.
fn exact(seen: &BTreeSet<&str>) -> Option<Vec<PathPattern>> {
    seen.iter().map(|path| PathPattern::parse(path).ok()).collect()
}

/// One pattern for all paths of one depth.
fn by_depth(seen: &BTreeSet<&str>) -> Option<Vec<PathPattern>> {
    let mut depths: BTreeMap<(usize, bool), BTreeSet<&str>> = BTreeMap::new();
    for path in seen {
        depths.entry((path.split('/').count(), path.ends_with('/'))).or_default().insert(path);
    }
    if depths.len() > FEW {
        return None;
    }
    let pattern = |paths: &BTreeSet<&str>| {
        let segments = columns(paths).into_iter().map(|values| match values.as_slice() {
            [only] => *only,
            _ => "{x}",
        });
        PathPattern::parse(&segments.collect::<Vec<_>>().join("/")).ok()
    };
    depths.values().map(pattern).collect()
}

/// The values that each segment had, without repetition.
fn columns<'a>(seen: &BTreeSet<&'a str>) -> Vec<Vec<&'a str>> {
    let mut columns: Vec<Vec<&str>> = Vec::new();
    for path in seen {
        for (place, segment) in path.split('/').enumerate() {
            match columns.get_mut(place) {
                Some(values) if values.contains(&segment) => {}
                Some(values) => values.push(segment),
                None => columns.push(vec![segment]),
            }
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_of_generalisation() {
        let cases: [(&str, &[&str], &[&str]); 14] = [
            // an exact path stays
            ("/jmap/", &["/jmap/"], &[]),
            // one value, two values
            ("/vms/{id}/start", &["/vms/214/start"], &["/vms/214/start"]),
            ("/vms/{id}/start", &["/vms/214/start", "/vms/7/start"], &[]),
            ("/n/{node}/vms/{id}", &["/n/a/vms/1", "/n/a/vms/2"], &["/n/a/vms/{id}"]),
            // few paths
            ("/a/**", &["/a/b"], &["/a/b"]),
            ("/a/**", &["/a/b", "/a/b/", "/a/c/d"], &["/a/b", "/a/b/", "/a/c/d"]),
            ("/{x}/**", &["/a/b"], &["/a/b"]),
            // by depth
            ("/a/**", &["/a/1", "/a/2", "/a/3", "/a/4"], &["/a/{x}"]),
            ("/a/**", &["/a/1/s", "/a/2/s", "/a/3/s", "/a/4"], &["/a/4", "/a/{x}/s"]),
            ("/a/**", &["/a/b/1/", "/a/b/2/", "/a/b/3/", "/a/b/4/"], &["/a/b/{x}/"]),
            ("/**", &["/a", "/b", "/c", "/d"], &["/{x}"]),
            // too many depths
            ("/a/**", &["/a/1", "/a/1/2", "/a/1/2/3", "/a/1/2/3/4"], &[]),
            // what is no pattern
            ("/v/{x}", &["/v/{y}"], &[]),
            ("/a/**", &["/a/*"], &[]),
        ];
        for (old, seen, expected) in cases {
            let pattern = PathPattern::parse(old).unwrap();
            let narrowed = narrow(&pattern, &seen.iter().copied().collect());
            let patterns: Vec<_> =
                narrowed.into_iter().flat_map(|(patterns, _)| patterns).map(|new| new.to_string()).collect();
            assert_eq!(patterns, expected, "{old} {seen:?}");
        }
    }
}
