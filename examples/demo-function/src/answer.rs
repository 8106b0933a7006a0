//! Answers each request.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Body;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::calls::{Call, Calls, call_of};

/// Answers any request; prints a line for each that does not ask about this server itself.
pub(crate) async fn answer<B: Body>(
    request: Request<B>,
    calls: &Mutex<Calls>,
) -> Response<Full<Bytes>> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/health") => return json_response(StatusCode::OK, &json!({ "ok": true })),
        (&Method::GET, "/calls") => return json_response(StatusCode::OK, &lock(calls).list()),
        _ => {}
    }
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return json_response(
            StatusCode::BAD_REQUEST,
            &json!({ "error": "the body broke off" }),
        );
    };
    let body_bytes = body.to_bytes().len();
    let method = head.method.to_string();
    let path = head
        .uri
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let call = call_of(&head.headers);
    println!("{}", line(&method, &path, body_bytes, call.as_ref()));
    let mut echo = json!({ "method": method, "path": path, "bodyBytes": body_bytes });
    if let Some((call_id, attempt)) = call {
        if let Some(members) = echo.as_object_mut() {
            members.insert("callId".into(), json!(call_id));
        }
        let received_at = format!("{:.3}", Timestamp::now());
        lock(calls).add(Call {
            call_id,
            attempt,
            method,
            path,
            body_bytes,
            received_at,
        });
    }
    json_response(StatusCode::OK, &echo)
}

fn line(method: &str, path: &str, bytes: usize, call: Option<&(String, Option<u32>)>) -> String {
    match call {
        None => format!("{method} {path} ({bytes} bytes), called directly"),
        Some((id, attempt)) => {
            let attempt = attempt.map_or_else(String::new, |number| format!(", attempt {number}"));
            format!("{method} {path} ({bytes} bytes), call {id}{attempt}")
        }
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut text = body.to_string();
    text.push('\n');
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn lock(calls: &Mutex<Calls>) -> MutexGuard<'_, Calls> {
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(calls: &Mutex<Calls>, request: Request<Full<Bytes>>) -> (StatusCode, Value) {
        let response = answer(request, calls).await;
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    fn request(method: &str, path: &str, body: &'static str) -> Request<Full<Bytes>> {
        let request = Request::builder().method(method).uri(path);
        request.body(Full::new(Bytes::from(body))).unwrap()
    }

    #[tokio::test]
    async fn any_request_is_echoed() {
        let calls = Mutex::default();
        let (status, body) = ask(&calls, request("PUT", "/a/b?c=d", "12345")).await;
        assert_eq!(status, 200);
        assert_eq!(
            body,
            json!({ "method": "PUT", "path": "/a/b?c=d", "bodyBytes": 5 })
        );
        let (_, list) = ask(&calls, request("GET", "/calls", "")).await;
        assert_eq!(list, json!({ "received": 0, "calls": [] }));
    }

    #[tokio::test]
    async fn a_call_is_listed() {
        let calls = Mutex::default();
        let mut called = request("POST", "/orders", "{}");
        called
            .headers_mut()
            .insert("async-call-id", HeaderValue::from_static("id-1"));
        called
            .headers_mut()
            .insert("async-attempt", HeaderValue::from_static("2"));
        let (_, body) = ask(&calls, called).await;
        assert_eq!(body["callId"], "id-1");
        let (_, list) = ask(&calls, request("GET", "/calls", "")).await;
        assert_eq!(list["received"], 1);
        assert_eq!(list["calls"][0]["attempt"], 2);
        assert_eq!(list["calls"][0]["path"], "/orders");
        assert!(
            list["calls"][0]["receivedAt"]
                .as_str()
                .unwrap()
                .ends_with('Z')
        );
    }
}
