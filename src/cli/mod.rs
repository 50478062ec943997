//! The command line and the environment, read once into a [`Config`]. Nothing here acts on it.

mod arguments;
mod config;
mod mistake;
mod names;
#[cfg(feature = "redis")]
mod redis;
mod store;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use self::arguments::Arguments;

pub use self::config::Config;
pub use self::store::StoreConfig;

/// Reads the command line and the environment. Where only help or version was asked for, prints it and ends the
/// process.
///
/// # Errors
///
/// When they are wrong: what to tell whoever wrote them.
pub fn read() -> Result<Config, String> {
    let config = Arguments::try_parse().and_then(|arguments| {
        Config::check(arguments)
            .map_err(|message| Arguments::command().error(ErrorKind::ValueValidation, message))
    });
    config.map_err(|error| {
        if !error.use_stderr() {
            error.exit();
        }
        mistake::message(error, &mut Arguments::command())
    })
}
