//! Makes the message about a wrong command line. The texts of clap repeat wrong values, which may be ids or passwords,
//! so this module hides the values.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

/// Replaces a value in a message.
const HIDDEN: &str = "…";

/// Makes a message that repeats nothing of the command line and the environment but names of options.
pub fn message(mut error: Error, command: &mut Command) -> String {
    if let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg)
        && error.kind() == ErrorKind::UnknownArgument
        && !is_name_of_option(argument)
    {
        let text = "unexpected argument, not shown here since it may hold an id: \
                    session-node takes options only, each as --NAME VALUE or --NAME=VALUE";
        error = command.error(ErrorKind::UnknownArgument, text);
    }
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue)
        // An empty value tells clap that the value is missing.
        && !value.is_empty()
    {
        let hidden = ContextValue::String(HIDDEN.into());
        error.insert(ContextKind::InvalidValue, hidden);
    }
    error.render().to_string()
}

/// Whether an argument looks like an option, perhaps a mistyped one. An id does not: it has digits or capital letters.
fn is_name_of_option(argument: &str) -> bool {
    let is_in_names = |byte: u8| byte == b'-' || byte.is_ascii_lowercase();
    argument.starts_with('-') && argument.bytes().all(is_in_names)
}
