//! `mdsd3`: the studio, and a headless twin of everything it does.

mod analyze;
mod args;
mod bench;
mod degrade;
mod doctor;
mod info;
mod outcome;
mod output;
mod parity;
mod progress;
mod render;
mod signals;
mod steps;
mod studio;
mod sweep;
mod train;

use std::process::ExitCode;

use args::Command;
use clap::Parser;

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return outcome::usage(&error),
    };
    init_log();
    outcome::report(run(cli.command.unwrap_or(Command::Studio(cli.studio))))
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Studio(args) => studio::run(args),
        Command::Render(args) => render::run(&args),
        Command::Analyze(args) => analyze::run(&args),
        Command::Degrade(args) => degrade::run(args),
        Command::Sweep(args) => sweep::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Parity(args) => parity::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Doctor => doctor::run(),
    }
}

/// Log lines go to stderr; `MDSD3_LOG` filters them, as in `MDSD3_LOG=mdsd3_engine=debug`.
fn init_log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("MDSD3_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
