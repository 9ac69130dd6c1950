//! The engine: one per process, with everything optional switched off. The host's compiles components, and is made when there
//! is one to compile; the one of a process for guests runs what was compiled, and has no compiler.
//!
//! What is off cannot be reached: threads, shared memories, several memories, 64-bit memories, relaxed SIMD,
//! exceptions, garbage collection and the asynchronous component model each had advisories of their own. What is on
//! makes runs repeatable (one form of NaN) and stoppable (epochs).

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use ops_policy::digest::Digest;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, WasmFeatures,
};

use crate::cache::{self, Cache, CacheError, Compiled};
use crate::card::Card;
use crate::component::{Code, Component};
use crate::inspect::{InspectError, inspect};
use crate::text;
use crate::watchdog::Watchdog;

/// The largest component that is accepted, in bytes.
pub const COMPONENT_BYTES: usize = 64 << 20;

/// The deepest stack of a guest, in bytes.
const STACK_BYTES: usize = 512 << 10;

/// How every WebAssembly binary begins.
const MAGIC: &[u8] = b"\0asm";
/// What follows in a component.
const COMPONENT: &[u8] = &[0x0d, 0, 1, 0];
/// What follows in a core module.
const CORE_MODULE: &[u8] = &[1, 0, 0, 0];

/// Why there is no component to run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The engine did not start.
    #[error("the engine does not start on this machine: {0}")]
    Engine(String),
    /// The cache folder cannot be trusted or used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The file is too large.
    #[error("the component has {size} bytes; at most {COMPONENT_BYTES} are accepted")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// It is a core module.
    #[error(
        "this is a core WebAssembly module and not a component; build it for the target wasm32-wasip2, whose linker makes components"
    )]
    CoreModule,
    /// It is something else.
    #[error("this is not a WebAssembly component; point the binding at the .wasm file that the build made")]
    NotComponent,
    /// The engine refuses it.
    #[error("the component is not valid for this engine: {0}")]
    Invalid(String),
}

/// What decides how code is compiled, as one number: that of the engine's version and settings, for a processor that has
/// nothing but what all of its kind have. A test says what it has to be.
const SETTINGS: u64 = 0x71e3_572c_b20d_8cc8;

/// The most instances of core modules, memories, tables and table elements for which a process keeps room from one run to
/// the next. A component that may have more has its room made for each run.
const POOL: (u32, u32, u32, usize) = (64, 4, 16, 4 << 20);

/// How much of a guest's memory is made empty by writing zeros, and kept, where the kernel tells which pages were written; and
/// where it does not. In bytes.
const KEPT_MEMORY: (usize, usize) = (4 << 20, 64 << 10);

/// The same of a table.
const KEPT_TABLE: usize = 16 << 10;

/// Where components are made ready: the cache, and an engine with its compiler once something is to be compiled. No guest
/// runs here.
pub struct Sandbox {
    engine: OnceLock<Engine>,
    cache: Cache,
}

/// Where the guests of one component run in this process: the engine with the component's code, and its watchdog. The product
/// has it in the processes that it starts for guests, and nowhere else; tests and benches may have it anywhere.
pub struct Guests {
    pub(crate) code: Code,
    pub(crate) watchdog: Watchdog,
}

impl Guests {
    /// Maps a component that a sandbox has loaded, for many runs one after the other.
    ///
    /// # Errors
    ///
    /// The code cannot be mapped, or there is no thread for the watchdog.
    pub fn new(component: &Component) -> io::Result<Self> {
        Self::start(mapped(component.file(), true)?, || ())
    }

    /// For code that is mapped. `tick` is called at every tick while a guest runs.
    pub(crate) fn start(code: Code, tick: impl Fn() + Send + 'static) -> io::Result<Self> {
        let watchdog = Watchdog::start(code.engine().clone(), tick)?;
        Ok(Self { code, watchdog })
    }
}

/// Maps a component's code: with room that is kept from one run to the next, where many are to come and the component fits.
pub(crate) fn mapped(file: &File, many_runs: bool) -> io::Result<Code> {
    let refuse = |error: wasmtime::Error| io::Error::other(text::first_line(&error));
    if many_runs && let Ok(code) = pooling().map_err(refuse).and_then(|engine| Code::map(&engine, file)) {
        return Ok(code);
    }
    Code::map(&without_compiler().map_err(refuse)?, file)
}

impl Sandbox {
    /// Opens the cache, the folder of compiled components; it is created with mode 0700 where it is missing.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Cache`] where the folder is not ours alone.
    pub fn new(cache: &Path) -> Result<Self, SandboxError> {
        Ok(Self { engine: OnceLock::new(), cache: Cache::open(cache, word())? })
    }

