//! Blows, one after the other, in one workspace whose ledger grows. Each run is hit somewhere, recovered, resumed (and
//! hit again), and brought to its end; after every blow, what must hold is checked:
//!
//! * what was acknowledged as done is in the ledger, and verifies;
//! * nothing was done to a machine without an intent in the ledger, and nothing twice;
//! * a run that died after its intent has exactly one receipt, `unknown`;
//! * in the end the machine and its file are as they would be without any blow.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ops_ledger::failpoint::NAMES;

use super::blow::{Blow, Struck, strike};
use super::dice::Dice;
use super::disk::Unsynced;
use super::figures::Figures;
use super::job::Job;
use super::site::{Site, Unknown, approve};
use crate::scratch::ran;

/// What the file about a machine says.
const NOTE: &str = "set up by the torture tests";

/// Kills that one run takes at most; then it is let through.
const MOST_KILLS: usize = 4;

/// Rounds between two checks of the whole ledger, which take longer as it grows.
const ROUNDS_BETWEEN_CHECKS: usize = 100;

/// A campaign. Where its site's disk is watched, each kill is a power cut.
pub struct Campaign {
    site: Site,
    dice: Dice,
    figures: Figures,
    /// How long a run takes that nothing hits.
    whole: Duration,
    /// Runs of which a caller was told that they are done.
    acknowledged: BTreeSet<String>,
    /// How many times a place was chosen.
    turn: usize,
}

/// A program of a run that a disk can fail under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under {
    /// The one that carries the plan out.
    Apply,
    /// The next one, which finds a run that has no end.
    Recovery,
    /// The one that goes on with that run.
    Resume,
}

/// One change that was asked for, and what was done for it.
#[derive(Default)]
struct Round {
    job: Job,
    kills: usize,
    /// How often repeatable effects may have been sent again.
    repeats: usize,
    /// The run to go on with.
    open: Option<String>,
    /// The newest run before this change was asked for.
    before: String,
    /// The run that took down what a person said last.
    said: String,
}

impl Drop for Campaign {
    fn drop(&mut self) {
        if std::thread::panicking() {
            super::say(&format!("the workspace is kept in {}", self.site.scratch.keep().display()));
        }
    }
}

impl Campaign {
    /// A campaign in a workspace in which nothing has run yet.
    pub fn new(site: Site, dice: Dice) -> Self {
        let plan = site.plan(&Job::machine("first", NOTE));
        let began = Instant::now();
        ran(&mut site.command(&approve(&plan))).exits(0);
        let whole = began.elapsed();
        Self { site, dice, figures: Figures::default(), whole, acknowledged: BTreeSet::new(), turn: 0 }
    }

    /// Goes on until so many programs were killed, and each place had its turn twice.
    pub fn kill(mut self, kills: usize) -> Figures {
        let began = Instant::now();
        while self.figures.killed() < kills || self.turn < 2 * NAMES.len() {
            let mut round = self.begin();
            let mut words = self.planned(&mut round);
            loop {
                let blow = self.next_blow(&words, &round);
                let struck = self.strike(&words, blow, &mut round);
                assert!(struck.killed.is_some() || struck.ran.code == 0, "{words:?} {blow:?}: {struck:?}");
                if self.is_done(&round) {
                    break;
                }
                if round.kills < MOST_KILLS && self.dice.once_in(4) {
                    self.strike(&["status".to_owned()], Some(Blow::Place("recovery-begun", 1)), &mut round);
                }
                words = self.go_on(&mut round);
            }
            self.check_end(&round);
        }
        self.check_ledger();
        self.figures.time = began.elapsed();
        std::mem::take(&mut self.figures)
    }

    /// Lets the disk fail at the nth call, the one after it, and so on in steps, until a program does not get there.
    pub fn fault(mut self, under: Under, fault: &'static str, first: usize, step: usize) -> Figures {
        let began = Instant::now();
        for nth in (first..).step_by(step) {
            if !self.faulted(under, Blow::Fault(fault, nth)) {
                break;
            }
        }
        self.check_ledger();
        self.figures.time = began.elapsed();
        std::mem::take(&mut self.figures)
    }

