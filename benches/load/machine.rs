//! What the kernel reports about a process, and a description of the machine.

use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

/// The CPU time of a process by thread, so that a thread that ends lowers no difference between two readings by more
/// than its own part.
pub struct CpuTime(HashMap<u32, Duration>);

impl CpuTime {
    /// Reads the time in user and kernel mode from the scheduler's accounting.
    pub fn of(pid: u32) -> Result<Self> {
        let mut threads = HashMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task")).context("no such process")? {
            let entry = entry?;
            // The thread may have ended since the directory was read.
            let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else {
                continue;
            };
            let nanos = text.split(' ').next().unwrap_or_default().parse()?;
            let thread = entry.file_name().to_string_lossy().parse()?;
            threads.insert(thread, Duration::from_nanos(nanos));
        }
        Ok(Self(threads))
    }

    /// The time since an earlier reading.
    pub fn since(&self, earlier: &Self) -> Duration {
        let used = |(thread, now): (&u32, &Duration)| {
            let before = earlier.0.get(thread).copied().unwrap_or_default();
            now.saturating_sub(before)
        };
        self.0.iter().map(used).sum()
    }
}

/// The resident memory of a process.
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

/// Whether a program can be run: asks for its version.
pub fn has(program: &str) -> bool {
    output_of(program, &["--version"]).is_some()
}

/// Pins all threads of the driver to the first core.
pub fn pin_driver() -> bool {
    let pid = std::process::id().to_string();
    output_of("taskset", &["-a", "-c", "-p", "0", &pid]).is_some()
}

/// Where and when a run took place, as lines of Markdown.
pub fn describe(is_pinned: bool) -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = field(&cpuinfo, "model name").map_or("unknown processor", |text| {
        text.trim_matches([' ', '\t', ':'])
    });
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let cores_used = if is_pinned {
        "the driver on core 0, the contestant on core 1"
    } else {
        "not pinned, because taskset is missing"
    };
    format!(
        "- machine: {model}, {cores} cores, Linux {}; {cores_used}\n- date: {}\n- commit: {}\n- command: `{}`\n",
        kernel.trim(),
        humantime::format_rfc3339_seconds(SystemTime::now()),
        commit(),
        command(),
    )
}

fn commit() -> String {
    let head = output_of("git", &["rev-parse", "--short", "HEAD"]);
    let sources = [
        "status",
        "--porcelain",
        "--",
        "src",
        "Cargo.toml",
        "Cargo.lock",
    ];
    let changed = output_of("git", &sources);
    match (head, changed) {
        (Some(head), Some(changed)) if changed.is_empty() => head,
        (Some(head), _) => format!("{head}, with changes that were not committed"),
        _ => "unknown".to_owned(),
    }
}

fn command() -> String {
    let mut words = vec!["cargo bench --bench load --".to_owned()];
    words.extend(std::env::args().skip(1).filter(|word| word != "--bench"));
    words.join(" ").trim_end_matches(" --").to_owned()
}

fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| text.trim().to_owned())
}
