//! Reads a JSON document key by key, and remembers which keys it was asked for.
//!
//! Reading is also the declaration: the calls that check a document produce the list of all keys
//! with unit, range, default and meaning. Mistakes are collected, so that one start reports all of
//! them.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value};

use super::key::{Absent, KeyDocumentation, KeyKind, TextForm};

/// One mistake in a configuration document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where the mistake is, as a JSON path such as `$.publish.timeoutMs`.
    pub path: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.message)
    }
}

/// What was found while a document was read.
#[derive(Debug, Default)]
pub struct Findings {
    /// All mistakes, in the order of reading.
    pub problems: Vec<Problem>,
    /// All keys that exist.
    pub keys: Vec<KeyDocumentation>,
}

/// One object of the document.
pub struct Section<'a> {
    path: String,
    members: Option<&'a Map<String, Value>>,
    known: Vec<&'static str>,
    withdrawn: Vec<&'static str>,
    findings: &'a mut Findings,
}

impl<'a> Section<'a> {
    /// Returns the document itself.
    pub fn root(document: &'a Value, findings: &'a mut Findings) -> Self {
        if !document.is_object() {
            findings.problems.push(Problem {
                path: "$".to_owned(),
                message: "must be a JSON object".to_owned(),
            });
        }
        Self {
            path: "$".to_owned(),
            members: document.as_object(),
            known: Vec::new(),
            withdrawn: Vec::new(),
            findings,
        }
    }