    /// One machine, with one fault on its way. Returns whether the disk failed.
    fn faulted(&mut self, under: Under, fault: Blow) -> bool {
        let mut round = self.begin();
        let mut words = self.planned(&mut round);
        if under != Under::Apply {
            self.strike(&words, Some(Blow::Place("effect-performed", 1)), &mut round);
            if under == Under::Recovery {
                words = vec!["status".to_owned()];
            } else {
                words = self.go_on(&mut round);
            }
        }
        let before = self.site.machines.done().len();
        let struck = self.strike(&words, Some(fault), &mut round);
        let code = struck.ran.code;
        let changed = self.site.machines.done().len() > before;
        assert!((0..=5).contains(&code), "{fault:?}: {struck:?}");
        assert!(!changed || code == 0 || code == 5, "something was done: {fault:?}: {struck:?}");
        if code == 0 && under != Under::Recovery {
            assert!(self.is_done(&round), "a false done: {fault:?}: {struck:?}");
        }
        while !self.is_done(&round) {
            let words = self.go_on(&mut round);
            let struck = self.strike(&words, None, &mut round);
            assert_eq!(struck.ran.code, 0, "{words:?} after {fault:?}: {struck:?}");
        }
        self.check_end(&round);
        self.figures.faults += usize::from(struck.faulted);
        struck.faulted
    }

    fn begin(&mut self) -> Round {
        self.figures.rounds += 1;
        self.site.machines.reset();
        if self.figures.rounds.is_multiple_of(ROUNDS_BETWEEN_CHECKS) {
            self.check_ledger();
        }
        // A round has a machine of its own; the virtual machine is as new in each, since the machines forget.
        let name = format!("m{}", self.figures.rounds);
        let job = match self.dice.below(4) {
            0 => Job::machine(&name, NOTE),
            1 => Job::machine(&name, ""),
            _ => Job::provision(),
        };
        Round { job, before: self.newest(), ..Round::default() }
    }

    /// A plan that waits for its approval, and the words that give it. Its making may be killed too.
    fn planned(&mut self, round: &mut Round) -> Vec<String> {
        if round.kills < MOST_KILLS && self.dice.once_in(8) {
            let blow = Blow::After(self.dice.time(self.whole));
            self.strike(&round.job.words.clone(), Some(blow), round);
        }
        approve(&self.site.plan(&round.job))
    }

    /// Where the next program is killed: by chance in half of the cases, else at each place in turn.
    fn next_blow(&mut self, words: &[String], round: &Round) -> Option<Blow> {
        if round.kills >= MOST_KILLS || (round.kills > 0 && self.dice.once_in(2)) {
            return None;
        }
        if self.dice.once_in(2) {
            return Some(Blow::After(self.dice.time(self.whole * 11 / 10)));
        }
        if words[1] == "resume" && self.dice.once_in(3) {
            return Some(Blow::Place("resume-intended", 1));
        }
        let place = NAMES[self.turn % NAMES.len()];
        self.turn += 1;
        let times = if place.starts_with("effect-") { round.job.changes.len() } else { 1 };
        Some(Blow::Place(place, 1 + self.dice.below(times)))
    }

    /// Runs a program under a blow, and takes note of it. What it said before it died was said.
    fn strike(&mut self, words: &[String], blow: Option<Blow>, round: &mut Round) -> Struck {
        let struck = strike(self.site.command(words), blow, self.site.state());
        if let Ok(envelope) = serde_json::from_str::<serde_json::Value>(&struck.ran.stdout)
            && envelope["status"] == "done"
        {
            self.acknowledged.insert(envelope["run_key"].as_str().unwrap().to_owned());
        }
        if let Some(place) = struck.killed {
            *self.figures.kills.entry(place).or_default() += 1;
            round.kills += 1;
            if let Some(disk) = &mut self.site.disk {
                let unsynced = if self.dice.once_in(2) { Unsynced::Lost } else { Unsynced::Some };
                disk.cut(unsynced, &mut self.dice);
            }
        }
        self.site.has_file(&round.job);
        struck
    }

    /// Whether the last run is done, and nothing is open.
    fn is_done(&self, round: &Round) -> bool {
        self.site.unknown().is_empty()
            && self
                .site
                .newest(1)
                .first()
                .is_some_and(|(key, status)| status == "done" && *key != round.said && *key != round.before)
    }

