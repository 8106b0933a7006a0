//! Paths on this gateway: the path that its filters have judged is the path that is called (G12).
//!
//! Envoy normalizes the path of a request twice: at the listener that judges it, and at the one
//! that calls it. Nearly always the second time changes nothing. If it would change the path, there
//! is no call. Only the operator's list judges the path of a reply, so such a path has to be even
//! plainer.

/// Returns whether Envoy's normalization (`normalize_path`, `merge_slashes`,
/// `path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD`) leaves a request's path as it is.
/// Normalizing once is not always enough: `/a\..;/b` becomes `/a/..;/b`, and that becomes `/b`,
/// because Envoy removes a dot segment together with its parameters. The query doesn't matter.
#[must_use]
pub fn is_normal(path_and_query: &str) -> bool {
    const CHANGED: [&str; 5] = ["//", "\\", "%2f", "%5c", "%00"];
    let path = path_of(path_and_query).to_ascii_lowercase();
    !CHANGED.iter().any(|part| path.contains(part))
        && !path.contains(['"', '<', '>', '^', '`', '{', '|', '}'])
        && !has_encoded(&path, is_unreserved)
        && !has_dot_segment(&path)
}

/// Returns whether a segment is `.` or `..`, with parameters (`..;x`) or without.
#[must_use]
pub(super) fn has_dot_segment(path: &str) -> bool {
    path.split('/')
        .map(|segment| segment.split(';').next().unwrap_or_default())
        .any(|segment| segment == "." || segment == "..")
}

/// RFC 3986 §2.3: if such a character is encoded, it means the same.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn path_of(path_and_query: &str) -> &str {
    path_and_query.split('?').next().unwrap_or_default()
}

/// Returns whether the path has a percent-encoding of such a byte.
fn has_encoded(path: &str, is_meant: impl Fn(u8) -> bool) -> bool {
    let pieces = path.split('%').skip(1);
    pieces
        .filter_map(|piece| piece.get(..2))
        .filter_map(|digits| u8::from_str_radix(digits, 16).ok())
        .any(is_meant)
}

/// Returns whether every server reads this path in the same segments. Some servers decode `%2f`
/// before they split, some also `%252f`; some take `\` for `/`, merge `//`, remove parameters
/// (`..;x`), or read bytes that aren't UTF-8 (`%c0%ae`). To them `/hooks/..%2fadmin` isn't below
/// `/hooks`.
#[must_use]
pub fn is_plain_path(path: &str) -> bool {
    const SEPARATORS: [&str; 9] = ["//", "\\", "%00", "%2f", "%5c", "%25", "%c0", "%c1", "%u"];
    let path = path.to_ascii_lowercase();
    if SEPARATORS.iter().any(|separator| path.contains(separator)) {
        return false;
    }
    // A `;` may be encoded as well.
    let path = path.replace("%2e", ".").replace("%3b", ";");
    !has_dot_segment(&path)
}

/// Returns whether a path lies below a prefix, in whole segments.
pub(super) fn starts_with_segments(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

/// The paths on this gateway that a reply may go to: `replies.paths`. Without any, none is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplyPaths {
    prefixes: Vec<String>,
}

/// What `replies.paths` doesn't allow. The text completes "Async-Reply-To …".
pub type NotAllowed = &'static str;

impl ReplyPaths {
    /// Returns the paths that start with these prefixes, in whole segments. Each prefix has to be
    /// [`Self::is_prefix`].
    #[must_use]
    pub const fn new(prefixes: Vec<String>) -> Self {
        Self { prefixes }
    }

    /// Returns whether this can be a prefix: it is plain, and has no query.
    #[must_use]
    pub fn is_prefix(text: &str) -> bool {
        is_plain(text) && !text.contains('?')
    }

    /// Checks whether a reply may go to this path, with its query.
    ///
    /// # Errors
    /// What is wrong with it, and which setting says so.
    pub fn check(&self, path_and_query: &str) -> Result<(), NotAllowed> {
        if self.prefixes.is_empty() {
            return Err("is a path on this gateway, and its replies.paths allows none");
        }
        if !is_plain(path_and_query) {
            return Err(
                "is a path that replies.paths can't judge: write it plain, without //, dot \
                 segments, ;, #, backslashes, and encoded slashes, dots, letters or digits",
            );
        }
        let path = path_of(path_and_query);
        let mut prefixes = self.prefixes.iter();
        if prefixes.any(|prefix| starts_with_segments(path, prefix)) {
            Ok(())
        } else {
            Err("is a path on this gateway that its replies.paths doesn't allow")
        }
    }
}

/// Returns whether everybody reads this path as the same segments, however often they decode it.
/// Only characters that need it may be encoded, so that a path has a single spelling and can be
/// compared.
fn is_plain(path_and_query: &str) -> bool {
    let path = path_of(path_and_query);
    let needs_none =
        |byte: u8| is_unreserved(byte) || byte < 0x20 || b"/\\;%#?\x7f".contains(&byte);
    path_and_query.starts_with('/')
        && path_and_query.bytes().all(|byte| byte.is_ascii_graphic())
        && !path_and_query.contains(['#', '\\'])
        && !path.contains(';')
        && is_plain_path(path)
        && is_normal(path)
        && !has_encoded(path, needs_none)
        && has_whole_encodings(path)
}

