//! The soak bench in short: what is in it, `benches/soak/` says.
#![cfg(target_os = "linux")]

use std::time::Duration;

use session_node_testing::soak;

#[test]
fn under_a_mix_of_everything_the_sums_add_up_and_memory_stays_flat() {
    let length = Duration::from_secs(20);
    let soak = soak::run(env!("CARGO_BIN_EXE_session-node"), length, 8, |_| ());
    let soak = soak.expect("every reply is one that its request may get");
    assert!(soak.requests > 10_000, "{} requests", soak.requests);
    assert!(soak.stats["expired"].as_u64() > Some(0), "{}", soak.stats);
    // The machine may be busier at one time than at another, and memory is for as many sessions as there ever were at
    // once.
    let bytes_a_session = |number: usize| {
        let most = soak.looks[..=number].iter().map(|look| look.live_sessions);
        soak.looks[number].resident_kib * 1024 / most.max().unwrap_or_default().max(1)
    };
    // By the end, all sessions that there were in the middle have ended.
    let (middle, last) = (bytes_a_session(4), bytes_a_session(7));
    assert!(
        last < middle * 5 / 4,
        "{middle} bytes a session became {last}"
    );
}
