//! The soak bench in short: what is in it, `benches/soak/` says.
#![cfg(target_os = "linux")]

#[path = "../benches/soak/peer.rs"]
mod peer;
#[path = "../benches/soak/soak.rs"]
#[allow(dead_code, reason = "the bench shows what is only measured here")]
mod soak;

use std::time::Duration;

#[test]
fn under_a_mix_of_everything_the_sums_add_up_and_memory_stays_flat() {
    let looks = 8;
    let length = Duration::from_secs(20);
    let soak = soak::run(env!("CARGO_BIN_EXE_session-node"), length, looks, |_| ());
    let soak = soak.expect("every reply is one that its request may get");
    assert!(soak.requests > 10_000, "{} requests", soak.requests);
    assert!(soak.stats["expired"].as_u64() > Some(0), "{}", soak.stats);
    // By then, all sessions that there were at the half have ended.
    let [.., middle, _, _, last] = &soak.looks[..] else {
        panic!("there are {looks} looks");
    };
    let (middle, last) = (middle.resident_kib, last.resident_kib);
    assert!(
        last < middle * 5 / 4 + 1024,
        "{middle} KiB became {last} KiB"
    );
}
