//! The project's tasks: `cargo xtask up | test | sim | chaos | overload | dist | bench |
//! bench-stream`, one file each.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
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
    /// Measure accepting, delivering and their latency beside what the same Envoy does without them
    Bench(commands::bench::Arguments),
    /// Measure the stream server beside the bare disk, NATS JetStream and Redis Streams
    BenchStream(commands::bench::Arguments),
    Render(commands::render::Arguments),
    Sim(commands::sim::Arguments),
    Chaos(commands::chaos::Arguments),
    Overload(commands::overload::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
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
    });
    cancel::exit_code(result)
}
