//! `mdsd3 train`: a recipe becomes a model folder or an adapter.

use std::io::{IsTerminal, stderr};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use mdsd3_engine::training::{Budget, Job, Outcome, Progress, Report, TrainObserver};

use crate::outcome::say;
use crate::progress;
use crate::signals::stop_on_signals;

/// How often a run that nobody watches on a terminal prints where it is.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);
/// Images left out that are named; all of them are counted.
const NAMED: usize = 5;

/// What to train.
#[derive(Debug, clap::Args)]
pub struct TrainArgs {
    /// Recipe; the same command resumes a run that was stopped
    #[arg(value_name = "RECIPE.toml")]
    recipe: PathBuf,
    /// Save and stop after this many minutes
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..))]
    stop_after: Option<u32>,
    /// Print the memory that an adapter's recipe needs, by part, and train nothing
    #[arg(long)]
    plan: bool,
    /// Device of an adapter's training, in place of the recipe's: cpu, cuda:N or metal
    #[arg(long)]
    device: Option<String>,
    /// Number format of its computation, in place of the recipe's: f32, bf16 or f16
    #[arg(long)]
    dtype: Option<String>,
}

/// Runs the command.
pub fn run(args: &TrainArgs) -> anyhow::Result<()> {
    let job = Job::open(&args.recipe, args.device.as_deref(), args.dtype.as_deref())?;
    if args.plan {
        return match job.budget()? {
            Some(budget) => print_budget(&budget),
            None => say("a whole small model; its memory is that of its pairs, a few hundred MB"),
        };
    }
    let start = Instant::now();
    let mut watch = Watch::new(
        start,
        args.stop_after.map(|minutes| Duration::from_mins(minutes.into())),
        stop_on_signals()?,
    );
    let outcome = job.run(&mut watch);
    watch.bar.finish_and_clear();
    let minutes = start.elapsed().as_secs_f32() / 60.0;
    match outcome? {
        Outcome::Finished(path) => say(&format!("trained in {minutes:.1} min; wrote {}", path.display())),
        Outcome::Stopped => say(&format!("stopped after {minutes:.1} min; the same command resumes")),
    }
}

fn print_budget(budget: &Budget) -> anyhow::Result<()> {
    let gigabytes = |bytes: u64| format!("{:8.3} GB", bytes as f64 / 1e9);
    say(&format!("{:44} {:>11} {:>11}", "while training", "device", "host"))?;
    for part in &budget.parts {
        let (device, host) = (gigabytes(part.device_bytes), gigabytes(part.host_bytes));
        say(&format!("{:44} {device} {host}", part.name))?;
    }
    let (device, host) = (gigabytes(budget.device_bytes()), gigabytes(budget.host_bytes()));
    say(&format!("{:44} {device} {host}", "total"))?;
    say(&format!(
        "before it, while prompts are encoded, at most {} for text encoders; {} values are trained, {} frozen",
        gigabytes(budget.prompts_bytes).trim_start(),
        budget.trained,
        budget.frozen
    ))
}

/// Shows a bar per phase on a terminal, and a line a minute elsewhere.
struct Watch {
    start: Instant,
    limit: Option<Duration>,
    stop: Arc<AtomicBool>,
    bar: ProgressBar,
    phase: String,
    last_report: Instant,
}

impl Watch {
    fn new(start: Instant, limit: Option<Duration>, stop: Arc<AtomicBool>) -> Self {
        Self {
            start,
            limit,
            stop,
            bar: ProgressBar::hidden(),
            phase: String::new(),
            last_report: start,
        }
    }

    fn show(&mut self, progress: &Progress) -> anyhow::Result<()> {
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

    /// A line that stays, above the bar.
    fn tell(&self, line: &str) {
        // Without a reader there is nobody to tell, and that is no reason to end.
        let _ = self.bar.suspend(|| say(line));
    }
}

fn facts(progress: &Progress) -> String {
    let loss = progress
        .loss
        .map(|loss| format!("loss {loss:.4}, "))
        .unwrap_or_default();
    let rate = progress.samples_per_sec;
    if rate < 10.0 {
        format!("{loss}{rate:.2} samples/s")
    } else {
        format!("{loss}{rate:.0} samples/s")
    }
}

impl TrainObserver for Watch {
    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        // Nobody reading the report any more is no reason to throw hours of training away.
        let _ = self.show(progress);
        let is_over = self.limit.is_some_and(|limit| self.start.elapsed() >= limit);
        if is_over || self.stop.load(Ordering::SeqCst) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn report(&mut self, report: &Report) {
        match report {
            Report::Prepared {
                training,
                validation,
                skipped,
            } => {
                self.tell(&format!("{training} training samples, {validation} for validation"));
                for image in skipped.iter().take(NAMED) {
                    self.tell(&format!("left out: {}", image.reason));
                }
                if skipped.len() > NAMED {
                    self.tell(&format!(
                        "left out: {} more, named in skipped.txt",
                        skipped.len() - NAMED
                    ));
                }
            }
            Report::Resumed { step } => self.tell(&format!("resumes at step {step}")),
            Report::Validation(numbers) => {
                let best = if numbers.is_best { ", the best so far" } else { "" };
                self.tell(&format!("step {}: validation {:.5}{best}", numbers.step, numbers.mean));
            }
            Report::Strip { step, path, .. } => self.tell(&format!("step {step}: samples in {}", path.display())),
            Report::Warning(text) => self.tell(&format!("warning: {text}")),
            Report::Waiting(text) => self.tell(&format!("waiting: {text}")),
            Report::Step(_) | Report::Saved { .. } => {}
        }
    }
}
