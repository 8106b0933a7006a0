//! Who sends a request, and whether the request may be accepted. The caller's key goes into the
//! record. Each caller has idempotency keys of its own, and a share of what all callers share.

use crate::accept::admission::{Admitted, RequestHead, admit};
use crate::accept::waiting::CallerFacts;
use crate::accept::{AcceptEngine, Refusal};
use crate::call_option::CallOption;
use crate::caller::{CallerKey, CallerSecret};
use crate::idempotency::KeyHash;
use crate::record::CallHead;

impl AcceptEngine {
    /// Returns the same engine with a secret for order keys that other gateways have too.
    #[must_use]
    pub fn ordered_by(mut self, secret: Option<CallerSecret>) -> Self {
        if let Some(secret) = secret {
            self.order_keys = self.order_keys.keyed_by(secret);
        }
        self
    }

    /// Returns the same engine with a secret that other gateways have too, so that all of them know
    /// the same callers and keys.
    #[must_use]
    pub fn keyed_by(mut self, secret: CallerSecret) -> Self {
        self.secret = secret;
        self
    }

    /// Lets in a request that may become a call, with what is known of it.
    pub(super) fn let_in(
        &mut self,
        head: RequestHead,
        head_bytes: usize,
    ) -> Result<(CallHead, CallerFacts), Refusal> {
        let identity = head.caller.clone();
        let found = identity
            .as_ref()
            .map(|identity| self.secret.caller(identity));
        let caller = found.unwrap_or(CallerKey::UNKNOWN);
        self.has_room(caller, head_bytes)?;
        let admitted = admit(head, &self.config, self.now.wall)?;
        let Admitted {
            mut head,
            options,
            asked,
        } = admitted;
        head.caller = found;
        if let Some(key) = &options.idempotency_key {
            let caller = found.ok_or_else(|| self.of_nobody())?;
            head.idempotency = Some(KeyHash::new(&self.secret, caller, key));
        }
        if let Some(key) = &mut head.order_key {
            let stored = self.order_keys.stored(identity.as_ref(), key);
            *key = stored.ok_or_else(|| self.of_somebody())?;
        }
        let deferred = self.defer(caller, head.deliver_at)?;
        let known = CallerFacts {
            caller,
            asked,
            deferred,
        };
        Ok((head, known))
    }

    /// Returns the refusal of an order key that may be stored for another caller.
    fn of_somebody(&self) -> Refusal {
        let header = self.config.options.headers.of(CallOption::OrderKey);
        let header = header.shown().to_owned();
        let detail = format!(
            "{header}: own- and 32 hexadecimal digits are how the gateway stores keys of one \
             caller alone. Give another key."
        );
        Refusal::BadOption { header, detail }
    }

    /// Returns the refusal of an idempotency key if nothing tells its callers apart. Otherwise one
    /// caller would get the answer of another.
    fn of_nobody(&self) -> Refusal {
        let header = self.config.options.headers.of(CallOption::IdempotencyKey);
        let header = header.shown().to_owned();
        let detail = format!(
            "{header}: nothing tells who sends this request, so the key can't be known again. Send \
             it without, or with a header that callers.headers names."
        );
        Refusal::BadOption { header, detail }
    }
}
