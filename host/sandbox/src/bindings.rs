//! The contract in `wit/`, as the types and traits that the engine makes of it. Nothing of it leaves this crate:
//! `convert` turns it into the plain messages of `ops-policy` and back.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "capability",
    imports: { default: async | trappable },
    exports: { default: async },
});
