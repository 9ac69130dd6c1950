//! Guests that take what they can get: time, memory, the size of an output.

use super::Test;
use super::yard::{Yard, kept};

pub(super) const TESTS: &[Test] = &[
    ("spins", "stopped_when_its_time_is_up", |yard| out_of_time(yard)),
    ("sleeps", "stopped_when_its_time_is_up", |yard| out_of_time(yard)),
    ("allocates", "stopped_at_its_memory", allocates),
    ("big-output", "stopped_one_byte_past_its_output", big_output),
];

fn out_of_time(yard: &Yard) {
    yard.bind("limits: {time: 1s}");
    let run =
        yard.run(&[]).ends("failed", 4, Some("limit-time")).denies("limit", "1 s, the binding's limits.time");
    assert!(run.receipt["usage"]["peakMemoryBytes"].as_u64().unwrap() > 0, "the guest was not started");
}

fn allocates(yard: &Yard) {
    const MIB: u64 = 1 << 20;
    yard.bind("limits: {memory: 16MiB}");
    let told = "more than 16 MiB, the binding's limits.memory";
    let run = yard.run(&[]).ends("failed", 4, Some("limit-memory")).denies("limit", told).says(told);
    let peak = run.receipt["usage"]["peakMemoryBytes"].as_u64().unwrap();
    assert!((8 * MIB..=16 * MIB).contains(&peak), "{peak} bytes");
}

fn big_output(yard: &Yard) {
    yard.bind("limits: {output: 1KiB}");
    // `{"letters":""}` is 14 bytes.
    let run = yard.run(&["--bytes", "1011"]);
    let run =
        run.ends("failed", 4, Some("limit-output")).denies("limit", "1 KiB, the binding's limits.output");
    assert_eq!(
        (run.ran.stdout.as_str(), kept(&run.receipt)),
        ("", vec!["recording.json"]),
        "it is kept all the same"
    );

    let run = yard.run(&["--bytes", "1010"]).ends("done", 0, None).denies_nothing();
    assert_eq!(run.output()["letters"].as_str().unwrap().len(), 1010);
}
