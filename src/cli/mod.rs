//! Reads the command line and the environment once, into a [`Config`].

mod arguments;
mod config;
mod mistake;
mod names;
#[cfg(feature = "redis")]
mod redis;
mod store;

use clap::error::ErrorKind;
use clap::{Arg, Command, CommandFactory, FromArgMatches};

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
    let matches = command().try_get_matches();
    let arguments = matches.and_then(|mut matches| Arguments::from_arg_matches_mut(&mut matches));
    let config = arguments.and_then(|arguments| {
        let wrong = |message| command().error(ErrorKind::ValueValidation, message);
        Config::check(arguments).map_err(wrong)
    });
    config.map_err(|error| {
        if !error.use_stderr() {
            error.exit();
        }
        mistake::message(error, &mut command())
    })
}

fn command() -> Command {
    Arguments::command().mut_args(with_variable)
}

/// Gives an option its environment variable. The help hides values, because a variable may hold a password.
fn with_variable(option: Arg) -> Arg {
    let name = option.get_long().map(str::to_uppercase);
    match name {
        Some(name) => {
            let variable = format!("SESSION_NODE_{}", name.replace('-', "_"));
            option.env(variable).hide_env_values(true)
        }
        None => option,
    }
}