/// Returns whether two hexadecimal digits follow each `%`.
fn has_whole_encodings(path: &str) -> bool {
    path.split('%').skip(1).all(|piece| {
        let digits = piece.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(prefixes: &[&str]) -> ReplyPaths {
        ReplyPaths::new(prefixes.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn normal_is_what_normalization_leaves() {
        for path in [
            "/",
            "/a-b_c.d~e!f$g&h'i(j)k*l+m,n;o=p:q@r",
            "/%E4%BD%A0/%20%25",
            "/a%252Fb",
            "/a/%252e%252e/b",
            "/a%5",
            "/a...b/.c/d.",
            "/q?a=/../c//d%2f;\\",
            "/a;/b;c",
        ] {
            assert!(is_normal(path), "{path}");
        }
        for path in [
            "//a", "/a//b", "/a/./b", "/a/..", "/a/..;/b", "/.;x", "/a%2Fb", "/a%2fb", "/a%5cb",
            "/a\\b", "/%61dmin", "/a%2Eb", "/%00", "/a|b", "/a%7Eb",
        ] {
            assert!(!is_normal(path), "{path}");
        }
    }

    #[test]
    fn replies_go_below_a_prefix_in_whole_segments() {
        let inbox = paths(&["/inbox", "/hooks/in/"]);
        for path in [
            "/inbox",
            "/inbox/7/x.json",
            "/inbox?role=admin&x=/../y//z;",
            "/inbox/gr%C3%BCn%20a",
            "/hooks/in/x",
        ] {
            assert_eq!(inbox.check(path), Ok(()), "{path}");
        }
        for path in [
            "/",
            "/admin",
            "/inboxes",
            "/Inbox",
            "/hooks/in",
            "/hooks",
            "inbox",
            "",
            "*",
            "/?/inbox",
        ] {
            assert!(inbox.check(path).is_err(), "{path}");
        }
        assert!(paths(&["/"]).check("/anything").is_ok());
        assert!(paths(&[]).check("/inbox").is_err());
    }

    #[test]
    fn only_plain_paths_can_be_judged() {
        let all = paths(&["/"]);
        for path in [
            "/inbox/../admin",
            "/inbox/./x",
            "/inbox/..",
            "/inbox//admin",
            "//inbox",
            "/inbox/%2e%2e/admin",
            "/inbox/.%2E/admin",
            "/inbox/..%2fadmin",
            "/inbox%2Fx",
            "/inbox/..\\admin",
            "/inbox/..%5cadmin",
            "/inbox/..;/admin",
            "/inbox;x",
            "/inbox/%3bx",
            "/inbox/%252e%252e/admin",
            "/inbox/%25",
            "/inbox/%c0%ae/admin",
            "/inbox/%u002e",
            "/inbox#x",
            "/inbox?x#y",
            "/inbox?x\\y",
            "/inbox/%23x",
            "/inbox/%3fx",
            "/inb%6fx",
            "/%69nbox",
            "/inbox/%00",
            "/inbox/%0a",
            "/inbox/%",
            "/inbox/%5",
            "/inbox/%zz",
            "/inbox/ü",
            "/inbox/a b",
            "/inbox/a|b",
        ] {
            assert!(all.check(path).is_err(), "{path}");
        }
    }

    /// However often a reader decodes and removes dot segments, an allowed path is below its
    /// prefix.
    #[test]
    fn what_is_allowed_stays_below_its_prefix_however_it_is_read() {
        let inbox = paths(&["/inbox"]);
        let parts = [
            "/", "inbox", "admin", ".", "..", ";", "%", "2", "5", "e", "f", "c", "%2e", "%2F",
            "%5c", "\\", "%25", "?", "#", "%69", "%c3%bc", "x",
        ];
        let mut entropy = crate::id::Entropy::from_seed([7; 32]);
        let mut allowed = 0;
        for _ in 0..200_000 {
            let count = 1 + entropy.up_to(6);
            let last = parts.len() as u64 - 1;
            let more = (0..count).map(|_| parts[usize::try_from(entropy.up_to(last)).unwrap()]);
            let path = format!("/inbox{}", more.collect::<String>());
            if inbox.check(&path).is_ok() {
                allowed += 1;
                let read = read_leniently(&path);
                assert!(
                    starts_with_segments(&read, "/inbox"),
                    "{path} is read as {read}"
                );
            }
        }
        assert!(allowed > 1_000, "{allowed}");
    }

    /// Returns the path as the most lenient server reads it: it decodes three times, takes `\` for
    /// `/`, removes parameters, merges slashes and removes dot segments.
    fn read_leniently(path: &str) -> String {
        let mut path = path_of(path).to_owned();
        for _ in 0..3 {
            let bytes = percent_encoding::percent_decode_str(&path).collect::<Vec<u8>>();
            path = String::from_utf8_lossy(&bytes).into_owned();
        }
        let path = path.replace('\\', "/");
        let mut segments: Vec<&str> = Vec::new();
        for segment in path.split('/') {
            match segment.split(';').next().unwrap() {
                "" | "." => {}
                ".." => drop(segments.pop()),
                segment => segments.push(segment),
            }
        }
        format!("/{}", segments.join("/"))
    }
}
