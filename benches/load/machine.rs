//! The machine: what it is, and what its kernel says of a process.

use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

/// CPU time that a process has used, thread by thread, so that a thread that ends takes nothing from the
/// difference between two such readings but its own.
pub struct CpuTime(HashMap<u32, Duration>);

impl CpuTime {
    /// What the process has used so far, in user and kernel mode, from the scheduler's accounting in nanoseconds.
    pub fn of(pid: u32) -> Result<Self> {
        let mut threads = HashMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task")).context("no such process")? {
            let entry = entry?;
            // A thread may end between the two.
            let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else {
                continue;
            };
            let nanos = text.split(' ').next().unwrap_or_default().parse()?;
            let thread = entry.file_name().to_string_lossy().parse()?;
            threads.insert(thread, Duration::from_nanos(nanos));
        }
        Ok(Self(threads))
    }

    /// What was used since an earlier reading.
    pub fn since(&self, earlier: &Self) -> Duration {
        let used = |(thread, now): (&u32, &Duration)| {
            let before = earlier.0.get(thread).copied().unwrap_or_default();
            now.saturating_sub(before)
        };
        self.0.iter().map(used).sum()
    }
}

/// Bytes of memory that a process has resident.
pub fn resident_bytes(pid: u32) -> Result<usize> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("no such process")?;
    let kibibytes: usize = field(&status, "VmRSS:")
        .and_then(|text| text.trim_end_matches(" kB").trim().parse().ok())
        .context("no VmRSS in /proc/PID/status")?;
    Ok(kibibytes * 1024)
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))
}

/// Whether a program can be run. Asks for its version, since there is no other harmless thing to run.
pub fn has(program: &str) -> bool {
    output_of(program, &["--version"]).is_some()
}

/// Binds the driver, with all its threads, to the first processor.
pub fn pin_driver() -> bool {
    let pid = std::process::id().to_string();
    output_of("taskset", &["-a", "-c", "-p", "0", &pid]).is_some()
}

/// Where and when a run took place, as lines of Markdown.
pub fn describe(pinned: bool) -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = field(&cpuinfo, "model name").map_or("unknown processor", |text| {
        text.trim_matches([' ', '\t', ':'])
    });
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let placement = if pinned {
        "the driver on core 0, the contestant on core 1"
    } else {
        "not pinned, for want of taskset"
    };
    format!(
        "- machine: {model}, {cores} cores, Linux {}; {placement}\n- date: {}\n- commit: {}\n- command: `{}`\n",
        kernel.trim(),
        humantime::format_rfc3339_seconds(SystemTime::now()),
        commit(),
        command(),
    )
}

fn commit() -> String {
    let head = output_of("git", &["rev-parse", "--short", "HEAD"]);
    let changed = output_of(
        "git",
        &[
            "status",
            "--porcelain",
            "--",
            "src",
            "Cargo.toml",
            "Cargo.lock",
        ],
    );
    match (head, changed) {
        (Some(head), Some(changed)) if changed.is_empty() => head,
        (Some(head), _) => format!("{head}, with changes that were not committed"),
        _ => "unknown".to_owned(),
    }
}

fn command() -> String {
    let arguments = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench");
    let mut command = "cargo bench --bench load".to_owned();
    for (place, argument) in arguments.enumerate() {
        command += if place == 0 { " -- " } else { " " };
        command += &argument;
    }
    command
}

fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| text.trim().to_owned())
}
