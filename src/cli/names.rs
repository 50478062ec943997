//! Defines the names that options accept as values.

use clap::ValueEnum;
use clap::builder::PossibleValue;
use session_node::session::{OnReuse, OnUserLimit};
use session_node::{IdFormat, ReplyFormat};
use tracing::Level;

/// The levels of `tracing`, with their names on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

impl LogLevel {
    pub fn level(self) -> Level {
        match self {
            Self::Error => Level::ERROR,
            Self::Warn => Level::WARN,
            Self::Info => Level::INFO,
            Self::Debug => Level::DEBUG,
        }
    }
}

/// The library's [`IdFormat`], with its names on the command line.
#[derive(Clone, Copy, Debug)]
pub struct IdFormatName(pub IdFormat);

impl ValueEnum for IdFormatName {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self(IdFormat::Uuid), Self(IdFormat::Token)]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self.0 {
            IdFormat::Uuid => PossibleValue::new("uuid").help("version 4 UUID, 122 random bits"),
            IdFormat::Token => {
                PossibleValue::new("token").help("43 characters of base64url, 256 random bits")
            }
        })
    }
}

/// The library's [`OnUserLimit`], with its names on the command line.
#[derive(Clone, Copy, Debug)]
pub struct OnUserLimitName(pub OnUserLimit);

impl ValueEnum for OnUserLimitName {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self(OnUserLimit::EvictOldest), Self(OnUserLimit::Reject)]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self.0 {
            OnUserLimit::EvictOldest => {
                PossibleValue::new("evict-oldest").help("end the user's oldest session")
            }
            OnUserLimit::Reject => {
                PossibleValue::new("reject").help("refuse the new session with error 11")
            }
        })
    }
}

/// The library's [`OnReuse`], with its names on the command line.
#[derive(Clone, Copy, Debug)]
pub struct OnReuseName(pub OnReuse);

impl ValueEnum for OnReuseName {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self(OnReuse::Ignore), Self(OnReuse::Revoke)]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self.0 {
            OnReuse::Ignore => {
                PossibleValue::new("ignore").help("treat it like any other invalid id")
            }
            OnReuse::Revoke => {
                PossibleValue::new("revoke").help("assume theft: also end its session")
            }
        })
    }
}

/// The library's [`ReplyFormat`], with its names on the command line.
#[derive(Clone, Copy, Debug)]
pub struct ReplyFormatName(pub ReplyFormat);

impl ValueEnum for ReplyFormatName {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self(ReplyFormat::Envelope), Self(ReplyFormat::Body)]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self.0 {
            ReplyFormat::Envelope => PossibleValue::new("envelope")
                .help("as the request came: with src and dest, or bare"),
            ReplyFormat::Body => PossibleValue::new("body").help("always a bare body"),
        })
    }
}
