//! From method and path to an operation.

use hyper::Method;
use percent_encoding::percent_decode_str;

pub(crate) use super::control_route::Control;
use crate::api_error::ApiError;
use crate::auth::Right;

const BASE_PATH: &str = "20180418";

/// All operations, by OCI's names.
pub(crate) const OPERATIONS: &[&str] = &[
    "PutMessages",
    "GetMessages",
    "CreateCursor",
    "CreateGroupCursor",
    "ConsumerCommit",
    "ConsumerHeartbeat",
    "GetGroup",
    "UpdateGroup",
    "CreateStream",
    "ListStreams",
    "GetStream",
    "UpdateStream",
    "DeleteStream",
    "ChangeStreamCompartment",
    "CreateStreamPool",
    "ListStreamPools",
    "GetStreamPool",
    "UpdateStreamPool",
    "DeleteStreamPool",
    "ChangeStreamPoolCompartment",
    "ListWorkRequests",
    "GetWorkRequest",
    "ListWorkRequestErrors",
    "ListWorkRequestLogs",
];

/// An operation with the names from its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Health,
    PutMessages {
        stream: String,
        /// The partition that the client has chosen, which OCI Streaming doesn't have.
        partition: Option<u32>,
    },
    GetMessages {
        stream: String,
    },
    CreateCursor {
        stream: String,
    },
    CreateGroupCursor {
        stream: String,
    },
    Commit {
        stream: String,
    },
    Heartbeat {
        stream: String,
    },
    GetGroup {
        stream: String,
        group: String,
    },
    UpdateGroup {
        stream: String,
        group: String,
    },
    Control(Control),
}

impl Route {
    /// Returns OCI's name of the operation.
    pub(crate) fn operation(&self) -> &'static str {
        match self {
            Self::Health => "Health",
            Self::PutMessages { .. } => "PutMessages",
            Self::GetMessages { .. } => "GetMessages",
            Self::CreateCursor { .. } => "CreateCursor",
            Self::CreateGroupCursor { .. } => "CreateGroupCursor",
            Self::Commit { .. } => "ConsumerCommit",
            Self::Heartbeat { .. } => "ConsumerHeartbeat",
            Self::GetGroup { .. } => "GetGroup",
            Self::UpdateGroup { .. } => "UpdateGroup",
            Self::Control(control) => control.operation(),
        }
    }

    /// Returns the right that a key needs for it; `None` if every key will do. Publishing and
    /// consuming include the right to see a stream, as OCI's `STREAM_READ` is included.
    pub(crate) fn right(&self) -> Option<Right> {
        match self {
            Self::Health | Self::Control(Control::GetStream(_)) => None,
            Self::PutMessages { .. } => Some(Right::Publish),
            Self::GetMessages { .. }
            | Self::CreateCursor { .. }
            | Self::CreateGroupCursor { .. }
            | Self::Commit { .. }
            | Self::Heartbeat { .. }
            | Self::GetGroup { .. }
            | Self::UpdateGroup { .. } => Some(Right::Consume),
            Self::Control(_) => Some(Right::Manage),
        }
    }

    /// Returns the id of the stream that it is about, if it is about one.
    pub(crate) fn stream(&self) -> Option<&str> {
        match self {
            Self::Health => None,
            Self::PutMessages { stream, .. }
            | Self::GetMessages { stream }
            | Self::CreateCursor { stream }
            | Self::CreateGroupCursor { stream }
            | Self::Commit { stream }
            | Self::Heartbeat { stream }
            | Self::GetGroup { stream, .. }
            | Self::UpdateGroup { stream, .. } => Some(stream),
            Self::Control(control) => control.stream(),
        }
    }
}

/// Finds the operation. Extra slashes don't matter: an endpoint configured with a trailing slash
/// leads to paths like `//20180418/streams`. A group's name may contain slashes, because Oracle's
/// Python SDK does not encode them.
pub(crate) fn route(method: &Method, path: &str) -> Result<Route, ApiError> {
    let unknown = || ApiError::unknown_path(method.as_str(), path);
    let (first, rest) = segment(path);
    if first == "health" && rest.is_empty() {
        return choose(method, vec![(Method::GET, Route::Health)]);
    }
    if first != BASE_PATH {
        return Err(unknown());
    }
    let (collection, rest) = segment(rest);
    let (id, rest) = segment(rest);
    let (what, name) = segment(rest);
    let id = decode(id)?;
    let routes = match collection {
        "streams" => stream_routes(id, what, name)?,
        "streampools" => pool_routes(id, what, name),
        "workRequests" => work_request_routes(id, what, name),
        "connectharnesses" => return Err(ApiError::no_connect_harnesses()),
        _ => Vec::new(),
    };
    if routes.is_empty() {
        return Err(unknown());
    }
    choose(method, routes)
}

/// Returns the first segment of a path, and what comes after it; slashes before and between don't
/// count.
fn segment(path: &str) -> (&str, &str) {
    let path = path.trim_start_matches('/');
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    (first, rest.trim_start_matches('/'))
}

