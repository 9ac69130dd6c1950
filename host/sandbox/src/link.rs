//! The links of a run, made interface by interface, so that what is not named here does not exist for a guest.
//!
//! Never a helper that adds everything. Clocks and random sources are ours; of files, what would show the host is
//! ours; of `wasi:http` the two interfaces of a client are here, with requests that go to our broker; sockets are
//! not here at all.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{HasData, HasSelf, Linker, ResourceTable, ResourceType, Val};
use wasmtime::{Engine, Result, StoreContextMut};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, io, random};
use wasmtime_wasi_http::WasiHttp;
use wasmtime_wasi_http::p2::bindings::http::{outgoing_handler, types};

use crate::bindings::ops::capability::{effects, fetch, invoke, report};
use crate::clock::{ClockView, HasClock};
use crate::component::Code;
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
    if links.invoke {
        invoke::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    }
    if links.http {
        let stable = types::LinkOptions::default();
        types::add_to_linker::<State, WasiHttp>(&mut linker, &stable, State::http)?;
        outgoing_handler::add_to_linker::<State, WasiHttp>(&mut linker, State::http)?;
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
pub(crate) fn stubs(linker: &mut Linker<State>, code: &Code) -> Result<()> {
    let engine = code.inner().engine();
    // An interface that uses a resource of another one shows it again, and there it stays the other's.
    let mut known = Vec::new();
    for (name, item) in code.inner().component_type().imports(engine) {
        let ComponentItem::ComponentInstance(interface) = item.ty else { continue };
        for (member, item) in interface.exports(engine) {
            match item.ty {
                ComponentItem::Resource(resource) if !known.contains(&resource) => {
                    known.push(resource);
                    if !imports::is_base(name) {
                        let nothing = ResourceType::host::<Nothing>();
                        linker.instance(name)?.resource(member, nothing, |_, _| Ok(()))?;
                    }
                }
                ComponentItem::ComponentFunc(_) if !imports::is_base(name) => {
                    let why = format!("it called `{name}#{member}`");
                    let stub = move |_: StoreContextMut<'_, State>, _, _: &[Val], _: &mut [Val]| {
                        Err(wasmtime::Error::msg(why.clone()))
                    };
                    linker.instance(name)?.func_new(member, stub)?;
                }
                _ => (),
            }
        }
    }
    Ok(())
}

/// Stands in for every resource of an interface that is not there.
struct Nothing;

fn clock(state: &mut State) -> ClockView<'_> {
    ClockView { clock: &state.clock, table: &mut state.table }
}