    /// Reads an object within this one. An absent one counts as empty.
    pub fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let value = self.take(key);
        let path = self.path_of(key);
        if value.is_some_and(|value| !value.is_object()) {
            self.problem::<()>(key, "must be a JSON object".to_owned());
        }
        let mut inner = Section {
            path,
            members: value.and_then(Value::as_object),
            known: Vec::new(),
            withdrawn: Vec::new(),
            findings: &mut *self.findings,
        };
        let result = read(&mut inner);
        inner.finish();
        result
    }

    /// Reads a list of objects, at most `items_max` of them. An absent one counts as empty.
    pub fn list<T>(
        &mut self,
        key: &'static str,
        items_max: usize,
        meaning: &'static str,
        mut read: impl FnMut(&mut Section<'_>) -> T,
    ) -> Vec<T> {
        self.document(key, KeyKind::Objects { items_max }, Absent::Unset, meaning);
        let path = self.path_of(key);
        let items = match self.take(key) {
            None => {
                // There is nothing to read, but the keys of an item are declared all the same.
                self.declare_item(&path, &mut read);
                return Vec::new();
            }
            Some(Value::Array(items)) if items.len() <= items_max => items,
            Some(Value::Array(_)) => {
                return self.problem(key, format!("must have at most {items_max} items"));
            }
            Some(_) => return self.problem(key, "must be a JSON list".to_owned()),
        };
        let mut results = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if !item.is_object() {
                let message = "must be a JSON object".to_owned();
                self.findings.problems.push(Problem { path, message });
                continue;
            }
            let mut inner = Section {
                path,
                members: item.as_object(),
                known: Vec::new(),
                withdrawn: Vec::new(),
                findings: &mut *self.findings,
            };
            results.push(read(&mut inner));
            inner.finish();
        }
        results
    }

    /// Declares the keys of a list's items, as `list[].key`.
    fn declare_item<T>(&mut self, path: &str, read: &mut impl FnMut(&mut Section<'_>) -> T) {
        let mut findings = Findings::default();
        let mut item = Section {
            path: format!("{path}[]"),
            members: None,
            known: Vec::new(),
            withdrawn: Vec::new(),
            findings: &mut findings,
        };
        read(&mut item);
        self.findings.keys.append(&mut findings.keys);
    }

    /// Reads a list of strings, none of them empty.
    pub fn texts(
        &mut self,
        key: &'static str,
        items_max: usize,
        default: &[&str],
        meaning: &'static str,
    ) -> Vec<String> {
        let form = TextForm::Any;
        let kind = KeyKind::Texts { form, items_max };
        self.document(key, kind, Absent::Default(default.into()), meaning);
        let items = match self.take(key) {
            None => return default.iter().map(|text| (*text).to_owned()).collect(),
            Some(Value::Array(items)) if items.len() <= items_max => items,
            Some(_) => {
                return self.problem(key, format!("must be a list of up to {items_max} strings"));
            }
        };
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item.as_str().filter(|text| !text.is_empty()) {
                Some(text) => texts.push(text.to_owned()),
                None => {
                    let path = format!("{}[{index}]", self.path_of(key));
                    let message = "must be a string that isn't empty".to_owned();
                    self.findings.problems.push(Problem { path, message });
                }
            }
        }
        texts
    }

    /// Reads a string that may be absent and then has no default.
    pub fn optional_text(&mut self, key: &'static str, meaning: &'static str) -> Option<String> {
        self.document(key, KeyKind::Text(TextForm::Any), Absent::Unset, meaning);
        match self.take(key)?.as_str().filter(|text| !text.is_empty()) {
            Some(text) => Some(text.to_owned()),
            None => self.problem(key, "must be a string that isn't empty".to_owned()),
        }
    }

    /// Reads a truth value.
    pub fn flag(&mut self, key: &'static str, default: bool, meaning: &'static str) -> bool {
        self.document(key, KeyKind::Flag, Absent::Default(default.into()), meaning);
        match self.take(key) {
            None => default,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.problem::<()>(key, "must be true or false".to_owned());
                // What depends on the value is judged as if the value were right.
                default
            }
        }
    }

    /// Reads a truth value that may be absent and then has no default.
    pub fn optional_flag(&mut self, key: &'static str, meaning: &'static str) -> Option<bool> {
        self.document(key, KeyKind::Flag, Absent::Unset, meaning);
        let value = self.take(key)?;
        let flag = value.as_bool();
        if flag.is_none() {
            self.problem::<()>(key, "must be true or false".to_owned());
        }
        flag
    }

    /// Returns whether a key is present. An absent list may mean something else than an empty one.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.members
            .is_some_and(|members| members.contains_key(key))
    }

    /// Declares the form of the strings of the key that was read last. The caller checks the form
    /// itself, because it can say better what is wrong.
    pub fn declare_form(&mut self, declared: TextForm) {
        let last = self.findings.keys.last_mut().map(|key| &mut key.kind);
        if let Some(KeyKind::Text(form) | KeyKind::Texts { form, .. }) = last {
            *form = declared;
        }
    }

    /// Reports a mistake that only a closer look at the value shows.
    pub fn refuse(&mut self, key: &'static str, message: String) {
        self.problem::<()>(key, message);
    }

    /// Reads a string that must be there and not be empty.
    pub fn required_text(&mut self, key: &'static str, meaning: &'static str) -> String {
        let kind = KeyKind::Text(TextForm::Any);
        self.document(key, kind, Absent::Refused, meaning);
        match self.take(key) {
            Some(Value::String(text)) if !text.is_empty() => text.clone(),
            Some(_) => self.problem(key, "must be a string that isn't empty".to_owned()),
            None => self.problem(key, "is required".to_owned()),
        }
    }

    /// Reads a string that may be absent.
    pub fn text(
        &mut self,
        key: &'static str,
        default: &'static str,
        meaning: &'static str,
    ) -> String {
        let kind = KeyKind::Text(TextForm::Any);
        self.document(key, kind, Absent::Default(default.into()), meaning);
        match self.take(key) {
            Some(Value::String(text)) if !text.is_empty() => text.clone(),
            Some(_) => self.problem(key, "must be a string that isn't empty".to_owned()),
            None => default.to_owned(),
        }
    }

    /// Reads a whole number.
    pub fn integer(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: u64,
        unit: &'static str,
        meaning: &'static str,
    ) -> u64 {
        self.document_integer(key, &range, unit, Absent::Default(default.into()), meaning);
        match self.take(key) {
            None => default,
            Some(value) => self
                .whole_number_in(key, value, &range, unit)
                .unwrap_or(default),
        }
    }

    /// Reads a whole number that may be absent and then has no default. Besides its range it has a
    /// `ceiling`, which is the value of another key.
    pub fn optional_integer(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        ceiling: u64,
        unit: &'static str,
        meaning: &'static str,
    ) -> Option<u64> {
        self.document_integer(key, &range, unit, Absent::Unset, meaning);
        let value = self.take(key)?;
        let range = *range.start()..=ceiling;
        self.whole_number_in(key, value, &range, unit)
    }

    /// Reads a whole number of things that are counted in memory.
    pub fn count(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: u64,
        unit: &'static str,
        meaning: &'static str,
    ) -> usize {
        usize::try_from(self.integer(key, range, default, unit, meaning)).unwrap_or(usize::MAX)
    }

    /// Reads a duration in milliseconds.
    pub fn duration_ms(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: u64,
        meaning: &'static str,
    ) -> Duration {
        Duration::from_millis(self.integer(key, range, default, "milliseconds", meaning))
    }

    /// Refuses a key of an earlier version. `message` says what replaces it.
    pub fn withdrawn(&mut self, key: &'static str, message: &str) {
        self.withdrawn.push(key);
        if self.has(key) {
            self.problem::<()>(key, message.to_owned());
        }
    }

    /// Reports every key that nothing has asked for. Call it after everything has been read.
    pub fn finish(self) {
        let unknown = self.members.into_iter().flat_map(Map::keys).filter(|key| {
            let key = key.as_str();
            !self.known.contains(&key) && !self.withdrawn.contains(&key)
        });
        for key in unknown {
            self.findings.problems.push(Problem {
                path: format!("{}.{key}", self.path),
                message: format!("is not a known key; known are {}", self.known.join(", ")),
            });
        }
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        self.members.and_then(|members| members.get(key))
    }

    fn document(&mut self, key: &str, kind: KeyKind, absent: Absent, meaning: &'static str) {
        let path = self.path_of(key);
        self.findings.keys.push(KeyDocumentation {
            path,
            kind,
            absent,
            meaning,
        });
    }

    fn document_integer(
        &mut self,
        key: &str,
        range: &RangeInclusive<u64>,
        unit: &'static str,
        absent: Absent,
        meaning: &'static str,
    ) {
        let range = range.clone();
        self.document(key, KeyKind::Integer { unit, range }, absent, meaning);
    }

    fn whole_number_in(
        &mut self,
        key: &str,
        value: &Value,
        range: &RangeInclusive<u64>,
        unit: &str,
    ) -> Option<u64> {
        let number = whole_number(value).filter(|number| range.contains(number));
        if number.is_none() {
            let (from, to) = (range.start(), range.end());
            let message = format!("must be a whole number from {from} to {to} ({unit})");
            self.problem::<()>(key, message);
        }
        number
    }

    fn problem<T: Default>(&mut self, key: &str, message: String) -> T {
        let path = self.path_of(key);
        self.findings.problems.push(Problem { path, message });
        T::default()
    }

    fn path_of(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }
}

