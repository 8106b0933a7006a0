//! Reads a request's body, with limits of its size, its time, and of what all bodies take together.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::header::EXPECT;
use tokio::sync::OwnedSemaphorePermit;

use super::body_room::BodyRoom;
use crate::api_error::ApiError;
use crate::limits::{BODY_BYTES_MAX, BODY_TIMEOUT};

/// A whole body. Dropping it frees the room that it takes.
pub(crate) struct Body {
    bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Body {
    /// Returns a body that does not come from a network.
    pub(crate) fn given(bytes: &[u8]) -> Self {
        Self {
            bytes: Bytes::copy_from_slice(bytes),
            _room: None,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the same bytes, which stay where they are.
    pub(crate) fn shared(&self) -> Bytes {
        self.bytes.clone()
    }
}

/// Reads the body of a refused request without keeping it. Otherwise a client that is still sending
/// finds a closed connection instead of the reason. A client that waits for `100 Continue` (RFC
/// 9110 §10.1.1) doesn't send.
pub(crate) async fn discard_expected(request: Request<Incoming>) {
    if !request.headers().contains_key(EXPECT) {
        discard(request).await;
    }
}

/// Reads a body without keeping it, up to the longest length and time.
async fn discard(request: Request<Incoming>) {
    let mut body = request.into_body();
    let mut bytes = 0_usize;
    let read = async {
        while let Some(Ok(frame)) = body.frame().await {
            bytes = bytes.saturating_add(frame.data_ref().map_or(0, Bytes::len));
            if bytes > BODY_BYTES_MAX {
                break;
            }
        }
    };
    // A client that is too slow is answered in the middle of its body.
    let _ = tokio::time::timeout(BODY_TIMEOUT, read).await;
}

/// Reads the whole body, or returns why that failed.
pub(crate) async fn read(
    request: Request<Incoming>,
    room: &Arc<BodyRoom>,
) -> Result<Body, ApiError> {
    let body = request.into_body();
    if body.is_end_stream() {
        return Ok(Body {
            bytes: Bytes::new(),
            _room: None,
        });
    }
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > BODY_BYTES_MAX {
        return Err(ApiError::body_too_large(BODY_BYTES_MAX));
    }
    let read = tokio::time::timeout(BODY_TIMEOUT, collect(body, room));
    read.await
        .unwrap_or_else(|_| Err(ApiError::body_too_slow()))
}

async fn collect(mut body: Incoming, room: &Arc<BodyRoom>) -> Result<Body, ApiError> {
    // Most bodies come in one piece, and stay where they are.
    let (mut first, mut whole) = (Bytes::new(), BytesMut::new());
    let mut reading = room.begin();
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = reading.displaced() => return Err(ApiError::body_too_slow()),
        };
        let Some(frame) = frame else {
            break;
        };
        let frame = frame.map_err(|error| ApiError::unparsable(format!("{error}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let length = first.len().max(whole.len()).saturating_add(data.len());
        if length > BODY_BYTES_MAX {
            return Err(ApiError::body_too_large(BODY_BYTES_MAX));
        }
        reading.take(data.len()).await?;
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            let announced = usize::try_from(body.size_hint().lower()).unwrap_or(0);
            whole.reserve(length.saturating_add(announced.min(BODY_BYTES_MAX)));
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&data);
    }
    let bytes = match whole.is_empty() {
        true => first,
        false => whole.freeze(),
    };
    Ok(Body {
        bytes,
        _room: reading.finish(),
    })
}
