//! The targets: servers in this process that answer as the seed says, and record what arrives.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use testkit::http1::Message;
use testkit::server::{Answer, Server};

use crate::history::{Arrival, Fate, Millis, Number, Role, Target};
use crate::plan::{SHORT_TIMEOUT, Script, script, work};
use crate::record::{Record, unix_now};
use crate::verdict::repeats::TRANSIT;

/// The path of calls, after the prefix of their target.
pub const CALLS: &str = "call";

/// The path of replies.
pub const REPLIES: &str = "reply";

/// The header in which each gateway says who it is.
pub const GATEWAY_HEADER: &str = "x-gateway";

/// Starts a target.
#[must_use]
pub fn start(target: Target, seed: u64, record: Arc<Record>) -> Server {
    Server::start(Arc::new(move |incoming| {
        let message = incoming.message;
        match meant(&message) {
            Some((role, number)) => answer(&message, role, number, target, seed, &record),
            // No part of the run has sent this, and no verdict counts it.
            None => Answer::status(404),
        }
    }))
}

/// Returns role and number from the end of a path such as `/t1/call/17`.
fn meant(message: &Message) -> Option<(Role, Number)> {
    let path = message.word(1);
    let mut words = path.rsplit('/');
    let number = words.next()?.parse().ok()?;
    match words.next()? {
        CALLS => Some((Role::Call, number)),
        REPLIES => Some((Role::Reply, number)),
        _ => None,
    }
}

fn answer(
    message: &Message,
    role: Role,
    number: Number,
    target: Target,
    seed: u64,
    record: &Record,
) -> Answer {
    let (answer, fate) = match role {
        Role::Call => chosen(script(seed, number), record.count(number)),
        Role::Reply => (Answer::status(200), Fate::Taken),
    };
    let start = record.now();
    let arrival = Arrival {
        number,
        role,
        id: message.text("async-call-id"),
        gateway: message.text(GATEWAY_HEADER).parse().unwrap_or(usize::MAX),
        target,
        attempt: message.text("async-attempt").parse().ok(),
        start,
        start_unix: unix_now(),
        // This is for a request that hangs. The gateway counts from an earlier time.
        end: start.saturating_add(SHORT_TIMEOUT - TRANSIT),
        fate,
        is_whole: role == Role::Reply || message.body == message.word(1).as_bytes(),
    };
    let place = record.arrival(arrival);
    if matches!(answer, Answer::Hang) {
        return answer;
    }
    thread::sleep(Duration::from_millis(work(seed, number)));
    // This comes before the answer is sent, because its receiver may go on at once.
    record.answered(place);
    answer
}

/// Returns the answer to a call that has arrived so often before.
fn chosen(script: Script, before: u32) -> (Answer, Fate) {
    match script {
        Script::Never => (Answer::status(400), Fate::Refused),
        Script::Hang if before == 0 => (Answer::Hang, Fate::Silence),
        Script::Close if before == 0 => (Answer::Close, Fate::Silence),
        Script::Fail {
            times,
            status,
            retry_after,
        } if before < times => {
            let pause: Millis = retry_after.unwrap_or(0).saturating_mul(1_000);
            let mut answer = Answer::status(status);
            if let Some(seconds) = retry_after {
                answer = answer.with("retry-after", &seconds.to_string());
            }
            (answer, Fate::Again(pause))
        }
        Script::Take | Script::Hang | Script::Close | Script::Fail { .. } => {
            (Answer::status(200), Fate::Taken)
        }
    }
}
