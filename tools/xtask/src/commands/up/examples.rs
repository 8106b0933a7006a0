//! Three requests to try, with their real answers.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use local_gateway::LocalSet;
use local_gateway::http::{self, Answer};
use provision::cancel;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const PREFER: (&str, &str) = ("prefer", "respond-async");
const BODY: &str = "hello=world";

/// An accepted call needs milliseconds to arrive. If it takes so long, something is wrong.
const ARRIVAL_DEADLINE: Duration = Duration::from_secs(10);

/// The headers that are shown.
const SHOWN: &[&str] = &[
    "content-type",
    "preference-applied",
    "async-call-id",
    "async-correlation-id",
    "retry-after",
];

/// Makes the requests and prints them as `curl` lines with their answers.
pub(super) fn run(set: &LocalSet) -> Result<()> {
    let gateway = set.gateway_url();
    println!("\nThree requests to try, with what they have just answered:\n");

    println!("1. Called directly: the gateway waits for the function's answer.\n");
    println!("  {}", direct(&gateway));
    print_answer(&http::post(&format!("{gateway}/hello"), &[FORM], BODY)?);

    println!(
        "2. Called asynchronously: 202 once the call is stored; the function is called later.\n"
    );
    println!("  {}", asynchronous(&gateway));
    let accepted = http::post(&format!("{gateway}/hello"), &[FORM, PREFER], BODY)?;
    print_answer(&accepted);

    println!("3. The calls that have reached the function.\n");
    println!("  curl -s {gateway}/calls");
    print_answer(&arrived(&gateway, &accepted)?);
    if accepted.status != 202 {
        println!("  (The second answer should be 202: Envoy's log says why it is not.)");
    }
    Ok(())
}

/// Prints the requests only as `curl` lines. What they would do to somebody's own server must not
/// be tried.
pub(super) fn describe(set: &LocalSet) {
    let gateway = set.gateway_url();
    println!("\nThree requests to try:\n");
    println!("  {}\n    your target's own answer\n", direct(&gateway));
    println!(
        "  {}\n    202 and the call's id; your target gets the same request later\n",
        asynchronous(&gateway)
    );
    println!(
        "  curl -s '{}/stats?filter=sluice'\n    what was accepted, delivered, retried",
        set.admin_url()
    );
}

fn direct(gateway: &str) -> String {
    format!("curl -i {gateway}/hello -d '{BODY}'")
}

fn asynchronous(gateway: &str) -> String {
    format!("curl -i {gateway}/hello -d '{BODY}' -H 'Prefer: respond-async'")
}

/// Returns the function's list, as soon as it has the accepted call.
fn arrived(gateway: &str, accepted: &Answer) -> Result<Answer> {
    let id = accepted.header("async-call-id");
    let start = Instant::now();
    loop {
        cancel::check()?;
        let answer = http::get(&format!("{gateway}/calls"))?;
        let is_there = id.is_none_or(|id| answer.body.contains(id));
        if is_there || start.elapsed() > ARRIVAL_DEADLINE {
            return Ok(answer);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn print_answer(answer: &Answer) {
    println!("    HTTP/1.1 {}", answer.status);
    for (name, value) in &answer.headers {
        if SHOWN.contains(&name.as_str()) {
            println!("    {name}: {value}");
        }
    }
    println!();
    for line in answer.body.lines() {
        println!("    {line}");
    }
    println!();
}
