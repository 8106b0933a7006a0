//! The body of an answer: whole, or cut off where a rule of `/faults` says so.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// A body that is there at once.
pub(crate) struct AnswerBody {
    data: Bytes,
    /// Bytes that the headers announce, more than there are if the answer is to be cut off.
    announced: u64,
}

/// The end of an answer that is cut off; the server closes the connection on it.
#[derive(Debug, thiserror::Error)]
#[error("the answer was cut off")]
pub(crate) struct CutOff;

impl AnswerBody {
    pub(crate) fn whole(data: Bytes) -> Self {
        let announced = u64::try_from(data.len()).unwrap_or(u64::MAX);
        Self { data, announced }
    }

    /// The first bytes of a body, of which one more is missing at least.
    pub(crate) fn cut_off(data: &Bytes, bytes: usize) -> Self {
        let whole = Self::whole(data.clone());
        Self {
            data: data.slice(..bytes.min(data.len())),
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
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        let data = std::mem::take(&mut self.data);
        let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
        if !data.is_empty() {
            self.announced = self.announced.saturating_sub(bytes);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        Poll::Ready((self.announced > 0).then_some(Err(CutOff)))
    }

    fn is_end_stream(&self) -> bool {
        self.announced == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.announced)
    }
}
