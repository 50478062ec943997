//! Reads the command line and the environment once, into a [`Task`].

mod arguments;
mod config;
mod mistake;
mod names;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "socket")]
mod socket;
mod store;

#[cfg(feature = "socket")]
use std::env;

use clap::error::ErrorKind;
use clap::{Arg, Command, CommandFactory, FromArgMatches};

use self::arguments::Arguments;
#[cfg(feature = "socket")]
use self::socket::CallArguments;

pub use self::config::Config;
#[cfg(feature = "socket")]
pub use self::config::SocketConfig;
#[cfg(feature = "socket")]
pub use self::socket::Listen;
pub use self::store::StoreConfig;

/// What the command line asks for.
pub enum Task {
    /// To run a node.
    Serve(Box<Config>),
    /// To ask the node that serves the socket at this path.
    #[cfg(feature = "socket")]
    Call(std::path::PathBuf),
}

/// Reads the command line and the environment. If the command line asks for help or for the version, prints that and
/// ends the process.
///
/// # Errors
///
/// A message for the operator, if the command line or the environment is wrong.
pub fn read() -> Result<Task, String> {
    #[cfg(feature = "socket")]
    if env::args_os().nth(1).is_some_and(|first| first == "call") {
        return read_call();
    }
    let matches = command().try_get_matches();
    let arguments = matches.and_then(|mut matches| Arguments::from_arg_matches_mut(&mut matches));
    let task = arguments.and_then(|arguments| {
        let wrong = |message| command().error(ErrorKind::ValueValidation, message);
        let config = Config::check(arguments).map_err(wrong)?;
        Ok(Task::Serve(Box::new(config)))
    });
    task.map_err(|error| {
        if !error.use_stderr() {
            error.exit();
        }
        mistake::message(error, &mut command())
    })
}

/// Reads what follows after `session-node call`.
#[cfg(feature = "socket")]
fn read_call() -> Result<Task, String> {
    let mut command = CallArguments::command().mut_args(with_variable);
    let matches = command.try_get_matches_from_mut(env::args_os().skip(1));
    let arguments = matches.and_then(|mut it| CallArguments::from_arg_matches_mut(&mut it));
    match arguments {
        Ok(arguments) => Ok(Task::Call(arguments.socket)),
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => Err(mistake::message(error, &mut command)),
    }
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