    /// The engine's name and version, as receipts and plans record them.
    pub fn engine_version() -> &'static str {
        "wasmtime 48.0.8"
    }

    /// Turns a component's bytes into something that runs: from the cache where these bytes were compiled before,
    /// else by compiling them.
    ///
    /// # Errors
    ///
    /// What the bytes are, where they are no component that this engine runs; [`SandboxError::Engine`] where the processor
    /// lacks something.
    pub fn load(&self, bytes: &[u8]) -> Result<Component, SandboxError> {
        self.load_hashed(bytes, Digest::of(bytes))
    }

    /// The same for bytes whose digest the caller has computed: what was compiled of other bytes under that digest would
    /// run.
    ///
    /// # Errors
    ///
    /// As for [`Sandbox::load`].
    pub fn load_hashed(&self, bytes: &[u8], digest: Digest) -> Result<Component, SandboxError> {
        if bytes.len() > COMPONENT_BYTES {
            return Err(SandboxError::TooLarge { size: bytes.len() });
        }
        let preamble = bytes.strip_prefix(MAGIC).ok_or(SandboxError::NotComponent)?;
        if preamble.starts_with(CORE_MODULE) {
            return Err(SandboxError::CoreModule);
        }
        if !preamble.starts_with(COMPONENT) {
            return Err(SandboxError::NotComponent);
        }
        match self.cache.get(digest) {
            Some(compiled) => Ok(Component::new(compiled, digest, true)),
            None => Ok(Component::new(self.compile(bytes, digest)?, digest, false)),
        }
    }

    fn compile(&self, bytes: &[u8], digest: Digest) -> Result<Compiled, SandboxError> {
        // Long names, imported many times over, would fill memory once they are listed.
        if let Err(error @ InspectError::TooMuch(_)) = inspect(bytes) {
            return Err(SandboxError::Invalid(error.to_string()));
        }
        let invalid = |error: wasmtime::Error| SandboxError::Invalid(text::first_line(&error));
        let component =
            wasmtime::component::Component::from_binary(self.engine()?, bytes).map_err(invalid)?;
        let (code, card) = (component.serialize().map_err(invalid)?, Card::of(&component));
        // A cache that cannot be written costs time, never a run.
        if let Err(why) = self.cache.put(digest, &code, &card) {
            tracing::warn!(%digest, %why, "the compiled component was not kept, the next run compiles it again");
        }
        if let Some(compiled) = self.cache.get(digest) {
            return Ok(compiled);
        }
        let file = cache::in_memory(&code)
            .map_err(|why| SandboxError::Engine(format!("the compiled component has no place: {why}")))?;
        Ok(Compiled { file, card })
    }

    fn engine(&self) -> Result<&Engine, SandboxError> {
        if let Some(engine) = self.engine.get() {
            return Ok(engine);
        }
        let engine =
            Engine::new(&config()).map_err(|error| SandboxError::Engine(text::first_line(&error)))?;
        Ok(self.engine.get_or_init(|| engine))
    }

    /// A component that was compiled here before, by the digest of its bytes: for a run that is replayed when its
    /// component has been replaced meanwhile.
    ///
    /// `None` where this version of the engine has not compiled it, or its file is not as we left it. It says nothing
    /// of whether the lock allows that component: nothing but a replay may run what is loaded by its name alone.
    pub fn load_cached(&self, digest: Digest) -> Option<Component> {
        let compiled = self.cache.get(digest)?;
        Some(Component::new(compiled, digest, true))
    }
}

/// An engine for components that were compiled before: the same as that of [`Sandbox`], without its compiler.
fn without_compiler() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.enable_compiler(false);
    Engine::new(common(&mut config))
}

/// The same with room for one instance at a time, which is kept: what was written is made empty again, instead of room being
/// taken from the system and given back.
fn pooling() -> wasmtime::Result<Engine> {
    let (instances, memories, tables, elements) = POOL;
    // Which pages were written the kernel says of those that are in memory: what was swapped out would be left as it was.
    // Looked at once: SECURITY.md says what that means for swap that is turned on later.
    let (memory, scan) = if swaps() { (KEPT_MEMORY.1, Enabled::No) } else { (KEPT_MEMORY.0, Enabled::Auto) };
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(1)
        .total_stacks(1)
        .total_core_instances(instances)
        .max_core_instances_per_component(instances)
        .total_memories(memories)
        .max_memories_per_component(memories)
        .total_tables(tables)
        .max_tables_per_component(tables)
        .table_elements(elements)
        .linear_memory_keep_resident(memory)
        .table_keep_resident(KEPT_TABLE)
        .pagemap_scan(scan);
    let mut config = Config::new();
    config.enable_compiler(false).allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(common(&mut config))
}

/// Whether this machine may put pages out to a disk. One that does not say so may.
fn swaps() -> bool {
    std::fs::read_to_string("/proc/swaps").map_or(true, |areas| areas.lines().count() > 1)
}

/// Engine, settings and processor, as one word: what was compiled under another one is not for this process.
fn word() -> String {
    let here = (Sandbox::engine_version(), SETTINGS, std::env::consts::ARCH, processor());
    let mut word = Digest::of(format!("{here:?}").as_bytes()).hex();
    word.truncate(16);
    word
}

