//! The project's tasks, one file each. [`help`] groups them by purpose.

mod commands;
mod help;

use std::process::ExitCode;

use clap::{FromArgMatches as _, Parser, Subcommand};
use provision::{Project, cancel};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Up(commands::up::Arguments),
    Test(commands::test::Arguments),
    Dist(commands::dist::Arguments),
    /// Measure accepting, delivering and their latency beside the bare Envoy
    Bench(commands::bench::Arguments),
    /// Measure the stream server beside the bare disk, NATS JetStream and Redis Streams
    BenchStream(commands::bench::Arguments),
    Render(commands::render::Arguments),
    Sim(commands::sim::Arguments),
    Chaos(commands::chaos::Arguments),
    Overload(commands::overload::Arguments),
    Book(commands::book::Arguments),
}

fn main() -> ExitCode {
    let matches = help::command().get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let project = Project::here();
    let result = cancel::install().and_then(|()| match arguments.task {
        Task::Up(arguments) => commands::up::run(&project, &arguments),
        Task::Test(arguments) => commands::test::run(&project, &arguments),
        Task::Dist(arguments) => commands::dist::run(&project, &arguments),
        Task::Bench(arguments) => commands::bench::run(&project, "bench", &arguments),
        Task::BenchStream(arguments) => commands::bench::run(&project, "bench-stream", &arguments),
        Task::Render(arguments) => commands::render::run(&project, &arguments),
        Task::Sim(arguments) => commands::sim::run(&project, &arguments),
        Task::Chaos(arguments) => commands::chaos::run(&project, &arguments),
        Task::Overload(arguments) => commands::overload::run(&project, &arguments),
        Task::Book(arguments) => commands::book::run(&project, &arguments),
    });
    cancel::exit_code(result)
}
