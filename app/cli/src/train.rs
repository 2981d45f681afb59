//! `mdsd3 train`: a recipe becomes a model folder.

use std::io::{IsTerminal, stderr};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use mdsd3_engine::training::{self, Outcome, Progress, TrainObserver};

use crate::outcome::say;
use crate::progress;

/// How often a run that nobody watches on a terminal prints where it is.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);

/// What to train.
#[derive(Debug, clap::Args)]
pub struct TrainArgs {
    /// Recipe; the same command resumes a run that was stopped
    #[arg(value_name = "RECIPE.toml")]
    recipe: PathBuf,
    /// Save and stop after this many minutes
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..))]
    stop_after: Option<u32>,
}

/// Runs the command.
pub fn run(args: &TrainArgs) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut watch = Watch::new(
        start,
        args.stop_after.map(|minutes| Duration::from_mins(minutes.into())),
    );
    let outcome = training::run(&args.recipe, &mut watch)?;
    watch.bar.finish_and_clear();
    let minutes = start.elapsed().as_secs_f32() / 60.0;
    match outcome {
        Outcome::Finished(folder) => say(&format!("trained in {minutes:.1} min; wrote {}", folder.display())),
        Outcome::Stopped => say(&format!("stopped after {minutes:.1} min; the same command resumes")),
    }
}

/// Shows a bar per phase on a terminal, and a line a minute elsewhere.
struct Watch {
    start: Instant,
    limit: Option<Duration>,
    bar: ProgressBar,
    phase: String,
    last_report: Instant,
}

impl Watch {
    fn new(start: Instant, limit: Option<Duration>) -> Self {
        Self {
            start,
            limit,
            bar: ProgressBar::hidden(),
            phase: String::new(),
            last_report: start,
        }
    }

    fn report(&mut self, progress: &Progress) -> anyhow::Result<()> {
        let is_new_phase = progress.phase != self.phase;
        if is_new_phase {
            self.bar.finish_and_clear();
            self.bar = progress::training_bar(progress.steps, progress.phase.clone());
            self.phase.clone_from(&progress.phase);
        }
        let facts = facts(progress);
        self.bar.set_position(progress.step as u64);
        if !stderr().is_terminal() && (is_new_phase || self.last_report.elapsed() >= REPORT_INTERVAL) {
            self.last_report = Instant::now();
            say(&format!(
                "{}: {} of {}, {facts}",
                progress.phase, progress.step, progress.steps
            ))?;
        }
        self.bar.set_prefix(facts);
        Ok(())
    }
}

fn facts(progress: &Progress) -> String {
    let loss = progress
        .loss
        .map(|loss| format!("loss {loss:.4}, "))
        .unwrap_or_default();
    format!("{loss}{:.0} samples/s", progress.samples_per_sec)
}

impl TrainObserver for Watch {
    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        // Nobody reading the report any more is no reason to throw hours of training away.
        let _ = self.report(progress);
        match self.limit {
            Some(limit) if self.start.elapsed() >= limit => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}
