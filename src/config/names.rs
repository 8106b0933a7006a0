//! Lists of header names.

use super::key::TextForm;
use super::reader::Section;
use crate::limits::HEADER_NAMES_MAX;
use crate::record::names::NameList;

/// Reads a list of names and starts of names.
pub(super) fn read_names(
    section: &mut Section<'_>,
    key: &'static str,
    default: &[&'static str],
    meaning: &'static str,
) -> NameList {
    let texts = section.texts(key, HEADER_NAMES_MAX, default, meaning);
    section.declare_form(TextForm::Pattern("^[!#$%&'+.^_`|~0-9A-Za-z-]+\\*?$"));
    match NameList::parse(texts.iter().map(String::as_str)) {
        Ok(names) => names,
        Err(problem) => {
            section.refuse(key, format!("the item {problem}"));
            NameList::default()
        }
    }
}

/// Reads the section `seal`; the same in both roles.
pub(super) fn read_sealed_headers(root: &mut Section<'_>) -> NameList {
    root.section("seal", |seal| {
        read_names(
            seal,
            "headers",
            &["authorization", "cookie", "proxy-authorization"],
            "Headers whose values are sealed where calls are stored, by the keys in the \
             environment variable SLUICE_SEAL_KEYS of the filter's VM; without keys nothing is. \
             Names, and starts of names with a `*` behind them. In the drain, those of replies.",
        )
    })
}