    fn newest(&self) -> String {
        self.site.newest(1).remove(0).0
    }

    /// The words that go on after a blow, once the next start of the program has recovered what was left.
    fn go_on(&mut self, round: &mut Round) -> Vec<String> {
        let unknown = self.site.unknown();
        assert!(unknown.len() <= 1, "{unknown:?}");
        if let Some(unknown) = unknown.first() {
            self.check_unknown(round, unknown);
            self.figures.unknown += usize::from(round.open.as_ref() != Some(&unknown.key));
            round.open = Some(unknown.key.clone());
            self.resolve(round, unknown);
        }
        // Once everything is resolved it is no longer unknown, and still can be gone on with.
        let Some(open) = &round.open else {
            assert_eq!(self.site.machines.done(), [], "something was done without an intent");
            return self.planned(round);
        };
        self.figures.resumed += 1;
        ["cap", "resume", open, "--json"].map(str::to_owned).into()
    }

    /// The run has one receipt, and the ledger knows what was done and what may have been.
    fn check_unknown(&self, round: &Round, unknown: &Unknown) {
        let receipts = self.site.newest(20);
        let ends: Vec<_> = receipts.iter().filter(|(key, _)| *key == unknown.key).collect();
        assert_eq!(ends, [&(unknown.key.clone(), "unknown".to_owned())], "{receipts:?}");
        let steps = self.site.steps_done(&round.job);
        let started = unknown.performed + usize::from(unknown.in_doubt.is_some());
        assert!((unknown.performed..=started).contains(&steps), "{steps} steps were done: {unknown:?}");
    }

    /// Looks at the machine and says what became of an effect in doubt. One that may be repeated is left to the host
    /// as often as not.
    fn resolve(&mut self, round: &mut Round, unknown: &Unknown) {
        let Some(step) = unknown.in_doubt else { return };
        if round.job.is_repeatable(step) && self.dice.once_in(2) {
            round.repeats += 1;
            return;
        }
        let what = &round.job.changes[step - 1];
        let done = self.site.machines.done();
        let number = step.to_string();
        let mut words = vec!["runs", "resolve", &unknown.key, "--effect", &number];
        if let Some(done) = done.iter().rev().find(|change| change.what == *what) {
            let answer = serde_json::json!({"status": 200, "body": done.answer});
            self.site.scratch.write("answer.json", &answer.to_string());
            words.extend(["performed", "--answer", "answer.json"]);
        } else {
            words.push("not-performed");
        }
        words.extend(["--key", "key"]);
        self.site.ops(&words).exits(0);
        round.said = self.newest();
        self.figures.resolved += 1;
    }

    /// The end is what it would have been without any blow.
    fn check_end(&mut self, round: &Round) {
        let mut left: Vec<String> = self.site.machines.done().into_iter().map(|change| change.what).collect();
        let mut repeats = 0;
        for (step, what) in (1..).zip(&round.job.changes) {
            let times = left.iter().filter(|done| *done == what).count();
            assert!(times > 0, "{what} was not done: {left:?}");
            assert!(times == 1 || round.job.is_repeatable(step), "{what} was done {times} times");
            repeats += times - 1;
            left.retain(|done| done != what);
        }
        assert!(left.is_empty(), "done besides: {left:?}");
        assert!(
            repeats <= round.repeats,
            "{repeats} repeats, of {} that were left to the host",
            round.repeats
        );
        assert_eq!(self.site.has_file(&round.job), round.job.file.is_some());
        self.figures.repeated += repeats;
    }

    /// Everything that was acknowledged is in the ledger, and the ledger is good.
    fn check_ledger(&self) {
        let receipts = self.site.newest(1_000_000);
        let done: BTreeSet<String> =
            receipts.into_iter().filter(|(_, status)| status == "done").map(|(key, _)| key).collect();
        let lost: Vec<_> = self.acknowledged.difference(&done).collect();
        assert!(lost.is_empty(), "acknowledged, and not in the ledger: {lost:?}");
        self.site.ops(&["receipts", "verify", "--all"]).exits(0);
        self.site.ops(&["ledger", "verify"]).exits(0);
    }
}
