//! What can be wrong in the fields of a body, and what is said of it.

const NO_VALUE: &str = "not JSON: expected value";
const NO_NUMBER: &str = "not JSON: invalid number";
const NO_NAME: &str = "not JSON: key must be a string";
const NO_COMMA: &str = "not JSON: expected `,` or `}`";
pub const NO_TEXT: &str = "every string must be UTF-8, without NUL bytes: it is not";

/// A fault in the fields of a body.
pub struct Fault {
    /// The fields that hold it.
    pub fields: &'static [u8],
    /// What is said of it.
    pub why: &'static str,
    /// The byte of the fields at which it is found, counted from 1.
    pub byte: usize,
}

const fn fault(fields: &'static [u8], why: &'static str, byte: usize) -> Fault {
    Fault { fields, why, byte }
}

pub const FAULTS: &[Fault] = &[
    // What other languages write for numbers and names.
    fault(b"\"echo\":NaN", NO_VALUE, 8),
    fault(b"\"echo\":Infinity", NO_VALUE, 8),
    fault(b"\"echo\":-Infinity", NO_NUMBER, 9),
    fault(b"\"echo\":undefined", NO_VALUE, 8),
    fault(b"\"echo\":None", NO_VALUE, 8),
    fault(b"\"echo\":True", NO_VALUE, 8),
    fault(b"\"echo\":'a'", NO_VALUE, 8),
    fault(b"'echo':1", NO_NAME, 1),
    fault(b"echo:1", NO_NAME, 1),
    fault(b"/* why */\"echo\":1", NO_NAME, 1),
    fault(b"\xc2\xa0\"echo\":1", NO_NAME, 1),
    fault(b"\"echo\":\xe2\x80\x9ca\xe2\x80\x9d", NO_VALUE, 8),
    // Numbers and words that are none.
    fault(b"\"echo\":01", NO_NUMBER, 9),
    fault(b"\"echo\":+1", NO_VALUE, 8),
    fault(b"\"echo\":.5", NO_VALUE, 8),
    fault(b"\"echo\":5.", NO_NUMBER, 10),
    fault(b"\"echo\":1e", NO_NUMBER, 10),
    fault(b"\"echo\":-", NO_NUMBER, 9),
    fault(b"\"echo\":0x1F", NO_COMMA, 9),
    fault(b"\"echo\":1_000", NO_COMMA, 9),
    fault(b"\"echo\":tru", "not JSON: expected ident", 11),
    fault(b"\"echo\":nul", "not JSON: expected ident", 11),
    // Tokens that are missing, or too many.
    fault(b"\"echo\"", "not JSON: expected `:`", 7),
    fault(b"\"echo\":", NO_VALUE, 8),
    fault(b"\"echo\":1,", NO_NAME, 10),
    fault(b",\"echo\":1", NO_NAME, 1),
    fault(b"\"echo\":1 \"a\":2", NO_COMMA, 10),
    fault(b"\"echo\":1;", NO_COMMA, 9),
    fault(b"\"echo\":[1,]", NO_VALUE, 11),
    fault(b"\"echo\":[1 2]", "not JSON: expected `,` or `]`", 11),
    fault(b"\"echo\":[1,,2]", NO_VALUE, 11),
    fault(b"\"echo\":[,1]", NO_VALUE, 9),
    fault(b"\"echo\":[}", NO_VALUE, 9),
    fault(b"\"echo\":{]", NO_NAME, 9),
    fault(b"\"echo\":{\"a\":1,}", NO_NAME, 15),
    fault(b"\"echo\":{\"a\" 1}", "not JSON: expected `:`", 13),
    fault(b"\"echo\":{a:1}", NO_NAME, 9),
    fault(b"\"echo\":{\"a\":}", NO_VALUE, 13),
    fault(b"\"echo\":{1:1}", NO_NAME, 9),
    fault(b"\"echo\":[[[[{\"a\":[NaN]}]]]]", NO_VALUE, 18),
    fault(b"\"echo\":{\"a\":[{\"b\":+1}]}", NO_VALUE, 19),
    // Strings.
    fault(b"\"echo\":\"\\x41\"", "not JSON: invalid escape", 10),
    fault(b"\"echo\":\"\\u12G4\"", "not JSON: invalid escape", 14),
    fault(
        b"\"echo\":\"a\tb\"",
        "not JSON: control character (\\u0000-\\u001F) found while parsing a string",
        9,
    ),
    // Bytes that are no text, where nothing else is wrong.
    fault(b"\"echo\":\"\xff\"", NO_TEXT, 9),
    fault(b"\"echo\":\"\xc3(\"", NO_TEXT, 9),
    fault(b"\"echo\":\"\xed\xa0\x80\"", NO_TEXT, 9),
    fault(b"\"echo\":\"\xf4\x90\x80\x80\"", NO_TEXT, 9),
    fault(b"\"\xfe\":1,\"echo\":0", NO_TEXT, 2),
    fault(b"\"echo\":\"a\0b\"", NO_TEXT, 10),
    // And where something else is, which comes first.
    fault(b"\"echo\":\0", NO_VALUE, 8),
    fault(b"\"echo\":\xff", NO_VALUE, 8),
    fault(b"\"a\":\"\xff\",\"echo\":NaN", NO_TEXT, 6),
];
