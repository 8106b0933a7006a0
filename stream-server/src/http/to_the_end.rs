//! Operations that are finished even if the client does not wait for them.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A future that goes on in a task of its own if it is dropped half-way. While somebody waits for
/// it, it runs in the waiting task, because a task for each request would cost more than many
/// requests do.
pub(crate) struct ToTheEnd<T: Send + 'static>(Option<Boxed<T>>);

/// The future panicked, or was polled after its end.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it ended unexpectedly")]
pub(crate) struct Panicked;

impl<T: Send + 'static> ToTheEnd<T> {
    pub(crate) fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Some(Box::pin(future)))
    }
}

impl<T: Send + 'static> Future for ToTheEnd<T> {
    type Output = Result<T, Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(mut future) = self.0.take() else {
            return Poll::Ready(Err(Panicked));
        };
        // It is never polled again after a panic.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        match polled {
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => {
                self.0 = Some(future);
                Poll::Pending
            }
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    }
}

impl<T: Send + 'static> Drop for ToTheEnd<T> {
    fn drop(&mut self) {
        // Without a runtime the process is ending.
        if let (Some(future), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            drop(runtime.spawn(future));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{mpsc, oneshot};

    use super::*;

    #[tokio::test]
    async fn it_gives_what_the_future_gives() {
        assert_eq!(ToTheEnd::new(async { 5 }).await, Ok(5));
    }

    #[tokio::test]
    async fn it_goes_on_when_it_is_dropped() {
        let (go_on, gone_on) = oneshot::channel::<()>();
        let (ended, mut has_ended) = mpsc::channel(1);
        let mut work = ToTheEnd::new(async move {
            let _ = gone_on.await;
            let _ = ended.send("ended").await;
        });
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut work).poll(&mut context).is_pending());
        drop(work);
        go_on.send(()).unwrap();
        assert_eq!(has_ended.recv().await, Some("ended"));
    }

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let work = ToTheEnd::new(async { panic!("told to") });
        assert_eq!(work.await, Err::<(), _>(Panicked));
    }
}
