//! What is said of a wrong command line. clap repeats what it did not expect, and that may be an id or a password.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

/// Stands for a value that is not repeated.
const HIDDEN: &str = "…";

/// The message for whoever wrote the command line or the variables, without anything of theirs but names of options.
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
        // For clap, an empty one says that there was none.
        && !value.is_empty()
    {
        let hidden = ContextValue::String(HIDDEN.into());
        error.insert(ContextKind::InvalidValue, hidden);
    }
    error.render().to_string()
}

/// Whether this looks like an option, perhaps mistyped, and like no id: ids have digits or capital letters.
fn is_name_of_option(argument: &str) -> bool {
    let is_of_name = |byte: u8| byte == b'-' || byte.is_ascii_lowercase();
    argument.starts_with('-') && argument.bytes().all(is_of_name)
}
