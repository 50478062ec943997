//! Parses the options that concern a Unix socket.

use std::path::PathBuf;

use clap::{Args, Parser};

/// Which socket the node serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// The node makes a socket at this path.
    Path(PathBuf),
    /// The service manager has made a socket and passed it on (systemd's `LISTEN_FDS`).
    Systemd,
}

/// The options of a node that serves a socket.
#[derive(Args)]
#[command(next_help_heading = "Socket")]
pub struct SocketArguments {
    /// Serve every process that connects to a Unix socket, in place of stdin and stdout: `unix:PATH`, or `systemd` for
    /// the socket that systemd passes on
    #[arg(long, value_name = "ADDRESS", value_parser = listen)]
    pub listen: Option<Listen>,

    /// Permissions of the socket, in octal digits
    #[arg(long, value_name = "MODE", default_value = "600", value_parser = mode, requires = "listen")]
    pub listen_mode: u32,

    /// How many connections the node serves at a time; it refuses further ones with error 11
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "1024",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000),
        requires = "listen"
    )]
    pub max_connections: u32,
}

/// Sends the lines of stdin to a node that serves a socket, and prints its replies.
#[derive(Parser)]
#[command(name = "session-node call", version, max_term_width = 100, after_help = CALL_EXAMPLE)]
pub struct CallArguments {
    /// The path of the node's socket
    #[arg(long, value_name = "PATH")]
    pub socket: PathBuf,
}

const CALL_EXAMPLE: &str = r#"Example:
  echo '{"type":"stats"}' | session-node call --socket /run/session-node/socket

Exit status: 0 if the node has answered; 1 if it cannot be reached or goes away; 2 if the command
line is wrong; 3 if a reply is an error."#;

fn listen(text: &str) -> Result<Listen, String> {
    match text.strip_prefix("unix:") {
        Some(path) if path.starts_with("//") => {
            Err("expected unix:PATH, without // before the path".into())
        }
        Some(path) if !path.is_empty() => Ok(Listen::Path(path.into())),
        None if text == "systemd" => Ok(Listen::Systemd),
        _ => Err("expected unix:PATH or systemd".into()),
    }
}

fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok();
    mode.filter(|mode| *mode <= 0o777)
        .ok_or_else(|| "expected permissions in octal digits, such as 600 or 660".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_path_or_the_word_systemd() {
        let path = |path: &str| Ok(Listen::Path(path.into()));
        assert_eq!(listen("unix:/run/a.sock"), path("/run/a.sock"));
        assert_eq!(listen("unix:a"), path("a"));
        assert_eq!(listen("systemd"), Ok(Listen::Systemd));
        for wrong in ["", "unix:", "unix:///run/a", "/run/a.sock", "tcp:80"] {
            assert!(listen(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_mode_is_octal() {
        assert_eq!(mode("660"), Ok(0o660));
        for wrong in ["", "8", "1000", "-1", "rw"] {
            assert!(mode(wrong).is_err(), "{wrong}");
        }
    }
}
