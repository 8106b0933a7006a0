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
    cancel::exit_code(result)
}
