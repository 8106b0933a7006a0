//! Faults on the wire.

use super::World;

/// The fault of a callout, decided when it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkFault {
    /// Nothing.
    Fine,
    /// It is lost before it has any effect.
    Lost,
    /// Its answer is lost.
    Unanswered,
    /// It arrives after its time limit.
    LateRequest,
    /// Its answer comes after its time limit.
    LateAnswer,
    /// Its answer comes twice.
    Twice,
    /// Its sender never learns its end.
    Silent,
    /// Its answer is cut off or senseless.
    Torn,
    /// The Stream has trouble.
    Refused,
    /// The Stream refuses its cursor.
    CursorRefused,
    /// The Stream stores a part of it.
    Partial,
}

impl World {
    pub(super) fn draw_network_fault(
        &mut self,
        is_attempt: bool,
        method: &str,
        path: &str,
    ) -> NetworkFault {
        let faults = self.plan.faults.clone();
        let to_stream = |rate: u64| if is_attempt { 0 } else { rate };
        let is_put = method == "POST" && path.ends_with("/messages");
        let has_cursor = path.contains("cursor=");
        let rates = [
            (NetworkFault::Lost, faults.lost),
            (NetworkFault::Unanswered, faults.unanswered),
            (NetworkFault::LateRequest, faults.late / 2),
            (NetworkFault::LateAnswer, faults.late),
            (NetworkFault::Twice, faults.twice),
            (NetworkFault::Silent, faults.silent),
            (NetworkFault::Torn, to_stream(faults.torn)),
            (NetworkFault::Refused, to_stream(faults.refused)),
            (
                NetworkFault::CursorRefused,
                if has_cursor {
                    to_stream(faults.cursor)
                } else {
                    0
                },
            ),
            (
                NetworkFault::Partial,
                if is_put { to_stream(faults.partial) } else { 0 },
            ),
        ];
        for (network_fault, rate) in rates {
            if self.rng.per_mille(rate) {
                return network_fault;
            }
        }
        NetworkFault::Fine
    }
}
