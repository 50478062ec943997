//! The node under test, which Cargo builds for the bench.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Builds the node with the features of this bench, and returns the path of its program.
///
/// Cargo passes `CARGO_BIN_EXE_session-node` to session-node's own package only. A program that merely lies in the
/// target directory may be older than the source, so the path comes from the build itself.
///
/// Cargo starts a bench in the directory of its package. This function goes to the root of the repository, to which
/// paths on the command line and `CARGO_TARGET_DIR` are relative.
pub fn build() -> Result<PathBuf> {
    std::env::set_current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))?;
    let features = [
        ("redis", cfg!(feature = "redis")),
        ("sqlite", cfg!(feature = "sqlite")),
        ("socket", cfg!(feature = "socket")),
    ];
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "build",
        "--release",
        "--locked",
        "--package=session-node",
        "--bin=session-node",
    ]);
    cargo.arg("--message-format=json-render-diagnostics");
    for (feature, _) in features.iter().filter(|(_, enabled)| *enabled) {
        cargo.arg(format!("--features={feature}"));
    }
    let output = cargo.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "session-node does not build");
    let messages = String::from_utf8(output.stdout)?;
    let executable = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executable.context("cargo names no program")
}
