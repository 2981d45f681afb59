//! Progress on stderr; invisible when stderr is not a terminal.

use std::ops::ControlFlow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use mdsd3_render::loaded::Decoder;
use mdsd3_render::run::{Batch, RenderObserver, RenderStep};

/// A spinner for work of unknown length.
pub fn spinner(message: &'static str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(message);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// A bar for `length` things of a kind.
pub fn bar(length: usize, message: &'static str) -> ProgressBar {
    styled(length, "{msg} [{bar:30}] {pos}/{len}  {elapsed} elapsed, {eta} left").with_message(message)
}

/// A bar for a phase of training; its prefix says how training goes.
pub fn training_bar(length: usize, phase: String) -> ProgressBar {
    styled(
        length,
        "{msg} [{bar:30}] {pos}/{len}  {prefix}  {elapsed} elapsed, {eta} left",
    )
    .with_message(phase)
}

fn styled(length: usize, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length as u64).with_style(style.progress_chars("=> "))
}

/// Shows the steps of a run, and keeps them when they are to be written.
pub struct StepProgress {
    bar: ProgressBar,
    keeps_steps: bool,
    /// The run's steps so far; empty when they are not kept.
    pub steps: Vec<RenderStep>,
    /// Makes images of the steps.
    pub decoder: Option<Decoder>,
}

impl StepProgress {
    /// Progress of a run of `steps` steps.
    pub fn new(steps: usize, keeps_steps: bool) -> Self {
        Self {
            bar: bar(steps, "mixing"),
            keeps_steps,
            steps: Vec::new(),
            decoder: None,
        }
    }
}

impl RenderObserver for StepProgress {
    fn started(&mut self, _batches: &[Batch], decoder: &Decoder) -> ControlFlow<()> {
        self.decoder = Some(decoder.clone());
        self.bar.tick();
        ControlFlow::Continue(())
    }

    fn step_done(&mut self, step: RenderStep) -> ControlFlow<()> {
        self.bar.inc(1);
        if self.keeps_steps {
            self.steps.push(step);
        }
        ControlFlow::Continue(())
    }
}

impl Drop for StepProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
