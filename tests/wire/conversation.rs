//! Whole conversations as pairs of files: `fixtures/NAME.input.jsonl` is what the node reads and
//! `fixtures/NAME.expected.jsonl` what it answers.
//!
//! In an expected line a string is a pattern (a regular expression) for the whole of the actual
//! string, or of the actual number's text: the form in which the course prints its samples. All
//! else must be equal: numbers, the keys and their order, the count of lines. Lines that start
//! with `//` are comments. Every conversation is held in both reply formats; for `--reply-format
//! body` the answer is the bodies of the expected lines, or `NAME.expected-body.jsonl` where that
//! file exists. The node starts with the course's sample session, or with the arguments in
//! `NAME.args`, one a line.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use session_node_testing::PRELOADED;

/// JSON that remembers the order of its keys and how often each was given.
#[derive(Debug)]
pub enum Json {
    Null,
    Bool(bool),
    Number(String),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        // `{:?}` keeps the point, so that 1.0 does not pass for 1.
        Ok(Json::Number(format!("{value:?}")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access.next_element()? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Json::Object(entries))
    }
}

pub fn parse(line: &str) -> Json {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))
}

pub fn matches(expected: &Json, actual: &Json) -> bool {
    match (expected, actual) {
        (Json::Null, Json::Null) => true,
        (Json::Bool(expected), Json::Bool(actual)) => expected == actual,
        (Json::Number(expected), Json::Number(actual)) => expected == actual,
        (Json::String(pattern), Json::String(text) | Json::Number(text)) => {
            let pattern = format!(r"\A(?:{pattern})\z");
            Regex::new(&pattern).expect("a pattern").is_match(text)
        }
        (Json::Array(expected), Json::Array(actual)) => {
            expected.len() == actual.len()
                && expected.iter().zip(actual).all(|(e, a)| matches(e, a))
        }
        (Json::Object(expected), Json::Object(actual)) => {
            expected.len() == actual.len()
                && expected
                    .iter()
                    .zip(actual)
                    .all(|(e, a)| e.0 == a.0 && matches(&e.1, &a.1))
        }
        _ => false,
    }
}

/// What `--reply-format body` leaves of an expected line.
fn bare(expected: Json) -> Json {
    match expected {
        Json::Object(entries) if entries.iter().any(|(key, _)| key == "body") => {
            let body = entries.into_iter().find(|(key, _)| key == "body");
            body.expect("just seen").1
        }
        other => other,
    }
}

pub fn fixture(name: &str, ending: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/fixtures");
    fixtures.join(format!("{name}.{ending}"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn expectations(path: &Path) -> Vec<Json> {
    let text = read(path);
    let lines = text.lines().filter(|line| !line.starts_with("//"));
    lines.map(parse).collect()
}

/// Asks a node that has these arguments to answer an input.
pub type Answer<'a> = &'a dyn Fn(&[&str], &str) -> Vec<String>;

fn assert_transcript(answer: Answer, args: &[&str], input: &str, expected: &[Json]) {
    let actual = answer(args, input);
    for (index, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
        assert!(
            matches(expected, &parse(actual)),
            "reply {} with {args:?}\nexpected {expected:?}\n     got {actual}",
            index + 1
        );
    }
    assert_eq!(actual.len(), expected.len(), "replies with {args:?}");
}

/// Holds one conversation in both reply formats.
pub fn hold(name: &str, answer: Answer) {
    let input = read(&fixture(name, "input.jsonl"));
    let arguments = fs::read_to_string(fixture(name, "args"));
    let mut args: Vec<&str> = match &arguments {
        Ok(text) => text.lines().collect(),
        Err(_) => PRELOADED.to_vec(),
    };
    let enveloped = expectations(&fixture(name, "expected.jsonl"));
    assert_transcript(answer, &args, &input, &enveloped);

    args.extend(["--reply-format", "body"]);
    let verbatim = fixture(name, "expected-body.jsonl");
    let bodies = if verbatim.exists() {
        expectations(&verbatim)
    } else {
        enveloped.into_iter().map(bare).collect()
    };
    assert_transcript(answer, &args, &input, &bodies);
}

/// The names of all conversations.
pub fn names() -> BTreeSet<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/fixtures");
    let files = fs::read_dir(directory).expect("the fixtures are there");
    let name = |file: &str| {
        file.split('.')
            .next()
            .expect("a name before the point")
            .to_owned()
    };
    files
        .map(|entry| name(&entry.expect("an entry").file_name().to_string_lossy()))
        .collect()
}
