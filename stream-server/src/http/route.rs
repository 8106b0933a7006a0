//! From method and path to an operation.

use hyper::Method;
use percent_encoding::percent_decode_str;

use crate::refusal::Refusal;

const BASE_PATH: &str = "20180418";

/// An operation with the names from its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Health,
    CreateStream,
    ListStreams,
    GetStream { stream: String },
    PutMessages { stream: String },
    GetMessages { stream: String },
    CreateCursor { stream: String },
    CreateGroupCursor { stream: String },
    Commit { stream: String },
    Heartbeat { stream: String },
    GetGroup { stream: String, group: String },
    UpdateGroup { stream: String, group: String },
}

/// Finds the operation. Lenient with slashes: an endpoint configured with a trailing slash gives
/// paths like `//20180418/streams`. A group's name may contain slashes, since Oracle's Python SDK
/// does not encode them.
pub(crate) fn route(method: &Method, path: &str) -> Result<Route, Refusal> {
    let unknown = || Refusal::unknown_path(method.as_str(), path);
    let trimmed = path.trim_start_matches('/');
    let (first, rest) = trimmed.split_once('/').unwrap_or((trimmed, ""));
    if first == "health" && rest.is_empty() {
        return by_method(method, &[(Method::GET, Route::Health)]);
    }
    if first != BASE_PATH {
        return Err(unknown());
    }
    let rest = rest.trim_start_matches('/');
    let (collection, rest) = rest.split_once('/').unwrap_or((rest, ""));
    if collection != "streams" {
        return Err(unknown());
    }
    let rest = rest.trim_start_matches('/');
    let (stream, rest) = rest.split_once('/').unwrap_or((rest, ""));
    if stream.is_empty() {
        let routes = [
            (Method::GET, Route::ListStreams),
            (Method::POST, Route::CreateStream),
        ];
        return by_method(method, &routes);
    }
    let stream = decode(stream)?;
    let (what, name) = rest.split_once('/').unwrap_or((rest, ""));
    let routes = match (what, name) {
        ("", "") => vec![(Method::GET, Route::GetStream { stream })],
        ("messages", "") => vec![
            (
                Method::GET,
                Route::GetMessages {
                    stream: stream.clone(),
                },
            ),
            (Method::POST, Route::PutMessages { stream }),
        ],
        ("cursors", "") => vec![(Method::POST, Route::CreateCursor { stream })],
        ("groupCursors", "") => vec![(Method::POST, Route::CreateGroupCursor { stream })],
        ("commit", "") => vec![(Method::POST, Route::Commit { stream })],
        ("heartbeat", "") => vec![(Method::POST, Route::Heartbeat { stream })],
        ("groups", name) if !name.is_empty() => {
            let group = decode(name)?;
            vec![
                (
                    Method::GET,
                    Route::GetGroup {
                        stream: stream.clone(),
                        group: group.clone(),
                    },
                ),
                (Method::PUT, Route::UpdateGroup { stream, group }),
            ]
        }
        (_, _) => return Err(unknown()),
    };
    by_method(method, &routes)
}

fn by_method(method: &Method, routes: &[(Method, Route)]) -> Result<Route, Refusal> {
    let found = routes.iter().find(|(allowed, _)| allowed == method);
    found.map(|(_, route)| route.clone()).ok_or_else(|| {
        let allowed: Vec<&str> = routes.iter().map(|(allowed, _)| allowed.as_str()).collect();
        Refusal::method_not_allowed(method.as_str(), &allowed.join(" or "))
    })
}

fn decode(segment: &str) -> Result<String, Refusal> {
    let decoded = percent_decode_str(segment).decode_utf8();
    let text = decoded.map_err(|_| Refusal::invalid_parameter("The path is not UTF-8"))?;
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_operations() {
        let stream = || "ocid1.stream.a".to_owned();
        let group = |name: &str| Route::GetGroup {
            stream: stream(),
            group: name.to_owned(),
        };
        for (method, path, expected) in [
            (Method::GET, "/health", Route::Health),
            (Method::GET, "/20180418/streams", Route::ListStreams),
            (Method::POST, "//20180418/streams/", Route::CreateStream),
            (
                Method::GET,
                "/20180418/streams/ocid1.stream.a",
                Route::GetStream { stream: stream() },
            ),
            (
                Method::POST,
                "//20180418/streams/ocid1.stream.a/messages",
                Route::PutMessages { stream: stream() },
            ),
            (
                Method::GET,
                "/20180418/streams/ocid1.stream.a/groups/g1",
                group("g1"),
            ),
            (
                Method::GET,
                "/20180418/streams/ocid1.stream.a/groups/a/b",
                group("a/b"),
            ),
            (
                Method::GET,
                "/20180418/streams/ocid1%2Estream.a/groups/a%2Fb",
                group("a/b"),
            ),
        ] {
            assert_eq!(route(&method, path), Ok(expected), "{method} {path}");
        }
    }

    #[test]
    fn other_paths_and_methods_are_refused() {
        for (method, path, status) in [
            (Method::GET, "/", 404),
            (Method::GET, "/20180418", 404),
            (Method::GET, "/20180418/streampools", 404),
            (Method::GET, "/20180418/streams/a/groups", 404),
            (Method::GET, "/20180418/streams/a/messages/b", 404),
            (Method::POST, "/health", 405),
            (Method::PUT, "/20180418/streams", 405),
            (Method::DELETE, "/20180418/streams/a/messages", 405),
        ] {
            let refused = route(&method, path).unwrap_err();
            assert_eq!(refused.status, status, "{method} {path}: {refused:?}");
        }
    }
}
