//! A token at once, for programs that may wait for it.

use super::work::{Progress, Work};
use super::{Environment, Identity};
use crate::http::{CalloutResult, OutgoingRequest};
use crate::id::Entropy;
use crate::stream::signing::PrincipalConfig;
use crate::time::Wall;

/// Gets a token as [`super::Principal`] does, in one go. `ask` makes a request by the cluster that
/// it is for; `now` tells the time.
///
/// # Errors
/// Why there is no token.
pub fn obtain(
    config: &PrincipalConfig,
    environment: &Environment,
    mut entropy: Entropy,
    now: impl Fn() -> Wall,
    mut ask: impl FnMut(&str, &OutgoingRequest) -> CalloutResult,
) -> Result<Identity, String> {
    let (mut work, mut answer) = (Work::new(config, environment), None);
    loop {
        match work.go_on(answer.take(), config, &mut entropy, now())? {
            Progress::Ask(cluster, request, next) => {
                answer = Some(ask(&cluster, &request));
                work = next;
            }
            Progress::Search(next) => work = next,
            Progress::Done(token, key) => {
                return Ok(Identity {
                    key_id: token.key_id.clone(),
                    key: *key,
                    expires: token.expires,
                });
            }
        }
    }
}
