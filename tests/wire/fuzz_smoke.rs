//! The fuzz targets on stable Rust: every input of their corpora and every input that once showed a fault, and as many
//! random changes to them as take a few seconds. What the targets check is in `fuzz/src/`.

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Longer inputs only take longer.
const MAX_INPUT_BYTES: usize = 4096;

/// The inputs of a target, by file: its corpus, and what once made it fail.
fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut paths = Vec::new();
    for kind in ["corpus", "crashes"] {
        let directory = fuzz.join(kind).join(target);
        // Of crashes there may be none.
        for entry in fs::read_dir(directory).into_iter().flatten() {
            paths.push(entry.expect("the directory can be read").path());
        }
    }
    paths.sort();
    let read = |path: PathBuf| {
        let input = fs::read(&path).expect("the input can be read");
        (path, input)
    };
    paths.into_iter().map(read).collect()
}

/// Runs every input, and so many changed ones, which are the same each time.
fn smoke(target: &str, run: fn(&[u8]), changed_inputs: u64) {
    let inputs = inputs(target);
    assert!(!inputs.is_empty(), "{target} has a corpus");
    for (path, input) in &inputs {
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| run(input)));
        assert!(outcome.is_ok(), "{} shows a fault", path.display());
    }
    let mut random = StdRng::seed_from_u64(1);
    for number in 0..changed_inputs {
        let input = changed(&inputs, &mut random);
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| run(&input)));
        let shown = input.escape_ascii();
        assert!(
            outcome.is_ok(),
            "changed input {number} shows a fault: {shown}"
        );
    }
}

/// One of the inputs with a few changes.
fn changed(inputs: &[(PathBuf, Vec<u8>)], random: &mut StdRng) -> Vec<u8> {
    let pick = |random: &mut StdRng| &inputs[random.random_range(0..inputs.len())].1;
    let mut input = pick(random).clone();
    for _ in 0..random.random_range(1..6) {
        let from = random.random_range(0..=input.len());
        let to = random.random_range(from..=input.len().min(from + 40));
        match random.random_range(0..5) {
            0 => {
                input.drain(from..to);
            }
            1 => {
                let copy = input[from..to].to_vec();
                let at = random.random_range(0..=input.len());
                input.splice(at..at, copy);
            }
            2 => {
                let other = pick(random);
                let start = random.random_range(0..=other.len());
                let end = random.random_range(start..=other.len().min(start + 200));
                input.splice(from..to, other[start..end].iter().copied());
            }
            3 => input.insert(from, random.random()),
            _ => {
                if let Some(byte) = input.get_mut(from) {
                    *byte ^= 1 << random.random_range(0..8);
                }
            }
        }
    }
    input.truncate(MAX_INPUT_BYTES);
    input
}

#[test]
fn any_bytes_as_a_line_are_read_as_other_parsers_read_them_or_refused() {
    smoke("decode", targets::decode::run, 60_000);
}

#[test]
fn any_bytes_as_input_are_answered_line_by_line_within_the_limits() {
    smoke("node", targets::node::run, 3_000);
}

#[test]
fn any_row_of_operations_is_answered_as_the_naive_model_answers_it() {
    smoke("operations", targets::operations::run, 1_500);
}
