//! Redis under the same load, as a user would ask it: `SET … EX` for a session that begins, `GET` for one that is
//! validated, 256 commands a pipeline, over loopback.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::contestant::{Cost, can_pin, cpu_time, resident_bytes};

const PIPELINE: usize = 256;

pub struct Redis {
    server: Child,
    connection: TcpStream,
}

impl Redis {
    /// Starts a server on a free port. None where Redis is not installed.
    pub fn start() -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0")
            .ok()?
            .local_addr()
            .ok()?
            .port();
        let mut words = vec![
            "redis-server".into(),
            "--save".into(),
            String::new(),
            "--appendonly".into(),
            "no".into(),
        ];
        words.extend([
            "--port".into(),
            free.to_string(),
            "--bind".into(),
            "127.0.0.1".into(),
        ]);
        if can_pin() {
            words.splice(0..0, ["taskset", "-c", "1"].map(String::from));
        }
        Command::new("redis-server")
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .ok()?;
        let server = Command::new(&words[0])
            .args(&words[1..])
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        for _ in 0..100 {
            if let Ok(connection) = TcpStream::connect(("127.0.0.1", free)) {
                connection.set_nodelay(true).ok()?;
                return Some(Self { server, connection });
            }
            sleep(Duration::from_millis(50));
        }
        None
    }

    /// Sends commands in pipelines; each reply must have as many line ends as `lines`.
    pub fn exchange(&mut self, commands: &[String], lines: usize) -> Cost {
        let cpu_before = cpu_time(self.server.id());
        let start = Instant::now();
        let mut buffer = vec![0; 64 * 1024];
        for pipeline in commands.chunks(PIPELINE) {
            self.connection
                .write_all(pipeline.concat().as_bytes())
                .expect("Redis reads");
            let mut missing = pipeline.len() * lines;
            while missing > 0 {
                let arrived = self.connection.read(&mut buffer).expect("Redis answers");
                assert!(arrived > 0, "Redis ended");
                assert!(
                    buffer[0] != b'-',
                    "{}",
                    String::from_utf8_lossy(&buffer[..arrived])
                );
                missing -= memchr::memchr_iter(b'\n', &buffer[..arrived]).count();
            }
        }
        Cost {
            requests: commands.len(),
            wall: start.elapsed(),
            cpu: cpu_time(self.server.id()).saturating_sub(cpu_before),
        }
    }

    pub fn one_at_a_time(&mut self, command: &str, times: usize) -> Vec<Duration> {
        let mut took: Vec<Duration> = (0..times)
            .map(|_| self.exchange(&[command.to_owned()], 2).wall)
            .collect();
        took.sort_unstable();
        took
    }

    pub fn resident_bytes(&self) -> usize {
        resident_bytes(self.server.id())
    }

    pub fn finish(mut self) {
        self.server.kill().expect("a child can be ended");
        self.server.wait().expect("a child can be waited for");
    }
}

pub fn set(id: &str, user: &str) -> String {
    command(&["SET", id, user, "EX", "3600"])
}

pub fn get(id: &str) -> String {
    command(&["GET", id])
}

fn command(words: &[&str]) -> String {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        write!(command, "${}\r\n{word}\r\n", word.len()).expect("memory can be written");
    }
    command
}