fn stream_routes(stream: String, what: &str, name: &str) -> Result<Vec<(Method, Route)>, ApiError> {
    if stream.is_empty() {
        return Ok(control([
            (Method::GET, Control::ListStreams),
            (Method::POST, Control::CreateStream),
        ]));
    }
    let again = stream.clone();
    Ok(match (what, name.trim_end_matches('/')) {
        ("", "") => control([
            (Method::GET, Control::GetStream(stream.clone())),
            (Method::PUT, Control::UpdateStream(stream.clone())),
            (Method::DELETE, Control::DeleteStream(stream)),
        ]),
        ("messages", "") => vec![
            (Method::GET, Route::GetMessages { stream }),
            put_messages(again, None),
        ],
        ("partitions", name) => match name.split_once('/') {
            Some((number, "messages")) => vec![put_into(stream, number)?],
            Some(_) | None => Vec::new(),
        },
        ("cursors", "") => vec![(Method::POST, Route::CreateCursor { stream })],
        ("groupCursors", "") => vec![(Method::POST, Route::CreateGroupCursor { stream })],
        ("commit", "") => vec![(Method::POST, Route::Commit { stream })],
        ("heartbeat", "") => vec![(Method::POST, Route::Heartbeat { stream })],
        ("actions", "changeCompartment") => {
            control([(Method::POST, Control::ChangeStreamCompartment(stream))])
        }
        ("groups", name) if !name.is_empty() => {
            let group = decode(name)?;
            let get = Route::GetGroup {
                stream,
                group: group.clone(),
            };
            let update = Route::UpdateGroup {
                stream: again,
                group,
            };
            vec![(Method::GET, get), (Method::PUT, update)]
        }
        (_, _) => Vec::new(),
    })
}

/// Returns the operation that publishes into one partition. It isn't OCI's: `stream-server copy`
/// needs it, because messages without a key have to stay where they are.
fn put_into(stream: String, partition: &str) -> Result<(Method, Route), ApiError> {
    let number = partition.parse();
    let unfit = |_| ApiError::invalid_parameter("The path has to name a partition by its number");
    Ok(put_messages(stream, Some(number.map_err(unfit)?)))
}

fn put_messages(stream: String, partition: Option<u32>) -> (Method, Route) {
    (Method::POST, Route::PutMessages { stream, partition })
}

fn pool_routes(pool: String, what: &str, name: &str) -> Vec<(Method, Route)> {
    match (pool.is_empty(), what, name.trim_end_matches('/')) {
        (true, _, _) => control([
            (Method::GET, Control::ListPools),
            (Method::POST, Control::CreatePool),
        ]),
        (false, "", "") => control([
            (Method::GET, Control::GetPool(pool.clone())),
            (Method::PUT, Control::UpdatePool(pool.clone())),
            (Method::DELETE, Control::DeletePool(pool)),
        ]),
        (false, "actions", "changeCompartment") => {
            control([(Method::POST, Control::ChangePoolCompartment(pool))])
        }
        (false, _, _) => Vec::new(),
    }
}

fn work_request_routes(id: String, what: &str, name: &str) -> Vec<(Method, Route)> {
    match (id.is_empty(), what, name) {
        (true, "", "") => control([(Method::GET, Control::ListWorkRequests)]),
        (false, "", "") => control([(Method::GET, Control::GetWorkRequest(id))]),
        (false, "errors", "") => control([(Method::GET, Control::WorkRequestErrors(id))]),
        (false, "logs", "") => control([(Method::GET, Control::WorkRequestLogs(id))]),
        (_, _, _) => Vec::new(),
    }
}

fn control<const N: usize>(routes: [(Method, Control); N]) -> Vec<(Method, Route)> {
    let route = |(method, control)| (method, Route::Control(control));
    routes.into_iter().map(route).collect()
}

fn choose(method: &Method, routes: Vec<(Method, Route)>) -> Result<Route, ApiError> {
    let allowed: Vec<String> = routes
        .iter()
        .map(|(allowed, _)| allowed.to_string())
        .collect();
    let mut routes = routes.into_iter();
    let found = routes.find(|(allowed, _)| allowed == method);
    let refused = || ApiError::method_not_allowed(method.as_str(), &allowed.join(" or "));
    found.map(|(_, route)| route).ok_or_else(refused)
}

fn decode(segment: &str) -> Result<String, ApiError> {
    let decoded = percent_decode_str(segment).decode_utf8();
    let text = decoded.map_err(|_| ApiError::invalid_parameter("The path is not UTF-8"))?;
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_operations() {
        let stream = || "ocid1.stream.a".to_owned();
        let put = |partition| put_messages(stream(), partition).1;
        let group = |name: &str| Route::GetGroup {
            stream: stream(),
            group: name.to_owned(),
        };
        for (method, path, expected) in [
            (Method::GET, "/health", Route::Health),
            (
                Method::GET,
                "/20180418/streams",
                Route::Control(Control::ListStreams),
            ),
            (
                Method::POST,
                "//20180418/streams/",
                Route::Control(Control::CreateStream),
            ),
            (
                Method::GET,
                "/20180418/streams/ocid1.stream.a",
                Route::Control(Control::GetStream(stream())),
            ),
            (
                Method::POST,
                "//20180418//streams/ocid1.stream.a//messages/",
                put(None),
            ),
            (
                Method::POST,
                "/20180418/streams/ocid1.stream.a/partitions/7/messages",
                put(Some(7)),
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
            (Method::GET, "/20180418/streampool", 404),
            (Method::GET, "/20180418/connectharnesses", 404),
            (Method::GET, "/20180418/workRequest", 404),
            (Method::GET, "/20180418/streams/a/groups", 404),
            (Method::GET, "/20180418/streams/a/messages/b", 404),
            (Method::POST, "/20180418/streams/a/partitions/0", 404),
            (
                Method::POST,
                "/20180418/streams/a/partitions/x/messages",
                400,
            ),
            (Method::POST, "/health", 405),
            (Method::PUT, "/20180418/streams", 405),
            (Method::DELETE, "/20180418/streams/a/messages", 405),
        ] {
            let refused = route(&method, path).unwrap_err();
            assert_eq!(refused.status, status, "{method} {path}: {refused:?}");
        }
    }
}
