//! The body of an answer: whole, in pieces, or cut off by a rule of `/faults`.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::messages_json::MessagesJson;

/// A body whose length is known from the start.
pub(crate) struct AnswerBody {
    data: Bytes,
    /// What follows the data.
    rest: Option<Box<MessagesJson>>,
    /// Bytes that the headers announce. There are more than the body has if the answer is cut off.
    announced: u64,
    /// Whether the server has been told to write what it has.
    flushed: bool,
    /// Its part of the room for answers.
    _room: Option<OwnedSemaphorePermit>,
}

/// The end of an answer that is cut off; the server closes the connection on it.
#[derive(Debug, thiserror::Error)]
#[error("the answer was cut off")]
pub(crate) struct CutOff;

impl AnswerBody {
    pub(crate) fn whole(data: Bytes) -> Self {
        let announced = u64::try_from(data.len()).unwrap_or(u64::MAX);
        Self {
            data,
            rest: None,
            announced,
            flushed: false,
            _room: None,
        }
    }

    /// Returns the same with its part of the room for answers.
    pub(crate) fn held(data: Bytes, room: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            _room: room,
            ..Self::whole(data)
        }
    }

    /// Returns the body with messages. Each piece is made when the one before it is written.
    pub(super) fn messages(json: MessagesJson) -> Self {
        Self {
            announced: u64::try_from(json.length()).unwrap_or(u64::MAX),
            rest: Some(Box::new(json)),
            ..Self::whole(Bytes::new())
        }
    }

    /// Returns the first bytes of a body, at least one less than all of them.
    pub(crate) fn cut_off(data: &Bytes, bytes: usize) -> Self {
        let whole = Self::whole(data.clone());
        Self {
            flushed: false,
            _room: None,
            data: data.slice(..bytes.min(data.len())),
            rest: None,
            announced: whole
                .announced
                .max(u64::try_from(bytes).unwrap_or(0).saturating_add(1)),
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        let mut data = std::mem::take(&mut self.data);
        if data.is_empty() {
            data = self
                .rest
                .as_mut()
                .and_then(|rest| rest.next())
                .unwrap_or_default();
        }
        let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
        if !data.is_empty() {
            self.announced = self.announced.saturating_sub(bytes);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if self.announced == 0 {
            return Poll::Ready(None);
        }
        // An error now would discard what is not written yet.
        if !std::mem::replace(&mut self.flushed, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(CutOff)))
    }

    fn is_end_stream(&self) -> bool {
        self.announced == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.announced)
    }
}
