//! One word has one meaning: the code has the names that the table of words in ARCHITECTURE.md
//! gives, and nothing has a name that was given up. Comments and error texts are plain English.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Names of types and modules that meant several things, or that only we understood.
const GIVEN_UP: [(&str, &str); 3] = [
    (
        "src",
        "line Line Lines CommitLine mark Mark Marks CallerMark Destination ReplyMember fate Fate \
         held Held left LeftMax room hops RememberedHops special claim Claims News Way Known",
    ),
    (
        "verification/sim/src",
        "at_stream chance Chance fate Fate flight Flight happenings Happening mishaps Mishap",
    ),
    (
        "stream-server/src",
        "refusal Refusal log engine Engine EngineError",
    ),
];

/// What comes before the name of a type or a module where it is defined.
const DEFINES: [&str; 5] = ["enum", "mod", "struct", "trait", "type"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the text of every file of code below a folder, without its comments.
fn code(folder: &str) -> Vec<(PathBuf, String)> {
    let without_comments = |(path, text): (PathBuf, String)| {
        let lines = text.lines().filter(|line| !is_comment(line));
        (path, lines.collect::<Vec<_>>().join("\n"))
    };
    texts(folder).into_iter().map(without_comments).collect()
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// Returns the text of every file below a folder.
fn texts(folder: &str) -> Vec<(PathBuf, String)> {
    let mut pending = vec![root().join(folder)];
    let mut files = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            pending.extend(entries.map(|entry| entry.unwrap().path()));
            continue;
        }
        if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            files.push((path, text));
        }
    }
    assert!(files.len() > 10, "the sources of {folder} were not found");
    files
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    code.split(move |character| !is_part(character))
        .filter(|word| !word.is_empty())
}

/// Returns the rows of the table: what we say, and the names in the code.
fn table() -> Vec<(String, Vec<String>)> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let section = text.split("\n## Words\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1);
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 6, "four columns: {line}");
        let names = cells[3].split('`').skip(1).step_by(2);
        (cells[1].to_owned(), names.map(str::to_owned).collect())
    };
    let rows: Vec<_> = rows.map(row).collect();
    assert!(rows.len() > 20, "the table of words was not found");
    rows
}

#[test]
fn the_code_has_the_names_of_the_table() {
    let files = code("src");
    let used: BTreeSet<&str> = files.iter().flat_map(|(_, code)| words(code)).collect();
    for (said, names) in table() {
        assert!(!names.is_empty(), "{said}: no name in the code");
        for name in names {
            assert!(
                used.contains(name.as_str()),
                "{said}: the code has no {name}"
            );
        }
    }
}

#[test]
fn each_word_stands_in_the_table_once() {
    let (mut said, mut named) = (BTreeSet::new(), BTreeSet::new());
    for (words, names) in table() {
        for word in words.split(',') {
            assert!(said.insert(word.trim().to_owned()), "twice: {word}");
        }
        for name in names {
            assert!(named.insert(name.clone()), "twice: {name}");
        }
    }
}

#[test]
fn nothing_has_a_name_that_was_given_up() {
    let mut found = Vec::new();
    for (folder, given_up) in GIVEN_UP {
        let given_up: Vec<&str> = given_up.split_whitespace().collect();
        for (path, code) in code(folder) {
            let words: Vec<&str> = words(&code).collect();
            let defined = words.windows(2).filter(|pair| DEFINES.contains(&pair[0]));
            let mut names: Vec<&str> = defined.map(|pair| pair[1]).collect();
            names.extend(path.file_stem().and_then(|name| name.to_str()));
            names.retain(|name| given_up.contains(name));
            found.extend(
                names
                    .iter()
                    .map(|name| format!("{name} in {}", path.display())),
            );
        }
    }
    assert!(found.is_empty(), "given up:\n  {}", found.join("\n  "));
}

/// Folders whose comments are plain English.
const PROSE: [&str; 8] = [
    "src",
    "tests",
    "sluice-cli/src",
    "stream-server/src",
    "stream-server/coordination",
    "tools/provision/src",
    "verification",
    "wasm-tests",
];

/// Fails with every line of these folders that `is_bad`, which gets all lines of the file and the
/// number of this one, from 0.
fn no_line(folders: &[&str], rule: &str, is_bad: impl Fn(&[&str], usize) -> bool) {
    let mut found = Vec::new();
    for folder in folders {
        for (path, text) in texts(folder) {
            let lines: Vec<&str> = text.lines().collect();
            let bad = (0..lines.len()).filter(|at| is_bad(&lines, *at));
            found.extend(bad.map(|at| format!("{}:{}", path.display(), at + 1)));
        }
    }
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

/// Returns whether a function that returns something comes next, after its documentation.
fn documents_a_result(after: &[&str]) -> bool {
    let is_before = |line: &&str| is_comment(line) || line.trim_start().starts_with("#[");
    let item = after.iter().copied().skip_while(is_before);
    let head: Vec<&str> = item.take_while(|line| !line.trim().is_empty()).collect();
    let is_function = head.first().is_some_and(|first| first.contains("fn "));
    let head = head.join(" ");
    is_function && head.split('{').next().unwrap().contains(") ->")
}

#[test]
fn documentation_says_what_a_function_returns() {
    let rule = "begin with a verb, such as \"Returns whether …\"";
    no_line(&PROSE, rule, |lines, at| {
        let is_first = at == 0 || !is_comment(lines[at - 1]);
        let said = lines[at].trim_start().strip_prefix("/// ");
        let word = said.unwrap_or_default().split(' ').next().unwrap();
        let is_bad = ["Gives", "Whether", "How", "When", "Which", "Why"].contains(&word);
        is_first && is_bad && documents_a_result(&lines[at + 1..])
    });
}

#[test]
fn comments_say_returns_and_is_not() {
    let rule = "say \"returns\", and \"is not a valid …\"";
    let bad = [". Gives ", "; gives ", "is no valid ", "is its."];
    no_line(&PROSE, rule, |lines, at| {
        is_comment(lines[at]) && bad.iter().any(|bad| lines[at].contains(bad))
    });
}

#[test]
fn error_texts_say_is_not() {
    let folders = ["src", "sluice-cli/src", "stream-server/src"];
    no_line(&folders, "say \"is not a …\"", |lines, at| {
        let parts: Vec<&str> = lines[at].split("is no ").collect();
        let is_bad = |pair: &[&str]| {
            let is_there = pair[0].to_lowercase().ends_with("there ");
            let is_word = pair[0].ends_with([' ', '"']);
            is_word && !is_there && !pair[1].starts_with("longer")
        };
        !is_comment(lines[at]) && parts.windows(2).any(is_bad)
    });
}
