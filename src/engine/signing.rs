//! The engines' requests to the Stream get their signatures here, where signing is configured.

use super::{Level, Outputs};
use crate::http::OutgoingRequest;
use crate::metric::Metric;
use crate::stream::error::StreamError;
use crate::stream::signing::{Signer, explain};
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

    /// Whether a signature was refused since this was asked last.
    pub(crate) fn take_refused(&mut self) -> bool {
        std::mem::take(&mut self.is_refused)
    }

    /// Signs a request. False: it has to wait for a token, and must not be sent. One that can't be
    /// signed for another reason goes without, so that the Stream refuses it and it is dealt with
    /// as any other that is refused.
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

    /// What a log line says of an error; what it says of a refused signature leads to the cause.
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
