//! What a thread waits with for the answers of its run, kept for its next run.

use std::cell::Cell;

use tokio::runtime::{Builder, Runtime};

thread_local! {
    static KEPT: Cell<Option<Runtime>> = const { Cell::new(None) };
}

/// Waits for a run, on a thread that may block.
///
/// # Errors
///
/// There is no runtime, because the system has no more descriptors, for one.
pub(crate) fn block_on<F: Future>(run: F) -> std::io::Result<F::Output> {
    let runtime = match KEPT.take() {
        Some(kept) => kept,
        None => Builder::new_current_thread().enable_all().build()?,
    };
    let done = runtime.block_on(run);
    // What a run has left behind, a connection for one, goes with its runtime.
    if runtime.metrics().num_alive_tasks() == 0 {
        KEPT.set(Some(runtime));
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn nothing_of_a_run_outlives_it() {
        let left = Arc::new(());
        let held = left.clone();
        block_on(async { drop(tokio::spawn(std::future::pending::<()>())) }).unwrap();
        block_on(async move {
            tokio::spawn(async move {
                let _held = held;
                std::future::pending::<()>().await;
            });
        })
        .unwrap();
        assert_eq!(Arc::strong_count(&left), 1);
        block_on(async {}).unwrap();
        assert!(KEPT.take().is_some(), "one that left nothing is kept");
    }
}
