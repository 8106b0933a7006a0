//! Step 1a: which requests become calls.
//!
//! A trigger is a preference (`Prefer: respond-async`, RFC 7240 §4.1), a path prefix, or the
//! metadata of the route. A route that says `never` wins over every trigger.

use crate::http::{Fields, all, first, list_elements};

/// The triggers of this gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsyncTriggers {
    /// Whether the preference `respond-async` is a trigger.
    pub prefer: bool,
    /// The field that holds preferences, in lower case.
    pub prefer_header: String,
    /// The path prefix that is a trigger, with a slash at both ends; `None` if no path is one.
    pub path_prefix: Option<String>,
    /// Whether the mode is read from the route of every request, so that `always` is found even
    /// without another trigger. The route of a marked request is always read.
    pub route_metadata: bool,
}

impl Default for AsyncTriggers {
    /// Returns the triggers of an empty configuration.
    fn default() -> Self {
        Self {
            prefer: true,
            prefer_header: "prefer".to_owned(),
            path_prefix: None,
            route_metadata: false,
        }
    }
}

/// The mode in a route's metadata: `sluice: { mode: … }`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouteMode {
    /// Triggers decide. This is also the mode if the route says nothing.
    #[default]
    Prefer,
    /// Every request is a call.
    Always,
    /// No request is a call, whatever its triggers.
    Never,
    /// The route has an unknown mode: triggers decide, and the log says so.
    Unknown,
}

impl RouteMode {
    /// Reads the value in the metadata; `None` if there is none.
    #[must_use]
    pub fn read(value: Option<&[u8]>) -> Self {
        match value {
            None | Some(b"" | b"prefer") => Self::Prefer,
            Some(b"always") => Self::Always,
            Some(b"never") => Self::Never,
            Some(_) => Self::Unknown,
        }
    }
}

/// Why a request is a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The request prefers it.
    Prefer,
    /// The path has the prefix.
    PathPrefix,
    /// The route says so.
    Route,
}

/// Returns whether a request is marked, and by what. The prefix stays in the path, because the
/// gateway's filters have judged the path with it, and the same path is called.
#[must_use]
pub fn trigger(fields: &Fields, route: RouteMode, triggers: &AsyncTriggers) -> Option<Trigger> {
    if route == RouteMode::Never || is_preflight(fields) {
        return None;
    }
    if first(fields, ":path").is_some_and(|path| triggers.has_prefix(path)) {
        return Some(Trigger::PathPrefix);
    }
    if triggers.prefer && prefers_async(all(fields, &triggers.prefer_header)) {
        return Some(Trigger::Prefer);
    }
    (route == RouteMode::Always).then_some(Trigger::Route)
}

/// Returns whether this is a preflight request, by which a browser asks what a page may do (Fetch
/// §3.3.2). The browser needs the answer at once.
fn is_preflight(fields: &Fields) -> bool {
    first(fields, ":method") == Some(b"OPTIONS")
        && first(fields, "access-control-request-method").is_some()
}

impl AsyncTriggers {
    /// Returns whether a path has the prefix that triggers it.
    #[must_use]
    pub fn has_prefix(&self, path: &[u8]) -> bool {
        let prefix = self.path_prefix.as_ref();
        prefix.is_some_and(|prefix| path.starts_with(prefix.as_bytes()))
    }

    /// Returns what a call keeps of a field that holds preferences: see [`without_applied`]. If
    /// preferences are no triggers, the target gets all of them.
    #[must_use]
    pub fn kept(&self, name: &str, value: Vec<u8>) -> Option<Vec<u8>> {
        if self.prefer && name == self.prefer_header {
            without_applied(&value)
        } else {
            Some(value)
        }
    }
}

/// Returns whether these lines of preferences contain `respond-async`: a list in any case, over
/// several lines, with parameters or other preferences beside it. If a preference is there more
/// than once, the first one counts (RFC 7240 §2).
fn prefers_async<'a>(lines: impl Iterator<Item = &'a [u8]> + 'a) -> bool {
    list_elements(lines)
        .find(|element| name(element) == b"respond-async")
        .is_some_and(is_respond_async)
}

