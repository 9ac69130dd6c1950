//! The engine: one per process, with everything optional switched off. The host's compiles components; the one of a
//! process for guests runs what was compiled, and has no compiler.
//!
//! What is off cannot be reached: threads, shared memories, several memories, 64-bit memories, relaxed SIMD,
//! exceptions, garbage collection and the asynchronous component model each had advisories of their own. What is on
//! makes runs repeatable (one form of NaN) and stoppable (epochs).

use std::path::Path;

use ops_policy::digest::Digest;
use wasmtime::{Config, Engine, OptLevel, WasmFeatures};

use crate::cache::{self, Cache, CacheError};
use crate::component::Component;
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

/// Where components are made ready: the engine with its compiler, and the cache. No guest runs here.
pub struct Sandbox {
    engine: Engine,
    cache: Cache,
}

/// Where guests run in this process: the engine and its watchdog. The product has it in the processes that it starts
/// for guests, and nowhere else; tests and benches may have it anywhere.
pub struct Guests {
    pub(crate) engine: Engine,
    pub(crate) watchdog: Watchdog,
}

impl Guests {
    /// For the components that a sandbox has loaded.
    ///
    /// # Errors
    ///
    /// There is no thread for the watchdog.
    pub fn new(sandbox: &Sandbox) -> std::io::Result<Self> {
        Self::of(sandbox.engine.clone())
    }

    /// For the components of an engine.
    pub(crate) fn of(engine: Engine) -> std::io::Result<Self> {
        let watchdog = Watchdog::start(engine.clone())?;
        Ok(Self { engine, watchdog })
    }
}

impl Sandbox {
    /// Starts the engine. `cache` is the folder of compiled components; it is created with mode 0700 where it is
    /// missing.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Cache`] where the folder is not ours alone, [`SandboxError::Engine`] where the processor
    /// lacks something.
    pub fn new(cache: &Path) -> Result<Self, SandboxError> {
        let engine =
            Engine::new(&config()).map_err(|error| SandboxError::Engine(text::first_line(&error)))?;
        let cache = Cache::open(cache, &engine)?;
        Ok(Self { engine, cache })
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
    /// What the bytes are, where they are no component that this engine runs.
    pub fn load(&self, bytes: &[u8]) -> Result<Component, SandboxError> {
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
        let digest = Digest::of(bytes);
        if let Some(compiled) = self.cache.get(&self.engine, digest) {
            return Ok(Component::new(compiled, digest, true));
        }
        // Long names, imported many times over, would fill memory once they are listed.
        if let Err(error @ InspectError::TooMuch(_)) = inspect(bytes) {
            return Err(SandboxError::Invalid(error.to_string()));
        }
        let compiled = wasmtime::component::Component::from_binary(&self.engine, bytes)
            .and_then(|component| component.serialize())
            .map_err(|error| SandboxError::Invalid(text::first_line(&error)))?;
        // A cache that cannot be written costs time, never a run.
        if let Err(why) = self.cache.put(digest, &compiled) {
            tracing::warn!(%digest, %why, "the compiled component was not kept, the next run compiles it again");
        }
        let kept = self.cache.get(&self.engine, digest);
        let compiled = match kept {
            Some(compiled) => compiled,
            None => cache::in_memory(&self.engine, &compiled)
                .map_err(|why| SandboxError::Engine(format!("the compiled component has no place: {why}")))?,
        };
        Ok(Component::new(compiled, digest, false))
    }

    /// A component that was compiled here before, by the digest of its bytes: for a run that is replayed when its
    /// component has been replaced meanwhile. Its imports and exports are read off the compiled code, as for any other.
    ///
    /// `None` where this version of the engine has not compiled it, or its file is not as we left it. It says nothing
    /// of whether the lock allows that component: nothing but a replay may run what is loaded by its name alone.
    pub fn load_cached(&self, digest: Digest) -> Option<Component> {
        let compiled = self.cache.get(&self.engine, digest)?;
        Some(Component::new(compiled, digest, true))
    }
}

/// An engine for components that were compiled before: the same as that of [`Sandbox`], without its compiler.
pub(crate) fn without_compiler() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.enable_compiler(false);
    Engine::new(common(&mut config))
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_nan_canonicalization(true)
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
