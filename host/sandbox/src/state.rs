//! What the host keeps for one guest while it runs, and nothing of any other.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};

use crate::bounds::Bounds;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::http::Http;
use crate::job::Mount;
use crate::limits::Limiter;
use crate::random::Random;
use crate::stdio::Sink;

/// The most handles that a guest may hold at a time.
pub(crate) const HANDLES: usize = 1024;

/// The data of a store.
pub(crate) struct State {
    pub(crate) wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) limiter: Limiter,
    pub(crate) broker: Arc<Mutex<dyn Broker>>,
    pub(crate) bounds: Arc<Bounds>,
    pub(crate) http: Http,
    /// The numbers under which a guest knows files, by the host's own identity of each.
    pub(crate) file_numbers: HashMap<(u64, u64), u64>,
}

impl State {
    pub(crate) fn new(
        wasi: WasiCtx,
        clock: Clock,
        seed: [u8; 32],
        memory: u64,
        broker: Arc<Mutex<dyn Broker>>,
        bounds: Arc<Bounds>,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        let (random, limiter) = (Random::new(seed), Limiter::new(memory));
        let (http, file_numbers) = (Http::new(), HashMap::new());
        Self { wasi, table, clock, random, limiter, broker, bounds, http, file_numbers }
    }

    /// The WASI context of a guest: no arguments, no environment, closed input, and these folders.
    ///
    /// # Errors
    ///
    /// The guest's name of the first folder that cannot be opened.
    pub(crate) fn wasi(stdout: &Sink, stderr: &Sink, mounts: &[Mount]) -> Result<WasiCtx, String> {
        let mut wasi = WasiCtx::builder();
        // Every folder is a private copy that holds regular files and folders only, so no call can park the thread.
        wasi.stdout(stdout.clone()).stderr(stderr.clone()).allow_blocking_current_thread(true);
        for mount in mounts {
            let perms = if mount.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            wasi.preopened_dir(&mount.host, &mount.guest, perms).map_err(|_| mount.guest.clone())?;
        }
        Ok(wasi.build())
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
