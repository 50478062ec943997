//! The fields of one JSON object, seen but not yet judged.
//!
//! Which fields matter, and what each must be, depends on the request's type, and the type may stand anywhere
//! in the object. So one pass collects the JSON text of every field that any request knows, and the request's
//! own reader judges what it needs. What no request knows is skipped, whatever it holds and however deep.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What an object says of one field: its JSON text, not yet judged.
#[derive(Clone, Copy, Default)]
pub(super) enum Field<'a> {
    #[default]
    Absent,
    Given(&'a str),
    Repeated,
}

impl<'a> Field<'a> {
    pub(super) fn is_absent(self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The field's JSON text, if it was given once.
    pub(super) fn json(self) -> Option<&'a str> {
        match self {
            Self::Given(json) => Some(json),
            Self::Absent | Self::Repeated => None,
        }
    }

    /// The JSON text of a string, quotes and escapes included.
    pub(super) fn string_json(self) -> Option<&'a str> {
        self.json().filter(|json| json.starts_with('"'))
    }

    /// The text of a string; none where there is no string, or one that is not text (lone surrogates).
    pub(super) fn string(self) -> Option<Cow<'a, str>> {
        let json = self.string_json()?;
        let inside = &json[1..json.len() - 1];
        if memchr::memchr(b'\\', inside.as_bytes()).is_none() {
            return Some(Cow::Borrowed(inside));
        }
        serde_json::from_str(json).ok().map(Cow::Owned)
    }

    /// The JSON text of an integer of at most 64 bits.
    pub(super) fn integer_json(self) -> Option<&'a str> {
        self.json()
            .filter(|json| json.parse::<u64>().is_ok() || json.parse::<i64>().is_ok())
    }

    fn add(&mut self, json: &'a str) {
        *self = match self {
            Self::Absent => Self::Given(json),
            Self::Given(_) | Self::Repeated => Self::Repeated,
        };
    }
}

/// What stands at `body`.
#[derive(Default)]
#[expect(
    clippy::large_enum_variant,
    reason = "almost every body is an object, and it only lives on the stack"
)]
pub(super) enum Body<'a> {
    #[default]
    Absent,
    Object(Fields<'a>),
    NotAnObject,
    Repeated,
}

/// The fields of an object, be it a message or a body.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) src: Field<'a>,
    pub(super) dest: Field<'a>,
    pub(super) body: Field<'a>,
    pub(super) kind: Field<'a>,
    pub(super) msg_id: Field<'a>,
    pub(super) in_reply_to: Field<'a>,
    pub(super) echo: Field<'a>,
    pub(super) node_id: Field<'a>,
    pub(super) node_ids: Field<'a>,
    pub(super) user_id: Field<'a>,
    pub(super) session_id: Field<'a>,
    pub(super) old_session_id: Field<'a>,
}

impl<'a> Fields<'a> {
    fn named(&mut self, name: &str) -> Option<&mut Field<'a>> {
        Some(match name {
            "src" => &mut self.src,
            "dest" => &mut self.dest,
            "body" => &mut self.body,
            "type" => &mut self.kind,
            "msg_id" => &mut self.msg_id,
            "in_reply_to" => &mut self.in_reply_to,
            "echo" => &mut self.echo,
            "node_id" => &mut self.node_id,
            "node_ids" => &mut self.node_ids,
            "user_id" => &mut self.user_id,
            "session_id" => &mut self.session_id,
            "old_session_id" => &mut self.old_session_id,
            _ => return None,
        })
    }

    /// Reads the value that comes next in `map` into the field of this name, or past it.
    fn read<M: MapAccess<'a>>(&mut self, name: &str, map: &mut M) -> Result<(), M::Error> {
        if let Some(field) = self.named(name) {
            field.add(map.next_value::<&RawValue>()?.get());
        } else {
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Fields::default();
                while let Some(name) = next_name(&mut map)? {
                    fields.read(&name, &mut map)?;
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// The fields of a message and, read in the same pass, those of its body.
#[derive(Default)]
pub(super) struct MessageFields<'a> {
    pub(super) top: Fields<'a>,
    pub(super) body: Body<'a>,
}

impl<'de> Deserialize<'de> for MessageFields<'de> {
    /// Fails when the body is not an object: such a message is read again, field by field.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Message;

        impl<'de> Visitor<'de> for Message {
            type Value = MessageFields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object with an object at \"body\"")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut message = MessageFields::default();
                while let Some(name) = next_name(&mut map)? {
                    if name != "body" {
                        message.top.read(&name, &mut map)?;
                    } else if let Body::Absent = message.body {
                        message.body = Body::Object(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                        message.body = Body::Repeated;
                    }
                }
                Ok(message)
            }
        }

        deserializer.deserialize_map(Message)
    }
}

/// Reads the name of the field that comes next in `map`. A name that is not text (lone surrogates) is valid
/// JSON that no request knows: it reads as the empty one, and must not make the message unreadable.
fn next_name<'de, M: MapAccess<'de>>(map: &mut M) -> Result<Option<Cow<'de, str>>, M::Error> {
    let name = map.next_key::<&RawValue>()?;
    Ok(name.map(|json| Field::Given(json.get()).string().unwrap_or_default()))
}
