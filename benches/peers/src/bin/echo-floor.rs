//! The floor of latency: writes each line back. What no program that reads one line from a pipe and writes
//! one to another can beat.

use session_node_peers::answer_batches;

fn main() -> std::io::Result<()> {
    answer_batches(|line, replies| {
        replies.extend_from_slice(line);
        replies.push(b'\n');
    })
}
