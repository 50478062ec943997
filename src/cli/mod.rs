//! Reads the command line and the environment once, into a [`Config`].

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

/// Reads the command line and the environment. If the command line asks for help or for the version, prints that and
/// ends the process.
///
/// # Errors
///
/// A message for the operator, if the command line or the environment is wrong.
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
