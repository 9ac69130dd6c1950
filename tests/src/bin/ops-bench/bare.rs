//! The baseline of a warm run: the engine's own loop over the same component, with the settings that the host's processes
//! for guests have, and nothing around it: no limits, no confinement, no broker, no record.

use std::fs;
use std::path::Path;

use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Store,
    UpdateDeadline, WasmFeatures,
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "made from the contract, of which one call is used"
)]
mod contract {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "capability",
        imports: { default: async | trappable },
        exports: { default: async },
    });
}

use contract::CapabilityPre;
use contract::exports::ops::capability::guest::Input;

/// What a store holds: WASI with nothing in it.
struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// A component, linked.
pub(crate) struct Bare {
    engine: Engine,
    linked: CapabilityPre<State>,
}

impl Bare {
    /// Compiles and links a component.
    pub(crate) fn new(component: &Path) -> Self {
        let engine = Engine::new(&config()).unwrap();
        let component = Component::from_binary(&engine, &fs::read(component).unwrap()).unwrap();
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        let linked = CapabilityPre::new(linker.instantiate_pre(&component).unwrap()).unwrap();
        Self { engine, linked }
    }

    /// What the guest is called with.
    pub(crate) fn input(arguments: &str) -> Input {
        Input { arguments: arguments.to_owned(), config: "{}".to_owned(), services: Vec::new() }
    }

    /// A new store, the call, and the store dropped.
    pub(crate) async fn call(&self, input: &Input) -> String {
        let state = State { wasi: WasiCtx::builder().build(), table: ResourceTable::new() };
        let mut store = Store::new(&self.engine, state);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Yield(1)));
        let guest = self.linked.instantiate_async(&mut store).await.unwrap();
        guest.ops_capability_guest().call_run(&mut store, input).await.unwrap().unwrap()
    }
}

/// As `ops_sandbox::engine` has it, the compiler's settings with those of its pool.
fn config() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(1)
        .total_stacks(1)
        .total_core_instances(64)
        .max_core_instances_per_component(64)
        .total_memories(4)
        .max_memories_per_component(4)
        .total_tables(16)
        .max_tables_per_component(16)
        .table_elements(4 << 20)
        .linear_memory_keep_resident(4 << 20)
        .table_keep_resident(16 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_nan_canonicalization(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_init_cow(true)
        .epoch_interruption(true)
        .max_wasm_stack(512 << 10)
        .concurrency_support(false)
        .gc_support(false)
        .shared_memory(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false)
        .wasm_features(WasmFeatures::THREADS | WasmFeatures::EXCEPTIONS, false)
        .wasm_backtrace_max_frames(None);
    config
}
