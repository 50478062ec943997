//! Refuses requests with unknown fields (`--strict`), so that a misspelt `max_age` or `binding` is not ignored.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::fault::Fault;
use super::field::{BodyIs, MessageFields, next_name};
use super::message::REQUESTS;
use super::{Error, Incoming};

/// Passes on what was read of a message, but refuses a request that has an unknown field.
pub(super) fn check<'a>(
    mut read: Result<Incoming<'a>, Fault<'a>>,
    message: &MessageFields<'a>,
    text: &str,
) -> Result<Incoming<'a>, Fault<'a>> {
    if let Ok(Incoming::Request(request)) = &mut read
        && request.request.is_ok()
        && let Some(error) = find_unknown(message, text)
    {
        request.request = Err(error);
    }
    read
}

fn find_unknown(message: &MessageFields<'_>, text: &str) -> Option<Error> {
    let kind = message.body.kind.string()?;
    let (kind, fields) = REQUESTS.iter().find(|(name, _)| *name == kind)?;
    let is_known = |name: &str| ["type", "msg_id"].contains(&name) || fields.contains(&name);
    (!message.body.are_among(is_known)).then(|| refuse(kind, fields, message.body_is, text))
}

/// Describes the unknown field by its place in the body, counted from 1. Its name could be anything, so the error does
/// not repeat it.
#[cold]
fn refuse(kind: &str, fields: &[&str], body_is: BodyIs, text: &str) -> Error {
    let is_bare = body_is == BodyIs::Absent;
    let known = [&["type", "msg_id"], fields].concat();
    let mut is_known =
        |name: &str| known.contains(&name) || is_bare && ["src", "dest"].contains(&name);
    let search = FieldSearch {
        in_body: !is_bare,
        is_known: &mut is_known,
    };
    let place = search.deserialize(&mut serde_json::Deserializer::from_str(text));
    let place = place.ok().flatten().unwrap_or_default();
    Error::malformed(format!(
        "{kind}: field {place} of the body is none that this request knows: they are {}",
        known.join(", ")
    ))
}

/// Searches an object for the first field with an unknown name. Returns its place among the object's fields.
struct FieldSearch<'k> {
    /// Whether to search the object at `body` instead of this one.
    in_body: bool,
    is_known: &'k mut dyn FnMut(&str) -> bool,
}

impl<'de> DeserializeSeed<'de> for FieldSearch<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FieldSearch<'_> {
    type Value = Option<usize>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut found = None;
        let mut place = 0;
        while let Some(name) = next_name(&mut map)? {
            place += 1;
            if self.in_body && name == "body" {
                found = map.next_value_seed(FieldSearch {
                    in_body: false,
                    is_known: &mut *self.is_known,
                })?;
                continue;
            }
            map.next_value::<IgnoredAny>()?;
            if !self.in_body && found.is_none() && !(self.is_known)(&name) {
                found = Some(place);
            }
        }
        Ok(found)
    }
}
