//! Collects the pages in `docs/SUMMARY.md`, and the files that these pages link to, in the layout
//! of the repository. So every link between them works unchanged.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

const CONTENTS: &str = "docs/SUMMARY.md";

/// Copies everything into `target` and returns the number of pages.
///
/// # Errors
/// When a page or a linked file is missing.
pub(super) fn collect(root: &Path, target: &Path) -> Result<usize> {
    if target.exists() {
        fs::remove_dir_all(target)?;
    }
    let contents = read(root, Path::new(CONTENTS))?;
    let mut moved = contents.clone();
    let mut pages = Vec::new();
    for link in link_targets(&contents) {
        let page = resolve(Path::new(CONTENTS), link)
            .with_context(|| format!("{CONTENTS}: {link} leaves the repository"))?;
        moved = moved.replace(&format!("]({link})"), &format!("]({})", page.display()));
        pages.push(page);
    }
    write(target, Path::new("SUMMARY.md"), moved.as_bytes())?;
    for page in &pages {
        let text = read(root, page)?;
        write(target, page, text.as_bytes())?;
        copy_linked(root, target, page, &text)?;
    }
    Ok(pages.len())
}

/// Copies pictures, configurations and schemas that a page links to. Linked pages have to be in the
/// contents.
fn copy_linked(root: &Path, target: &Path, page: &Path, text: &str) -> Result<()> {
    for link in link_targets(text) {
        let Some(file) = resolve(page, link) else {
            bail!("{}: {link} leaves the repository", page.display());
        };
        if file.extension().is_some_and(|extension| extension == "md") {
            continue;
        }
        let bytes = fs::read(root.join(&file))
            .with_context(|| format!("{}: cannot read {link}", page.display()))?;
        write(target, &file, &bytes)?;
    }
    Ok(())
}

/// Returns the relative links of a page, without their fragments, outside of code blocks.
fn link_targets(text: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        for rest in line.split("](").skip(1) {
            let link = rest.split([')', '#']).next().unwrap_or_default();
            if !link.is_empty() && !link.contains("://") && !link.starts_with("mailto:") {
                targets.push(link);
            }
        }
    }
    targets
}

/// Returns where a link of a page leads, from the repository's root.
fn resolve(page: &Path, link: &str) -> Option<PathBuf> {
    let mut path = page.parent().unwrap_or(Path::new("")).to_path_buf();
    for component in Path::new(link).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

fn read(root: &Path, file: &Path) -> Result<String> {
    fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {}", file.display()))
}

fn write(target: &Path, file: &Path, bytes: &[u8]) -> Result<()> {
    let path = target.join(file);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_code_and_to_elsewhere_are_no_pages() {
        let text = "[a](b.md#c) [d](https://e) [f](#g)\n```\n[h](i)\n```\n![j](k.svg)";
        assert_eq!(link_targets(text), ["b.md", "k.svg"]);
    }

    #[test]
    fn a_link_is_resolved_from_its_page() {
        let page = Path::new("docs/oci.md");
        assert_eq!(
            resolve(page, "../envoy/a.yaml"),
            Some("envoy/a.yaml".into())
        );
        assert_eq!(
            resolve(page, "adr/0001.md"),
            Some("docs/adr/0001.md".into())
        );
        assert_eq!(resolve(page, "../../elsewhere"), None);
    }
}
