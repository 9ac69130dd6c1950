//! The world of a test, and the runs in it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::crossing::{Handle, Phase, State, Stopped};
use super::files::{self, Tree};
use super::fixture::{self, Tape};
use super::invoked::Invocable;
use super::{Answer, needs};
use crate::raw::ops::capability::effects::Effect;
use crate::{Capability, Ctx, Failure, Invoked};

/// What a run changed in the directories, by `directory/name`. `None` is a file that was removed.
pub type Files = BTreeMap<String, Option<Vec<u8>>>;

/// A scripted world around one capability.
pub struct World {
    capability: &'static Capability,
    config: Value,
    directories: BTreeSet<String>,
    files: Tree,
    state: Handle,
    /// The fixture that it was made from.
    fixture: Option<Value>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// With an output.
    Output(Value),
    /// With a failure.
    Failed(Failure),
    /// Where the host would have stopped it: an incomplete plan was applied, and its effects were used up; or an
    /// effect was asked of a service that is not bound.
    Stopped,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Ran {
    /// How it ended.
    pub end: End,
    /// The effects that it asked for, in order.
    pub effects: Vec<Effect>,
    /// What it read, each as `service METHOD path`.
    pub reads: Vec<String>,
    /// What it changed in directories; in an apply it is in the world now.
    pub files: Files,
    /// Its log and progress lines.
    pub log: Vec<String>,
}

impl Ran {
    /// The output.
    ///
    /// # Panics
    /// If there is none.
    pub fn output(&self) -> &Value {
        match &self.end {
            End::Output(value) => value,
            other => panic!("the run has no output: {other:?}"),
        }
    }

    /// The failure.
    ///
    /// # Panics
    /// If there is none.
    pub fn failure(&self) -> &Failure {
        match &self.end {
            End::Failed(failure) => failure,
            other => panic!("the run did not fail: {other:?}"),
        }
    }

    /// The text of a file that the run wrote.
    ///
    /// # Panics
    /// If it wrote no such file, or no text.
    pub fn file(&self, name: &str) -> &str {
        let bytes = self.files.get(name).and_then(Option::as_ref);
        let bytes = bytes.unwrap_or_else(|| panic!("the run wrote no {name}, only {:?}", self.files.keys()));
        std::str::from_utf8(bytes).expect("the file is UTF-8")
    }
}

impl World {
    /// A world in which nothing is bound and nothing granted. Its clock stands at 2026-11-22T09:00:00.000000123Z.
    pub fn new(capability: &'static Capability) -> Self {
        let state = State {
            manifest: capability.manifest(),
            services: vec![],
            invocables: vec![],
            performed: vec![],
            now: SystemTime::UNIX_EPOCH + Duration::new(1_795_338_000, 123),
            plan: 0,
            phase: Phase::Plan { dry_run: false },
            folder: None,
            contracts: tempfile::tempdir().expect("a temporary folder can be made"),
            effects: vec![],
            reads: vec![],
            log: vec![],
            ids: 0,
            monotonic: Duration::ZERO,
            tape: None,
        };
        let state = Rc::new(RefCell::new(state));
        Self {
            capability,
            config: json!({}),
            directories: BTreeSet::new(),
            files: Tree::new(),
            state,
            fixture: None,
        }
    }

    /// The world of a real run, as `ops receipts export --fixture` wrote it: `text` is its `fixture.json`, for example by
    /// `include_str!`. [`World::replay`] goes through it.
    ///
    /// # Panics
    /// If it is no fixture of this capability.
    pub fn fixture(capability: &'static Capability, text: &str) -> Self {
        let fixture: Value = serde_json::from_str(text).expect("a fixture is JSON");
        let mut world = Self::new(capability).config(fixture["config"].clone());
        let named = world.state.borrow().manifest.name.clone();
        assert_eq!(fixture["capability"], named, "the fixture is that of another capability");
        for service in fixture["services"].as_array().into_iter().flatten() {
            world = world.service(service.as_str().unwrap_or_default(), []);
        }
        let texts = |value: &Value| -> Vec<(String, String)> {
            let fields = value.as_object().into_iter().flatten();
            fields.map(|(name, text)| (name.clone(), text.as_str().unwrap_or_default().to_owned())).collect()
        };
        for (name, text) in texts(&fixture["contracts"]) {
            world = world.contract(&name, &text);
        }
        for (name, files) in fixture["directories"].as_object().into_iter().flatten() {
            let files = texts(files);
            let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            world = world.directory(name, &files);
        }
        let part = |name: &str| fixture["clock"][name].as_u64().unwrap_or(0);
        world = world.now(
            SystemTime::UNIX_EPOCH
                + Duration::from_secs(part("seconds"))
                + Duration::from_nanos(part("nanoseconds")),
        );
        world.fixture = Some(fixture);
        world
    }

    /// Goes through the real run of the fixture again.
    ///
    /// # Panics
    /// With the first difference: a question that the run did not ask, one that it asked and this does not, another
    /// output or failure. If the world was made without a fixture.
    pub fn replay(&mut self) -> Ran {
        let fixture = self.fixture.clone().expect("World::fixture makes a world that can be replayed");
        self.state.borrow_mut().tape = Some(Tape::new(&fixture));
        let (ran, _) = self.run(&fixture["arguments"], Phase::Plan { dry_run: false });
        let left = self.state.borrow_mut().tape.take().map_or(0, |tape| tape.left());
        let end = match &ran.end {
            End::Output(output) => Ok(output.clone()),
            End::Failed(failure) => Err(failure.clone()),
            End::Stopped => panic!("a replay is never stopped"),
        };
        fixture::assert_end(&fixture["end"], &end);
        assert_eq!(left, 0, "the capability left out the last {left} questions of the fixture");
        ran
    }

