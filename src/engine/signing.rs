//! Signs the engines' requests to the Stream, if signing is configured.

use super::{Level, Outputs};
use crate::http::OutgoingRequest;
use crate::metric::Metric;
use crate::stream::error::StreamError;
use crate::stream::signing::{Signer, explain};
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
pub(crate) struct Signing {
    signer: Option<Signer>,
    /// When the signer's token ends; none for a key, which has no end.
    until: Option<Wall>,
    /// There is a signer only while a principal has a token.
    is_principal: bool,
    /// A signature was refused, and the principal has not heard of it.
    is_refused: bool,
}

impl Signing {
    /// Signs by a key, or not at all.
    pub(crate) fn by(signer: Option<Signer>) -> Self {
        Self {
            signer,
            ..Self::default()
        }
    }

    /// Waits for tokens.
    pub(crate) fn by_principal() -> Self {
        Self {
            is_principal: true,
            ..Self::default()
        }
    }

    /// Signs by this token from now on.
    pub(crate) fn renew(&mut self, signer: Signer, until: Wall) {
        self.signer = Some(signer);
        self.until = Some(until);
    }

    /// Returns whether a signature was refused since the last call of this.
    pub(crate) fn take_refused(&mut self) -> bool {
        std::mem::take(&mut self.is_refused)
    }

    /// Signs a request. Returns false if it has to wait for a token and must not be sent. If
    /// signing fails for another reason, the request goes unsigned, so that the Stream refuses it
    /// and the refusal is handled like any other.
    #[must_use]
    pub(crate) fn sign(
        &mut self,
        request: &mut OutgoingRequest,
        covers: Covers,
        now: Wall,
        outputs: &mut Outputs,
    ) -> bool {
        if self.until.is_some_and(|until| until <= now) {
            self.signer = None;
        }
        let Some(signer) = self.signer.as_mut() else {
            return !self.is_principal;
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
        true
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
        self.is_refused = true;
        if let Some(signer) = self.signer.as_mut() {
            signer.forget();
        }
        let signer = self.signer.as_ref();
        let why = match signer {
            None if self.is_principal => "the token that has signed it has ended".to_owned(),
            None | Some(_) => explain(signer, *date, now),
        };
        format!("{text}: {why}")
    }
}