/// What the compiler uses of this processor where it has it.
#[cfg(target_arch = "x86_64")]
fn processor() -> impl std::fmt::Debug {
    use std::arch::is_x86_feature_detected as has;
    [
        has!("sse3"),
        has!("ssse3"),
        has!("sse4.1"),
        has!("sse4.2"),
        has!("popcnt"),
        has!("cmpxchg16b"),
        has!("avx"),
        has!("avx2"),
        has!("fma"),
        has!("bmi1"),
        has!("bmi2"),
        has!("lzcnt"),
        has!("avx512f"),
        has!("avx512dq"),
        has!("avx512vl"),
        has!("avx512bitalg"),
        has!("avx512vbmi"),
    ]
}
#[cfg(target_arch = "aarch64")]
fn processor() -> impl std::fmt::Debug {
    use std::arch::is_aarch64_feature_detected as has;
    [has!("lse"), has!("paca"), has!("fp16")]
}
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn processor() -> impl std::fmt::Debug {}

fn config() -> Config {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_nan_canonicalization(true)
        // For debuggers, which no guest has.
        .native_unwind_info(false)
        .parallel_compilation(true);
    common(&mut config);
    config
}

/// What both engines have to agree on.
fn common(config: &mut Config) -> &Config {
    config
        .memory_init_cow(true)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES)
        .concurrency_support(false)
        .gc_support(false)
        .shared_memory(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false)
        .wasm_features(WasmFeatures::THREADS | WasmFeatures::EXCEPTIONS, false)
        // A backtrace names functions and files of whoever built the guest, and costs time on every trap.
        .wasm_backtrace_max_frames(None)
        // Which it would need a map of the code for.
        .generate_address_map(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Guest, sandbox};

    /// The lock file is what was built, so the text that receipts carry is compared with it.
    #[test]
    fn the_version_is_the_one_in_the_lock_file() {
        let lock = include_str!("../../../Cargo.lock");
        let entry = lock.split("[[package]]").find(|entry| entry.contains("name = \"wasmtime\"\n")).unwrap();
        let version = entry.lines().find_map(|line| line.strip_prefix("version = ")).unwrap();
        assert_eq!(Sandbox::engine_version(), format!("wasmtime {}", version.trim_matches('"')));
    }

    /// A change of engine or settings has to be another word in the names of compiled files. The engine's own hash is for the
    /// processor at hand, so it is asked for one that has nothing special.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn settings_are_those_of_the_engine() {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let engine = Engine::new(config().target("x86_64-unknown-linux-gnu").unwrap()).unwrap();
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        assert_eq!(SETTINGS, hasher.finish(), "write {:#x} in the place of it", hasher.finish());
    }

    /// What does not fit the room that is kept runs all the same.
    #[test]
    fn a_large_component_has_its_room_made_for_it() {
        let (sandbox, _folder) = sandbox();
        let modules = "(core instance (instantiate 0))".repeat(5);
        let component = format!("(component (core module (memory 1)) {modules})");
        let component = sandbox.load(&wat::parse_str(component).unwrap()).unwrap();
        assert!(Code::map(&pooling().unwrap(), component.file()).is_err());
        assert!(mapped(component.file(), true).is_ok());
        let component = sandbox.load(&Guest::default().build()).unwrap();
        assert!(Code::map(&pooling().unwrap(), component.file()).is_ok());
    }

    #[test]
    fn what_is_no_component_is_refused_in_words() {
        let (sandbox, _folder) = sandbox();
        let module = wat::parse_str("(module)").unwrap();
        let mut torn = Guest::default().build();
        torn.truncate(torn.len() / 2);
        for (bytes, expected) in [
            (&b""[..], "not a WebAssembly component"),
            (b"\0asm", "not a WebAssembly component"),
            (b"#!/bin/sh\n", "not a WebAssembly component"),
            (b"(component)", "not a WebAssembly component"),
            (&module, "core WebAssembly module"),
            (&torn, "not valid"),
        ] {
            let error = sandbox.load(bytes).err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let error = sandbox.load(&vec![0; COMPONENT_BYTES + 1]).err().unwrap();
        assert!(matches!(error, SandboxError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn optional_features_are_off() {
        let (sandbox, _folder) = sandbox();
        for module in [
            "(memory 1 1 shared)",
            "(memory 1) (memory 1)",
            "(memory i64 1)",
            "(tag) (func throw 0)",
            "(type (struct))",
            "(func (param v128) (result v128) local.get 0 local.get 0 i8x16.relaxed_swizzle)",
        ] {
            let component = wat::parse_str(format!("(component (core module {module}))")).unwrap();
            assert!(matches!(sandbox.load(&component), Err(SandboxError::Invalid(_))), "{module}");
        }
    }
}
