//! The engines' requests to the Stream get their signatures here, where signing is configured.

use super::{Level, Outputs};
use crate::http::OutgoingRequest;
use crate::metric::Metric;
use crate::stream::error::StreamError;
use crate::stream::signing::{Signer, explain, prepare_call};
use crate::time::Wall;

/// What a signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Covers {
    /// Everything.
    Content,
    /// All but the content, as OCI wants it of PutMessages.
    HeadOnly,
}

/// An engine's signatures, or none.
#[derive(Debug, Default)]
pub(crate) struct Signing(pub(crate) Option<Signer>);

impl Signing {
    /// Signs a request. One that can't be signed goes without, so that the Stream refuses it and
    /// it is dealt with as any other that is refused.
    pub(crate) fn sign(
        &mut self,
        request: &mut OutgoingRequest,
        covers: Covers,
        now: Wall,
        outputs: &mut Outputs,
    ) {
        let Some(signer) = self.0.as_mut() else {
            return;
        };
        let signed = match covers {
            Covers::Content => signer.sign(request, now),
            Covers::HeadOnly => signer.sign_put_messages(request, now),
        };
        if let Err(why) = signed {
            outputs.log(
                Level::Error,
                format!("a request could not be signed: {why}"),
            );
        }
    }

    /// Signs a call to a target that wants OCI's signature.
    pub(crate) fn sign_call(
        &mut self,
        request: &mut OutgoingRequest,
        now: Wall,
        outputs: &mut Outputs,
    ) {
        prepare_call(request);
        self.sign(request, Covers::Content, now, outputs);
    }

    /// Returns what a log line says of an error; what it says of a refused signature leads to the
    /// cause.
    pub(crate) fn describe(
        &mut self,
        error: &StreamError,
        now: Wall,
        outputs: &mut Outputs,
    ) -> String {
        let StreamError::Unauthenticated { text, date } = error else {
            return error.text().to_owned();
        };
        outputs.count(Metric::Unauthenticated, 1);
        if let Some(signer) = self.0.as_mut() {
            signer.forget();
        }
        format!("{text}: {}", explain(self.0.as_ref(), *date, now))
    }
}
