//! Collects the fields of a JSON object without checking them.
//!
//! The request's type decides which fields matter and what each must be, and the type may come last. So one pass
//! collects the JSON text of every field that some request knows, and the request's own reader checks what it needs.
//! The pass skips all other fields, whatever they contain and however deep they nest.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::limits::is_text;

/// A field's JSON text, unchecked. It takes two words only, because a message has many fields.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Field<'a>(Option<&'a str>);

impl<'a> Field<'a> {
    /// A field that occurs more than once. The empty text can mark it, because no JSON text is empty.
    const REPEATED: Self = Self(Some(""));

    /// A field with this JSON text.
    pub(super) fn given(json: &'a str) -> Self {
        Self(Some(json))
    }

    pub(super) fn is_absent(self) -> bool {
        self.0.is_none()
    }

    pub(super) fn is_repeated(self) -> bool {
        self.0 == Some("")
    }

    /// The field's JSON text, if it occurs once.
    pub(super) fn json(self) -> Option<&'a str> {
        self.0.filter(|json| !json.is_empty())
    }

    /// Returns an absent field if this one is a string with a lone surrogate, which is not text.
    fn or_absent_if_no_text(self) -> Self {
        let is_text = self.string_json().is_none_or(is_text);
        if is_text { self } else { Self(None) }
    }

    /// The JSON text of a string, including quotes and escapes.
    pub(super) fn string_json(self) -> Option<&'a str> {
        self.json().filter(|json| json.starts_with('"'))
    }

    /// A string's text; `None` if the field is no string or has a lone surrogate.
    pub(super) fn string(self) -> Option<Cow<'a, str>> {
        let json = self.string_json()?;
        let inside = &json[1..json.len() - 1];
        if memchr::memchr(b'\\', inside.as_bytes()).is_none() {
            return Some(Cow::Borrowed(inside));
        }
        serde_json::from_str(json).ok().map(Cow::Owned)
    }

    /// An integer from 0 to `u64::MAX`.
    pub(super) fn natural(self) -> Option<u64> {
        let json = self.integer_json()?;
        // Minus zero is a valid integer.
        json.parse()
            .ok()
            .or_else(|| json.trim_start_matches(['-', '0']).is_empty().then_some(0))
    }

    /// `true` or `false`.
    pub(super) fn boolean(self) -> Option<bool> {
        match self.json()? {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// The JSON text of an integer of at most 64 bits.
    pub(super) fn integer_json(self) -> Option<&'a str> {
        self.json()
            .filter(|json| json.parse::<u64>().is_ok() || json.parse::<i64>().is_ok())
    }

    fn add(&mut self, json: &'a str) {
        *self = match self.0 {
            None => Self::given(json),
            Some(_) => Self::REPEATED,
        };
    }
}

/// What the field `body` holds.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum BodyIs {
    #[default]
    Absent,
    AnObject,
    NotAnObject,
    Repeated,
}

/// Defines [`Fields`] with a field for each name that some request knows.
macro_rules! fields {
    ($($field:ident: $name:literal,)*) => {
        /// The fields of a body.
        #[derive(Default, PartialEq, Eq)]
        pub(super) struct Fields<'a> {
            $(pub(super) $field: Field<'a>,)*
            /// Whether the object has a name that no request knows.
            has_unknown: bool,
        }

        impl<'a> Fields<'a> {
            fn named(&mut self, name: &str) -> Option<&mut Field<'a>> {
                match name {
                    $($name => Some(&mut self.$field),)*
                    _ => {
                        self.has_unknown = true;
                        None
                    }
                }
            }

            /// Whether all present fields have names for which `names` returns true.
            pub(super) fn are_among(&self, names: impl Fn(&str) -> bool) -> bool {
                let all = [$(($name, self.$field)),*];
                let is_known = |(name, field): &(&str, Field<'_>)| field.is_absent() || names(name);
                !self.has_unknown && all.iter().all(is_known)
            }
        }
    };
}

fields! {
    kind: "type",
    msg_id: "msg_id",
    in_reply_to: "in_reply_to",
    echo: "echo",
    node_id: "node_id",
    node_ids: "node_ids",
    user_id: "user_id",
    session_id: "session_id",
    old_session_id: "old_session_id",
    except_session_id: "except_session_id",
    handle: "handle",
    ttl: "ttl",
    idle_timeout: "idle_timeout",
    data: "data",
    binding: "binding",
    max_age: "max_age",
    reauthenticated: "reauthenticated",
    limit: "limit",
    touch: "touch",
    detail: "detail",
    new_binding: "new_binding",
    expected_data: "expected_data",
    max_sessions_per_user: "max_sessions_per_user",
    order: "order",
    cursor: "cursor",
}

impl<'a> Fields<'a> {
    /// Stores the JSON text of a value in the field with this name, if some request knows the name.
    pub(super) fn add(&mut self, name: &str, json: &'a str) {
        if let Some(field) = self.named(name) {
            field.add(json);
        }
    }
}

/// Reads the next value of `map` into `field`, or skips it.
fn read_value<'a, M: MapAccess<'a>>(
    field: Option<&mut Field<'a>>,
    map: &mut M,
) -> Result<(), M::Error> {
    if let Some(field) = field {
        field.add(map.next_value::<&RawValue>()?.get());
    } else {
        map.next_value::<IgnoredAny>()?;
    }
    Ok(())
}

