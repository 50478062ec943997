//! Lines are at most 120 columns wide, in documents and in code.

use std::fs;
use std::path::Path;

const MAX_COLUMNS: usize = 120;

/// What is looked at, within the package. A directory stands for all that is in it.
const PLACES: &[&str] = &[
    ".cargo",
    "benches",
    "docs",
    "examples",
    "fuzz",
    "src",
    "testing",
    "tests",
    "README.md",
    "CHANGELOG.md",
    "Cargo.toml",
];

const SUFFIXES: &[&str] = &["md", "rs", "toml", "lua"];

/// Directories that hold what programs wrote.
const GENERATED: &[&str] = &["target", "corpus", "crashes", "artifacts"];

#[test]
fn no_line_is_wider_than_120_columns() {
    let mut files = 0;
    let mut too_wide = Vec::new();
    for place in PLACES {
        visit(Path::new(place), &mut |path, text| {
            files += 1;
            let is_markdown = path.extension().is_some_and(|suffix| suffix == "md");
            for number in wide_lines(text, is_markdown) {
                too_wide.push(format!("{}:{number}", path.display()));
            }
        });
    }
    assert!(files > 100, "only {files} files were found");
    assert!(
        too_wide.is_empty(),
        "wider than {MAX_COLUMNS} columns:\n{}",
        too_wide.join("\n")
    );
}

#[test]
fn tables_addresses_and_fixtures_may_be_wider() {
    let wide = "wide ".repeat(25);
    assert_eq!(wide_lines(&format!("short\n{wide}"), true), [2]);
    assert_eq!(wide_lines(&format!("// {wide}"), false), [1]);
    assert_eq!(wide_lines(&format!("| {wide}|"), true), [0; 0]);
    assert_eq!(wide_lines(&format!("```\n{wide}\n```\n{wide}"), true), [4]);
    assert_eq!(
        wide_lines(
            &format!("// https://example.org/{}", "w".repeat(120)),
            false
        ),
        [0; 0]
    );
    assert_eq!(
        wide_lines(&format!("let line = r#\"{wide}\"#;"), false),
        [0; 0]
    );
    assert_eq!(wide_lines(&"é".repeat(120), true), [0; 0]);
}

/// The numbers of the lines that are too wide and could be broken.
fn wide_lines(text: &str, is_markdown: bool) -> Vec<usize> {
    let mut is_in_code_block = false;
    let mut wide = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let start = line.trim_start();
        if is_markdown && start.starts_with("```") {
            is_in_code_block = !is_in_code_block;
        }
        let is_free = if is_markdown {
            is_in_code_block || start.starts_with('|')
        } else {
            // JSON on one line, as requests and replies are.
            line.contains("r#\"") || line.contains("\"type\":\"")
        };
        let words = line.split(' ').filter(|word| !word.contains("://"));
        let columns: usize = words.map(|word| word.chars().count() + 1).sum();
        if !is_free && columns > MAX_COLUMNS + 1 {
            wide.push(number);
        }
    }
    wide
}

/// Calls `look` with each file at `place` and its text.
fn visit(place: &Path, look: &mut impl FnMut(&Path, &str)) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
    let name = place
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name in UTF-8");
    if path.is_dir() {
        if !GENERATED.contains(&name) {
            for entry in fs::read_dir(path).expect("a directory that can be read") {
                visit(&place.join(entry.expect("an entry").file_name()), look);
            }
        }
        return;
    }
    let suffix = place.extension().and_then(|suffix| suffix.to_str());
    if suffix.is_some_and(|suffix| SUFFIXES.contains(&suffix)) {
        look(place, &fs::read_to_string(path).expect("a text in UTF-8"));
    }
}
