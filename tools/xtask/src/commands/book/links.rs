//! Checks the links of the built website: files and headings.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Pages that mdbook makes itself: the whole book at once, and the page for a wrong address. Their
/// links are those of the other pages, from another place.
const MADE: &[&str] = &["print.html", "404.html", "toc.html"];

/// Returns every link to a missing file or heading, with its page.
///
/// # Errors
/// When the website can't be read.
pub(super) fn broken(html: &Path) -> Result<Vec<String>> {
    let mut pages = BTreeMap::new();
    read_pages(html, &mut pages)?;
    let mut broken = Vec::new();
    for (page, text) in &pages {
        if MADE.iter().any(|name| page.ends_with(name)) {
            continue;
        }
        for link in links(text) {
            if !leads_somewhere(page, link, &pages) {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    Ok(broken)
}

fn read_pages(folder: &Path, pages: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            read_pages(&path, pages)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            let text = fs::read_to_string(&path)?;
            pages.insert(path, text);
        }
    }
    Ok(())
}

/// Returns the relative links of a page.
fn links(text: &str) -> impl Iterator<Item = &str> {
    ["href=\"", "src=\""]
        .into_iter()
        .flat_map(|attribute| text.split(attribute).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .filter(|link| {
            !link.contains("://") && !link.starts_with("data:") && !link.starts_with("mailto:")
        })
}

fn leads_somewhere(page: &Path, link: &str, pages: &BTreeMap<PathBuf, String>) -> bool {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() {
        page.to_path_buf()
    } else {
        let Some(folder) = page.parent() else {
            return false;
        };
        let Ok(target) = folder.join(file).canonicalize() else {
            return false;
        };
        target
    };
    heading.is_empty()
        || pages
            .get(&target)
            .is_some_and(|text| text.contains(&format!("id=\"{heading}\"")))
}
