//! The links of a run, made interface by interface, so that what is not named here does not exist for a guest.
//!
//! Never a helper that adds everything. Clocks and random sources are ours; of files, what would show the host is
//! ours; sockets and `wasi:http` are not here at all.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{HasData, HasSelf, Linker, LinkerInstance, ResourceTable, ResourceType};
use wasmtime::{Engine, Result};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, io, random};

use crate::bindings::ops::capability::{effects, fetch, report};
use crate::clock::{ClockView, HasClock};
use crate::component::Component;
use crate::job::Links;
use crate::random::Random;
use crate::state::State;
use crate::{files, imports};

/// Marks a store that has a table of handles.
struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

/// The links of a run.
pub(crate) fn linker(engine: &Engine, links: Links) -> Result<Linker<State>> {
    let mut linker = base(engine)?;
    report::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    if links.fetch {
        fetch::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    }
    if links.effects {
        effects::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    }
    Ok(linker)
}

/// What every guest gets: the plumbing of a standard library, with nothing in it.
pub(crate) fn base(engine: &Engine) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    io::error::add_to_linker::<State, HasTable>(l, |state| &mut state.table)?;
    io::poll::add_to_linker::<State, HasTable>(l, |state| &mut state.table)?;
    io::streams::add_to_linker::<State, HasTable>(l, |state| &mut state.table)?;
    cli::environment::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::exit::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    clocks::wall_clock::add_to_linker::<State, HasClock>(l, clock)?;
    clocks::monotonic_clock::add_to_linker::<State, HasClock>(l, clock)?;
    random::random::add_to_linker::<State, HasSelf<Random>>(l, |state| &mut state.random)?;
    random::insecure::add_to_linker::<State, HasSelf<Random>>(l, |state| &mut state.random)?;
    random::insecure_seed::add_to_linker::<State, HasSelf<Random>>(l, |state| &mut state.random)?;
    filesystem::preopens::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)?;
    filesystem::types::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)?;
    files::link(l)?;
    Ok(linker)
}

/// Whatever else a component imports, as functions that end it when they are called. For descriptions alone.
///
/// The engine has a helper for this, but it stands in for interfaces of `base` too, where a component names an older
/// version of WASI 0.2 than the engine has.
pub(crate) fn stubs(linker: &mut Linker<State>, component: &Component) -> Result<()> {
    let engine = component.inner().engine();
    for (name, item) in component.inner().component_type().imports(engine) {
        match item.ty {
            ComponentItem::ComponentInstance(interface) if !imports::is_base(name) => {
                let mut stubs = linker.instance(name)?;
                for (member, item) in interface.exports(engine) {
                    stub(&mut stubs, &format!("{name}#{member}"), member, &item.ty)?;
                }
            }
            ComponentItem::ComponentFunc(_) => stub(&mut linker.root(), name, name, &item.ty)?,
            _ => (),
        }
    }
    Ok(())
}

/// Stands in for every resource of an interface that is not there.
struct Nothing;

fn stub(stubs: &mut LinkerInstance<State>, path: &str, member: &str, item: &ComponentItem) -> Result<()> {
    match item {
        ComponentItem::ComponentFunc(_) => {
            let why = format!("it called `{path}`");
            stubs.func_new(member, move |_, _, _, _| Err(wasmtime::Error::msg(why.clone())))
        }
        ComponentItem::Resource(_) => stubs.resource(member, ResourceType::host::<Nothing>(), |_, _| Ok(())),
        _ => Ok(()),
    }
}

fn clock(state: &mut State) -> ClockView<'_> {
    ClockView { clock: &state.clock, table: &mut state.table }
}