/// Returns a line of preferences without those that this gateway has applied: `respond-async`, and
/// `wait`, which only says how long the client would have waited. A line with neither stays as it
/// is. Returns `None` if nothing is left.
fn without_applied(line: &[u8]) -> Option<Vec<u8>> {
    let applied = |element: &[u8]| name(element) == b"respond-async" || name(element) == b"wait";
    if !list_elements(std::iter::once(line)).any(applied) {
        return Some(line.to_vec());
    }
    let rest: Vec<&[u8]> = list_elements(std::iter::once(line))
        .filter(|element| !applied(element))
        .collect();
    (!rest.is_empty()).then(|| rest.join(&b", "[..]))
}

/// RFC 7240 §2: `token [ BWS "=" BWS word ] *( OWS ";" … )`. An empty word counts as no word.
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

/// Returns a preference's name in lower case.
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

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let field = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).into());
        lines.iter().map(field).collect()
    }

    fn marked(lines: &[&str]) -> bool {
        let lines: Vec<_> = lines.iter().map(|line| ("prefer", *line)).collect();
        let found = trigger(
            &fields(&lines),
            RouteMode::Prefer,
            &AsyncTriggers::default(),
        );
        found == Some(Trigger::Prefer)
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
            &["respond-async ;\tfoo = bar"],
            &["respond-async;"],
            &["respond-async=\"\""],
            &["respond-async = \t\"\" ; foo"],
            &["respond-async="],
            &["foo=\"x, y\", respond-async"],
            &["foo=\"x\\\", y\", respond-async"],
            &["foo=\"x\\\\\", respond-async"],
            &["foo=\"x; y\", respond-async"],
            &[", ,respond-async,"],
            &["", "respond-async"],
            &["respond-async, respond-async=no"],
            &["respond-async", "respond-async=no"],
        ] {
            assert!(marked(lines), "{lines:?}");
        }
        for lines in [
            &[][..],
            &[""],
            &[",,"],
            &["respond-asynchronously"],
            &["return=respond-async"],
            &["foo=\"a, respond-async\""],
            &["foo=\"a\\\", respond-async\""],
            &["foo=\"never closed, respond-async"],
            &["respond-async=no"],
            &["respond-async=\"no\""],
            &["respond-async=no, respond-async"],
            &["RESPOND-ASYNC=no", "respond-async"],
            &["foo; respond-async"],
            &["foo;bar=\"; respond-async\""],
            &["respond-async wait=10"],
            &["\"respond-async\""],
        ] {
            assert!(!marked(lines), "{lines:?}");
        }
    }

    #[test]
    fn only_what_was_applied_is_removed() {
        let rest = |line: &str| {
            let kept = AsyncTriggers::default().kept("prefer", line.into());
            kept.map(|rest| String::from_utf8(rest).unwrap())
        };
        for (line, left) in [
            ("respond-async", None),
            ("respond-async, wait=10", None),
            ("Wait = \"10\";x , RESPOND-async;a=\"b,c\"", None),
            ("return=minimal,respond-async", Some("return=minimal")),
            ("handling=lenient ,  x", Some("handling=lenient ,  x")),
            (
                "waiting, respond-async, a=\"b, c\"",
                Some("waiting, a=\"b, c\""),
            ),
        ] {
            assert_eq!(rest(line).as_deref(), left, "{line}");
        }
        let off = AsyncTriggers {
            prefer: false,
            ..AsyncTriggers::default()
        };
        let kept = off.kept("prefer", b"respond-async".to_vec());
        assert_eq!(kept.as_deref(), Some(&b"respond-async"[..]));
    }

    #[test]
    fn a_prefix_marks_what_lies_below_it() {
        let triggers = AsyncTriggers {
            path_prefix: Some("/async/".to_owned()),
            ..AsyncTriggers::default()
        };
        for path in [
            "/async/orders?x",
            "/async/",
            "/async/?x",
            "/async/async/x",
            "/async/a%2Fb",
        ] {
            let found = trigger(&fields(&[(":path", path)]), RouteMode::Prefer, &triggers);
            assert_eq!(found, Some(Trigger::PathPrefix), "{path}");
        }
        for path in [
            "/async",
            "/async?x",
            "/asyncx",
            "/asyncx/y",
            "/Async/x",
            "/%61sync/x",
            "/x/async/y",
            "*",
        ] {
            let found = trigger(&fields(&[(":path", path)]), RouteMode::Prefer, &triggers);
            assert_eq!(found, None, "{path}");
        }
    }

    #[test]
    fn a_preflight_is_never_a_call() {
        let triggers = AsyncTriggers {
            path_prefix: Some("/async/".to_owned()),
            ..AsyncTriggers::default()
        };
        let with = |method, more: &[(&str, &str)]| {
            let request = [
                (":method", method),
                (":path", "/async/x"),
                ("prefer", "respond-async"),
            ];
            trigger(
                &fields(&[&request[..], more].concat()),
                RouteMode::Always,
                &triggers,
            )
        };
        let asks = ("access-control-request-method", "POST");
        assert_eq!(with("OPTIONS", &[asks]), None);
        assert_eq!(
            with("OPTIONS", &[asks, ("origin", "https://a.example")]),
            None
        );
        assert!(with("OPTIONS", &[("origin", "https://a.example")]).is_some());
        assert!(with("POST", &[asks]).is_some());
    }

    #[test]
    fn never_wins_over_every_mark_and_always_needs_none() {
        let triggers = AsyncTriggers {
            path_prefix: Some("/async/".to_owned()),
            ..AsyncTriggers::default()
        };
        let both = fields(&[(":path", "/async/x"), ("prefer", "respond-async")]);
        let prefers = fields(&[(":path", "/x"), ("prefer", "respond-async")]);
        let neither = fields(&[(":path", "/x")]);
        let prefix = Some(Trigger::PathPrefix);
        for (request, mode, expected) in [
            (&both, RouteMode::Prefer, &prefix),
            (&both, RouteMode::Always, &prefix),
            (&both, RouteMode::Never, &None),
            (&prefers, RouteMode::Prefer, &Some(Trigger::Prefer)),
            (&prefers, RouteMode::Unknown, &Some(Trigger::Prefer)),
            (&prefers, RouteMode::Never, &None),
            (&neither, RouteMode::Always, &Some(Trigger::Route)),
            (&neither, RouteMode::Prefer, &None),
            (&neither, RouteMode::Unknown, &None),
            (&neither, RouteMode::Never, &None),
        ] {
            let found = trigger(request, mode, &triggers);
            assert_eq!(&found, expected, "{request:?} {mode:?}");
        }
    }

    #[test]
    fn the_preference_can_have_another_header_or_be_no_mark() {
        let renamed = AsyncTriggers {
            prefer_header: "x-prefer".to_owned(),
            ..AsyncTriggers::default()
        };
        let off = AsyncTriggers {
            prefer: false,
            ..AsyncTriggers::default()
        };
        let standard = fields(&[("prefer", "respond-async")]);
        let other = fields(&[("x-prefer", "respond-async")]);
        assert_eq!(trigger(&standard, RouteMode::Prefer, &renamed), None);
        assert!(trigger(&other, RouteMode::Prefer, &renamed).is_some());
        assert_eq!(trigger(&standard, RouteMode::Prefer, &off), None);
        assert_eq!(
            trigger(&standard, RouteMode::Always, &off),
            Some(Trigger::Route)
        );
    }

    #[test]
    fn a_route_says_its_mode_in_one_of_three_words() {
        for (value, mode) in [
            (None, RouteMode::Prefer),
            (Some(&b"prefer"[..]), RouteMode::Prefer),
            (Some(b"always"), RouteMode::Always),
            (Some(b"never"), RouteMode::Never),
            (Some(b"Never"), RouteMode::Unknown),
            (Some(b"\x01"), RouteMode::Unknown),
        ] {
            assert_eq!(RouteMode::read(value), mode, "{value:?}");
        }
    }
}
