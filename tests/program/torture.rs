//! Kills and power cuts at every place of a run, and at random moments: what was done is known, nothing is done twice,
//! and every run comes to its end. `make torture` does it a thousand times.

use libtest_mimic::Trial;
use ops_tests::skip::trial;
use ops_tests::torture::campaign::Campaign;
use ops_tests::torture::dice::{Dice, seed};
use ops_tests::torture::disk;
use ops_tests::torture::figures::Figures;
use ops_tests::torture::site::Site;
use ops_tests::torture::{rounds, say};

/// Campaigns at once, each in a workspace of its own.
const LANES: usize = 2;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("torture::kills", None, || campaigns("kills", rounds(100), Site::new)),
        disk::trial("torture::power_cuts", || {
            campaigns("power cuts", rounds(100), || {
                let mut site = Site::new();
                site.watch();
                site
            });
        }),
    ]
}

fn campaigns(name: &str, kills: usize, site: impl Fn() -> Site + Sync) {
    let seed = seed();
    say(&format!("{name}: TORTURE_SEED={seed}"));
    let figures = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| {
                let site = &site;
                let dice = Dice::new(seed + lane as u64);
                scope.spawn(move || Campaign::new(site(), dice).kill(kills / LANES))
            })
            .collect();
        lanes
            .into_iter()
            .fold(Figures::default(), |sum, lane| sum.and(&lane.join().expect("a campaign failed")))
    });
    say(&format!("{name}: {figures}"));
}
