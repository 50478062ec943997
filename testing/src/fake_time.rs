//! The wall clock as a real process sees it, set by hand: with libfaketime, which answers instead of the C library. The
//! boot clock stays true, since the node asks the kernel for it.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use crate::place::Place;

/// Where a distribution or an administrator puts the library.
const PLACES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime",
    "/usr/lib/aarch64-linux-gnu/faketime",
    "/usr/lib/faketime",
    "/usr/lib64/faketime",
    "/usr/local/lib/faketime",
];

/// A clock that stands still until it is set.
pub struct FakeTime {
    library: PathBuf,
    place: Place,
    shows: Cell<u64>,
}

impl FakeTime {
    /// None, and a word about it, where the library is not installed; a failure where it has to be.
    pub fn at(test: &str, unix_seconds: u64) -> Option<Self> {
        let paths = PLACES
            .iter()
            .map(|place| PathBuf::from(place).join("libfaketime.so.1"));
        let Some(library) = paths.into_iter().find(|path| path.exists()) else {
            assert!(
                std::env::var_os("SESSION_NODE_REQUIRE_FAKETIME").is_none(),
                "no libfaketime is installed, and SESSION_NODE_REQUIRE_FAKETIME asks for it"
            );
            eprintln!("skipped: no libfaketime is installed");
            return None;
        };
        let place = Place::new(test);
        let shows = Cell::new(unix_seconds);
        let clock = Self {
            library,
            place,
            shows,
        };
        clock.set(unix_seconds);
        Some(clock)
    }

    /// Whoever asks from now on is told this.
    pub fn set(&self, unix_seconds: u64) {
        let moment = UNIX_EPOCH + Duration::from_secs(unix_seconds);
        let text = humantime::format_rfc3339_seconds(moment).to_string();
        let text = text.replace('T', " ").replace('Z', "\n");
        // A node may look at any moment: it finds the old file or the new one.
        let written = self.place.file().with_extension("new");
        fs::write(&written, text).expect("the file can be written");
        fs::rename(&written, self.place.file()).expect("the file can be replaced");
        self.shows.set(unix_seconds);
    }

    /// What it shows, in seconds since 1970.
    pub fn shows(&self) -> u64 {
        self.shows.get()
    }

    /// Puts a process under this clock.
    pub fn rule(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", self.place.file())
            .env("FAKETIME_NO_CACHE", "1")
            .env("TZ", "UTC");
    }
}