    /// With this config of the binding, an object.
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// With this service bound, which answers so.
    pub fn service(self, name: &str, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.state.borrow_mut().services.push((name.to_owned(), answers.into_iter().collect()));
        self
    }

    /// With this capability granted to be called, which answers its arguments so.
    ///
    /// # Panics
    /// If the manifest does not ask for it.
    pub fn invocable(self, name: &str, answer: impl Fn(&Value) -> Invoked + 'static) -> Self {
        {
            let mut state = self.state.borrow_mut();
            needs::assert_invokes(&state.manifest, name);
            state.invocables.push(Invocable::new(name, answer));
        }
        self
    }

    /// With this directory granted, which holds these files.
    ///
    /// # Panics
    /// If the manifest does not ask for it.
    pub fn directory(mut self, name: &str, holds: &[(&str, &str)]) -> Self {
        needs::assert_directory(&self.state.borrow().manifest, name);
        self.directories.insert(name.to_owned());
        self.files
            .extend(holds.iter().map(|(file, text)| (format!("{name}/{file}"), text.as_bytes().to_vec())));
        self
    }

    /// With this contract granted, which has this text.
    ///
    /// # Panics
    /// If the manifest does not ask for it.
    pub fn contract(self, name: &str, text: &str) -> Self {
        {
            let state = self.state.borrow();
            needs::assert_contract(&state.manifest, name);
            std::fs::write(state.contracts.path().join(name), text)
                .expect("a file of the test can be written");
        }
        self
    }

    /// With this time on its clock.
    pub fn now(self, now: SystemTime) -> Self {
        self.state.borrow_mut().now = now;
        self
    }

    /// The effects that were performed so far, in all applies.
    pub fn performed(&self) -> Vec<Effect> {
        self.state.borrow().performed.clone()
    }

    /// Runs the capability in the plan phase, in which nothing changes. It is also how a read-only one runs.
    pub fn plan(&mut self, arguments: Value) -> Ran {
        self.run_plan(&arguments, false)
    }

    /// As [`World::plan`], with `--dry-run`: effects on services that are not bound are written down too.
    pub fn dry_run(&mut self, arguments: Value) -> Ran {
        self.run_plan(&arguments, true)
    }

    fn run_plan(&mut self, arguments: &Value, dry_run: bool) -> Ran {
        self.state.borrow_mut().plan += 1;
        self.run(arguments, Phase::Plan { dry_run }).0
    }

    /// Plans, then runs the capability in the apply phase and keeps the files that it leaves behind.
    ///
    /// # Panics
    /// If the apply asks for another effect than the plan, or for more or fewer, or changes other files.
    pub fn apply(&mut self, arguments: Value) -> Ran {
        let plan = self.plan(arguments.clone());
        let incomplete = matches!(plan.end, End::Failed(Failure::Incomplete(_)));
        if !matches!(plan.end, End::Output(_)) && !incomplete {
            return plan;
        }
        let phase = Phase::Apply { planned: plan.effects.clone(), incomplete };
        let (ran, tree) = self.run(&arguments, phase);
        if matches!(ran.end, End::Failed(_)) {
            return ran;
        }
        assert_eq!(ran.effects.len(), plan.effects.len(), "the apply left effects of the plan out");
        // Files of an incomplete plan are dropped: they would be those of a half-done run.
        if !incomplete {
            assert_eq!(ran.files, plan.files, "the apply leaves other files than the plan");
            self.files = tree;
        }
        ran
    }

    fn run(&self, arguments: &Value, phase: Phase) -> (Ran, Tree) {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        for name in &self.directories {
            std::fs::create_dir(folder.path().join(name)).expect("a folder of the test can be made");
        }
        files::write(folder.path(), &self.files);
        let mut services: Vec<_> =
            self.state.borrow().services.iter().map(|(name, _)| name.clone()).collect();
        services.sort();
        self.begin(phase, folder);

        let ctx = Ctx::new(self.config.to_string(), services, Rc::clone(&self.state));
        let ran = catch_unwind(AssertUnwindSafe(|| (self.capability.run)(&ctx, &arguments.to_string())));
        let end = match ran {
            Ok(Ok(output)) => End::Output(serde_json::from_str(&output).expect("an output is JSON")),
            Ok(Err(failure)) => End::Failed(failure),
            Err(panic) if panic.is::<Stopped>() => End::Stopped,
            Err(panic) => resume_unwind(panic),
        };
        self.finish(end)
    }

    fn begin(&self, phase: Phase, folder: tempfile::TempDir) {
        let mut state = self.state.borrow_mut();
        state.phase = phase;
        state.folder = Some(folder);
        state.ids = 0;
        state.monotonic = Duration::ZERO;
        (state.effects, state.reads, state.log) = (vec![], vec![], vec![]);
    }

    fn finish(&self, end: End) -> (Ran, Tree) {
        let mut state = self.state.borrow_mut();
        let folder = state.folder.take().expect("a run has its folder");
        let tree = files::read(folder.path());
        let ran = Ran {
            end,
            effects: std::mem::take(&mut state.effects),
            reads: std::mem::take(&mut state.reads),
            files: files::changes(&self.files, &tree),
            log: std::mem::take(&mut state.log),
        };
        (ran, tree)
    }
}
