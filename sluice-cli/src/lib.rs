//! The command line: dead letters, which are calls that Sluice has given up, what waits, what hosts
//! need, and whether the filter is there; and the end of a gateway.
//!
//! | what | where |
//! |---|---|
//! | the command line | [`arguments`] |
//! | where the Stream is, and who signs | [`connect`], [`identity`] |
//! | OCI Streaming's REST protocol | [`stream`] |
//! | what stands on the dead stream, and how it is gone through | [`dead`] |
//! | the call record in a letter | [`call`] |
//! | where calls go back to | [`destination`] |
//! | the commands | [`list`], [`show`], [`redrive`], [`lag`], [`render`], [`check`], [`leave`] |
//! | what people and programs get to see | [`table`], [`json`], [`text`], [`progress`] |
//!
//! Everything on the dead stream is untrusted: it is bounded ([`limits`]), and escaped before it
//! reaches a terminal ([`text`]).

pub mod arguments;
pub mod call;
pub mod check;
pub mod connect;
pub mod dead;
pub mod destination;
pub mod failure;
pub mod files;
pub mod identity;
pub mod json;
pub mod lag;
pub mod leave;
pub mod limits;
pub mod list;
pub mod moment;
pub mod progress;
pub mod redrive;
pub mod render;
pub mod show;
pub mod stream;
pub mod table;
pub mod text;

use std::io::{BufRead as _, IsTerminal as _, Write};

use jiff::Timestamp;

use arguments::{Arguments, Command, DeadCommand};
use dead::DeadStream;
use failure::Failure;

/// Runs a command and writes to `out`. Times such as `2h` count back from `now`.
///
/// # Errors
/// [`Failure`] says what to do, and has the exit code.
pub fn run(arguments: Arguments, now: Timestamp, out: &mut dyn Write) -> Result<(), Failure> {
    let common = arguments.common;
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let connect = || connect::client(&common, &variable).map_err(Failure::Usage);
    let command = match arguments.command {
        Command::Dead(command) => command,
        Command::Lag(command) => {
            let client = connect()?;
            let default = common.stream;
            let default = default.unwrap_or_else(|| arguments::STREAM_DEFAULT.to_owned());
            return lag::lag(&client, command, default, out);
        }
        Command::Render(command) => return render::render(&command, out),
        Command::Leave(command) => return leave::leave(&command, out),
        Command::Check(command) => {
            return check::check(&command, common.ca_file.as_deref(), out);
        }
    };
    let client = connect()?;
    let dead = DeadStream {
        client: &client,
        id: &common.dead_stream,
    };
    let stream = arguments::configured(common.stream);
    match command {
        DeadCommand::List { filters, all, json } => {
            list::list(&dead, &filters.list(all, json, stream, now)?, out)
        }
        DeadCommand::Show { id, json } => show::show(&dead, &id, json, out),
        DeadCommand::Redrive(redrive) => {
            redrive::redrive(&dead, &redrive.options(stream, now)?, &mut confirm(), out)
        }
    }
}

/// Returns a function that asks the person at the terminal.
fn confirm() -> impl FnMut(&str) -> Option<bool> {
    let is_watched = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    move |question| {
        if !is_watched {
            return None;
        }
        let mut answer = String::new();
        write!(std::io::stderr(), "sluice: {question} [y/N] ").ok()?;
        std::io::stdin().lock().read_line(&mut answer).ok()?;
        Some(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
    }
}
