//! The front end for agents, as others' clients see it, and as those who mean ill do.

pub(crate) mod clients;
mod output;
mod same_user;
mod schemas;
mod separate;
mod serving;
mod spinning;
mod ways;

use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    [
        clients::trials(),
        ways::trials(),
        same_user::trials(),
        serving::trials(),
        output::trials(),
        spinning::trials(),
        schemas::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