/// Returns a whole number. Envoy's Struct knows only floating-point numbers, so `5000.0` counts as
/// one.
fn whole_number(value: &Value) -> Option<u64> {
    if let Some(number) = value.as_u64() {
        return Some(number);
    }
    let number = value.as_f64().filter(|number| number.fract() == 0.0)?;
    format!("{number:.0}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(json: &str, read: impl FnOnce(&mut Section<'_>) -> T) -> (T, Findings) {
        let document: Value = serde_json::from_str(json).unwrap();
        let mut findings = Findings::default();
        let mut root = Section::root(&document, &mut findings);
        let result = read(&mut root);
        root.finish();
        (result, findings)
    }

    fn hosts(root: &mut Section<'_>) -> Vec<String> {
        root.list("hosts", 3, "Hosts.", |host| {
            host.required_text("name", "A host.")
        })
    }

    #[test]
    fn lists_give_their_items_or_the_path_of_each_mistake() {
        let (names, findings) = read(r#"{"hosts":[{"name":"a"},{"name":"b"}]}"#, hosts);
        assert_eq!(names, ["a", "b"]);
        assert!(findings.problems.is_empty());
        for (json, paths) in [
            (
                r#"{"hosts":[{"name":"a"},7,{"typo":1}]}"#,
                &["$.hosts[1]", "$.hosts[2].name", "$.hosts[2].typo"][..],
            ),
            (r#"{"hosts":{}}"#, &["$.hosts"]),
            (r#"{"hosts":[{},{},{},{}]}"#, &["$.hosts"]),
        ] {
            let (_, findings) = read(json, hosts);
            let problems = findings.problems.iter();
            assert_eq!(
                problems
                    .map(|problem| problem.path.as_str())
                    .collect::<Vec<_>>(),
                paths
            );
        }
    }

    #[test]
    fn the_keys_of_items_are_declared_without_any_item() {
        let (_, findings) = read("{}", hosts);
        let paths: Vec<&str> = findings.keys.iter().map(|key| key.path.as_str()).collect();
        assert_eq!(paths, ["$.hosts", "$.hosts[].name"]);
        assert!(findings.problems.is_empty());
    }

    #[test]
    fn strings_in_lists_are_checked_one_by_one() {
        let texts = |root: &mut Section<'_>| root.texts("names", 4, &[], "Names.");
        let (names, _) = read(r#"{"names":["a","b"]}"#, texts);
        assert_eq!(names, ["a", "b"]);
        let (_, findings) = read(r#"{"names":["a","",1]}"#, texts);
        let problems = findings.problems.iter();
        assert_eq!(
            problems
                .map(|problem| problem.path.as_str())
                .collect::<Vec<_>>(),
            ["$.names[1]", "$.names[2]"]
        );
    }
}
