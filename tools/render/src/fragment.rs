//! Parts of Envoy's configuration that the operator writes in Envoy's own words.

use std::path::Path;

/// The most that such a file may have, in bytes.
const BYTES_MAX: u64 = 1_048_576;

/// The text of a file beside the input, without the indentation that all of its lines share.
///
/// # Errors
/// Says why the file is none that can be used.
pub(crate) fn read(folder: &Path, name: &str) -> Result<String, String> {
    let path = folder.join(name);
    let shown = path.display();
    let size = std::fs::metadata(&path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    if size.len() > BYTES_MAX {
        return Err(format!("{shown} has more than {BYTES_MAX} bytes"));
    }
    let text =
        std::fs::read_to_string(&path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    if text.contains('\t') {
        return Err(format!(
            "{shown} has tabs, which YAML doesn't take for indentation"
        ));
    }
    let text = unindented(&text);
    if !text.lines().any(|line| line.starts_with("- ")) {
        return Err(format!(
            "{shown} has to be a YAML list, in Envoy's own words"
        ));
    }
    Ok(text)
}

/// The text without the indentation that all of its lines share.
fn unindented(text: &str) -> String {
    let filled = text.lines().filter(|line| !line.trim().is_empty());
    let depth = |line: &str| {
        line.chars()
            .take_while(|character| *character == ' ')
            .count()
    };
    let shared = filled.map(depth).min().unwrap_or_default();
    let lines = text
        .lines()
        .map(|line| line.get(shared..).unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_indentation_is_taken_away() {
        assert_eq!(
            unindented("  # a\n  - b:\n\n      c\n"),
            "# a\n- b:\n\n    c"
        );
        assert_eq!(unindented(""), "");
    }
}
