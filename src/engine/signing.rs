//! Signs the engines' requests to the Stream, if signing is configured.

use super::{Level, Outputs};
use crate::http::OutgoingRequest;
use crate::metric::Metric;
use crate::stream::error::StreamError;
use crate::stream::signing::{Signer, explain, prepare_call};
use crate::time::Wall;

/// What a signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Covers {
    /// The whole request.
    Content,
    /// Everything but the content, as OCI requires for PutMessages.
    HeadOnly,
}

/// The signer of an engine, if it has one.
#[derive(Debug, Default)]
pub(crate) struct Signing(pub(crate) Option<Signer>);

impl Signing {
    /// Signs a request. If that fails, the request goes unsigned, so that the Stream refuses it and
    /// the refusal is handled like any other.
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

    /// Signs a call to a target that requires OCI's signature.
    pub(crate) fn sign_call(
        &mut self,
        request: &mut OutgoingRequest,
        now: Wall,
        outputs: &mut Outputs,
    ) {
        prepare_call(request);
        self.sign(request, Covers::Content, now, outputs);
    }

    /// Returns the text of an error for the log. For a refused signature the text leads to the
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