/// Reads an object into existing fields, because moving them would take time.
impl<'de> DeserializeSeed<'de> for &mut Fields<'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Fields<'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(name) = next_name(&mut map)? {
            read_value(self.named(&name), &mut map)?;
        }
        Ok(())
    }
}

/// The fields of a message and, collected in the same pass, those of its body.
#[derive(Default, PartialEq, Eq)]
pub(super) struct MessageFields<'a> {
    pub(super) src: Field<'a>,
    pub(super) dest: Field<'a>,
    pub(super) body_is: BodyIs,
    /// The fields of the body. Without a body, those of the message itself, which may be a bare body.
    pub(super) body: Fields<'a>,
    /// Whether `body` holds fields of the message itself.
    has_bare: bool,
}

impl<'a> MessageFields<'a> {
    /// Stores the JSON text of a value of the message itself.
    pub(super) fn add(&mut self, name: &str, json: &'a str) {
        if let Some(field) = self.named(name) {
            field.add(json);
        }
    }

    fn named(&mut self, name: &str) -> Option<&mut Field<'a>> {
        match name {
            "src" => Some(&mut self.src),
            "dest" => Some(&mut self.dest),
            _ if self.body_is == BodyIs::Absent => {
                self.has_bare = true;
                self.body.named(name)
            }
            _ => None,
        }
    }

    /// Begins the body, and returns its fields, without those of the message itself.
    pub(super) fn begin_body(&mut self) -> &mut Fields<'a> {
        if std::mem::take(&mut self.has_bare) {
            self.body = Fields::default();
        }
        self.body_is = BodyIs::AnObject;
        &mut self.body
    }

    /// Reads a message whose body, if any, is an object into these fields, which must be empty. Returns `None` for any
    /// other message, and may then have added fields.
    #[cold]
    pub(super) fn read_general(&mut self, json: &'a str) -> Option<()> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let read = deserializer.deserialize_map(&mut *self);
        self.keep_names_that_are_text();
        read.ok()?;
        deserializer.end().ok()
    }

    /// Discards peers' names with lone surrogates. The reply repeats a name unchanged, and every parser must be able to
    /// read the reply.
    fn keep_names_that_are_text(&mut self) {
        self.src = self.src.or_absent_if_no_text();
        self.dest = self.dest.or_absent_if_no_text();
    }

    /// Reads a message with any kind of body, in two passes.
    ///
    /// # Errors
    ///
    /// If the message is not an object, or not JSON.
    pub(super) fn read_any(json: &'a str) -> Result<Self, serde_json::Error> {
        let mut any = AnyFields::default();
        let mut deserializer = serde_json::Deserializer::from_str(json);
        deserializer.deserialize_map(&mut any)?;
        deserializer.end()?;
        let AnyFields { mut message, body } = any;
        message.keep_names_that_are_text();
        if body.is_repeated() {
            message.body_is = BodyIs::Repeated;
        } else if let Some(body) = body.json() {
            message.body_is = BodyIs::NotAnObject;
            if let Ok(fields) = read_fields(body) {
                *message.begin_body() = fields;
            }
        }
        Ok(message)
    }
}

/// Collects the fields that precede the place where a line stops being a message.
pub(super) fn fields_before_fault(json: &str) -> MessageFields<'_> {
    let mut message = MessageFields::default();
    message.read_general(json);
    // The reader above stops at a body that is no object, but `src` and `dest` may come after it.
    let mut any = AnyFields::default();
    let _ = serde_json::Deserializer::from_str(json).deserialize_map(&mut any);
    any.message.keep_names_that_are_text();
    message.src = any.message.src;
    message.dest = any.message.dest;
    message
}

fn read_fields(json: &str) -> Result<Fields<'_>, serde_json::Error> {
    let mut fields = Fields::default();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    fields.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(fields)
}

impl<'de> Visitor<'de> for &mut MessageFields<'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object with an object at \"body\"")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(name) = next_name(&mut map)? {
            if name != "body" {
                read_value(self.named(&name), &mut map)?;
            } else if self.body_is == BodyIs::Absent {
                map.next_value_seed(self.begin_body())?;
            } else {
                map.next_value::<IgnoredAny>()?;
                self.body_is = BodyIs::Repeated;
            }
        }
        Ok(())
    }
}

/// The fields of a message, and the JSON text of its body.
#[derive(Default)]
struct AnyFields<'a> {
    message: MessageFields<'a>,
    body: Field<'a>,
}

impl<'de> Visitor<'de> for &mut AnyFields<'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(name) = next_name(&mut map)? {
            let field = match &*name {
                "body" => Some(&mut self.body),
                name => self.message.named(name),
            };
            read_value(field, &mut map)?;
        }
        Ok(())
    }
}

/// Reads the name of the next field in `map`. A name with a lone surrogate is valid JSON, and no request knows it; it
/// reads as an empty name, so that it does not make the message unreadable.
pub(super) fn next_name<'de, M: MapAccess<'de>>(
    map: &mut M,
) -> Result<Option<Cow<'de, str>>, M::Error> {
    let name = map.next_key::<&RawValue>()?;
    Ok(name.map(|json| Field::given(json.get()).string().unwrap_or_default()))
}
