//! The conversations of `fixtures/`, held with a node through its stdin and stdout.

use session_node_testing::replies;

use super::conversation::{self, fixture, matches, names, parse};

fn hold(name: &str) {
    conversation::hold(name, &|args, input| replies(args, input));
}

#[test]
fn the_courses_create_sample() {
    hold("course-create");
}

#[test]
fn the_courses_validate_sample() {
    hold("course-validate");
}

#[test]
fn the_courses_samples_over_several_lines_as_its_page_prints_them() {
    hold("course-create-printed");
    hold("course-validate-printed");
    hold("course-both-printed");
}

#[test]
fn the_four_operations() {
    hold("four-operations");
}

#[test]
fn logging_out_twice_is_no_error() {
    hold("logout-twice");
}

#[test]
fn bodies_typed_by_hand() {
    hold("by-hand");
}

#[test]
fn maelstroms_echo_workload() {
    hold("maelstrom-echo");
}

#[test]
fn requests_that_are_malformed() {
    hold("bad-requests");
}

#[test]
fn a_pattern_must_match_the_whole_value() {
    let matched = |expected, actual| matches(&parse(expected), &parse(actual));
    assert!(matched(r#"{"a":".*","b":1}"#, r#"{"a":1790000000,"b":1}"#));
    assert!(!matched(r#"{"a":"b"}"#, r#"{"a":"abc"}"#));
    assert!(!matched(r#"{"a":1}"#, r#"{"a":"1"}"#));
    assert!(!matched(r#"{"a":1}"#, r#"{"a":1.0}"#));
    assert!(!matched(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#));
    assert!(!matched(r#"{"a":1}"#, r#"{"a":1,"a":1}"#));
}

#[test]
fn every_fixture_has_both_its_files() {
    for name in names() {
        for ending in ["input.jsonl", "expected.jsonl"] {
            assert!(fixture(&name, ending).exists(), "{name} needs {ending}");
        }
    }
}
