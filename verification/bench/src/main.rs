//! What `cargo xtask bench` and `cargo xtask bench-stream` measure with.
//!
//! | what | where |
//! |---|---|
//! | what asynchronous calls cost | [`gateway`] |
//! | the stream server beside others | [`stream`] |
//! | many sockets in one thread | [`socket`] |
//! | processor time | [`cpu`] |

mod cpu;
mod gateway;
mod socket;
mod stream;

use std::process::ExitCode;

use clap::Parser;
use provision::{Project, cancel};

/// What shells report for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
enum Task {
    Bench(gateway::Arguments),
    BenchStream(stream::Arguments),
}

fn main() -> ExitCode {
    let task = Task::parse();
    let project = Project::here();
    let result = cancel::install().and_then(|()| match task {
        Task::Bench(arguments) => gateway::run(&project, &arguments),
        Task::BenchStream(arguments) => stream::run(&project, &arguments),
    });
    match result {
        Ok(code) => code,
        Err(_) if cancel::requested() => ExitCode::from(INTERRUPTED),
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
