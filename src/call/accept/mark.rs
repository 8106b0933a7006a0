//! Step 1a: which requests become calls. `Prefer: respond-async` (RFC 7240 §4.1).

use crate::http::list_elements;

/// Whether these `Prefer` lines hold `respond-async`: a list in any case, over several lines, with
/// parameters or other preferences beside it.
pub fn is_marked<'a>(prefer: impl Iterator<Item = &'a [u8]> + 'a) -> bool {
    list_elements(prefer).any(is_respond_async)
}

/// A `Prefer` line without what this gateway has applied: `respond-async`, and `wait`, which only
/// says how long the client would have waited. A line that has neither stays as it is; one with
/// nothing left is gone.
#[must_use]
pub fn without_applied(line: &[u8]) -> Option<Vec<u8>> {
    let applied = |element: &[u8]| is_respond_async(element) || name(element) == b"wait";
    if !list_elements(std::iter::once(line)).any(applied) {
        return Some(line.to_vec());
    }
    let rest: Vec<&[u8]> = list_elements(std::iter::once(line))
        .filter(|element| !applied(element))
        .collect();
    (!rest.is_empty()).then(|| rest.join(&b", "[..]))
}

/// RFC 7240 §2: `token [ BWS "=" BWS word ] *( OWS ";" … )`, and an empty word is no word.
fn is_respond_async(element: &[u8]) -> bool {
    let preference = element
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default();
    let mut sides = preference
        .splitn(2, |byte| *byte == b'=')
        .map(<[u8]>::trim_ascii);
    let name = sides.next().unwrap_or_default();
    let word = sides.next().unwrap_or_default();
    name.eq_ignore_ascii_case(b"respond-async") && (word.is_empty() || word == b"\"\"")
}

/// A preference's name in lower case.
fn name(element: &[u8]) -> Vec<u8> {
    let end = element
        .iter()
        .position(|byte| b"=;".contains(byte))
        .unwrap_or(element.len());
    element
        .get(..end)
        .unwrap_or_default()
        .trim_ascii()
        .to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(lines: &[&str]) -> bool {
        is_marked(lines.iter().map(|line| line.as_bytes()))
    }

    #[test]
    fn respond_async_is_found_wherever_rfc_7240_allows_it() {
        for lines in [
            &["respond-async"][..],
            &["Respond-ASYNC"],
            &["respond-async, wait=10"],
            &["wait=10 , respond-async"],
            &["return=minimal", "respond-async"],
            &["respond-async;foo=\"a,b\""],
            &["respond-async; foo"],
            &["respond-async=\"\""],
            &["foo=\"x, y\", respond-async"],
        ] {
            assert!(marked(lines), "{lines:?}");
        }
        for lines in [
            &[][..],
            &[""],
            &["respond-asynchronously"],
            &["return=respond-async"],
            &["foo=\"a, respond-async\""],
            &["respond-async=no"],
            &["foo; respond-async"],
        ] {
            assert!(!marked(lines), "{lines:?}");
        }
    }

    #[test]
    fn only_what_was_applied_is_removed() {
        let rest = |line: &str| {
            without_applied(line.as_bytes()).map(|rest| String::from_utf8(rest).unwrap())
        };
        assert_eq!(rest("respond-async"), None);
        assert_eq!(rest("respond-async, wait=10"), None);
        assert_eq!(
            rest("return=minimal,respond-async").as_deref(),
            Some("return=minimal")
        );
        assert_eq!(
            rest("handling=lenient ,  x").as_deref(),
            Some("handling=lenient ,  x")
        );
    }
}
