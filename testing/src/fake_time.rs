//! The wall clock as a real process sees it, set by hand: with libfaketime, which answers instead of the C library. The
//! boot clock stays true, since the node asks the kernel for it.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use crate::place::Place;
use crate::tools::LIBFAKETIME;

/// A clock that stands still until it is set.
pub struct FakeTime {
    library: PathBuf,
    place: Place,
    shows: Cell<u64>,
}

impl FakeTime {
    /// The tests that start one say that they need the library.
    pub fn at(name: &str, unix_seconds: u64) -> Self {
        let library = LIBFAKETIME.path().expect("libfaketime is installed");
        let place = Place::new(name);
        let shows = Cell::new(unix_seconds);
        let clock = Self {
            library,
            place,
            shows,
        };
        clock.set(unix_seconds);
        clock
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
