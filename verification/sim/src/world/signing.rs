//! Signatures: what makes them here, and how the Stream checks them.

use std::time::Duration;

use serde_json::json;
use sluice::http::CalloutResult;
use sluice::stream::signing::{KeyId, RsaSha256, Signer};
use sluice::time::Wall;
use sluice::time_text::parse_http_date;

use super::network::Exchange;
use super::{EPOCH_MS, World};
use crate::fault_counts::FaultKind;
use crate::target;

/// How far off the date of a signed request may be (Oracle's "Request Signatures").
const DATE_OFF_MAX: Duration = Duration::from_secs(300);

/// Makes signatures of which only the date is checked.
struct NoArithmetic;

impl RsaSha256 for NoArithmetic {
    fn sign(&mut self, _: &[u8]) -> Result<Vec<u8>, String> {
        Ok(vec![7])
    }

    fn name(&self) -> &'static str {
        "the simulation"
    }
}

impl World {
    pub(super) fn signer(&self) -> Option<Signer> {
        let key_id = KeyId::parse("ST$token").ok()?;
        let signer = || Signer::new(key_id, Box::new(NoArithmetic));
        self.plan.is_signed.then(signer)
    }

    /// Returns the Stream's answer to a request whose signature is too old or too new, if it is.
    pub(super) fn unauthenticated(&mut self, exchange: &Exchange) -> Option<CalloutResult> {
        if !self.plan.is_signed {
            return None;
        }
        let now = Wall(EPOCH_MS.saturating_add(self.now));
        let date = parse_http_date(&exchange.field("date")).unwrap_or_default();
        let off = now.since(date).max(date.since(now));
        if off <= DATE_OFF_MAX {
            return None;
        }
        self.count_fault(FaultKind::SignatureRefused);
        let body = json!({ "code": "NotAuthenticated", "message": "date" }).to_string();
        Some(target::answer(401, &[], &body))
    }
}
