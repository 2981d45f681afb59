//! What the studio knows of a training run: the same stream that its files hold.

mod pace;

use std::path::PathBuf;

use super::sentence_case;
use crate::notice::Level;
use crate::run::duration_text;
use mdsd3_engine::training::{Progress, StepNumbers, TrainingEvent, TrainingRequest, ValidationNumbers};
use mdsd3_words::ModelSettings;
use mdsd3_words::image::Rgba8;
use pace::Pace;

/// Points of a curve that are kept; when there are more, every second one is dropped, so that a curve always covers the
/// whole run.
const MOST_POINTS: usize = 4000;

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// There is none.
    #[default]
    Idle,
    /// It was asked for, or computes.
    Running,
    /// It waits to be resumed.
    Paused,
    /// It was told to stop and saves.
    Stopping,
}

/// A training run and what is left of the one before it.
#[derive(Debug, Default)]
pub struct Training {
    /// Path of the recipe, as typed.
    pub recipe: String,
    /// Where the run is.
    pub phase: Phase,
    /// Which part of the run is done how far.
    pub progress: Option<Progress>,
    /// Numbers over the run.
    pub steps: Vec<StepNumbers>,
    /// Step and loss over the part of the run that is being computed, for runs that tell no more.
    pub part_losses: Vec<(usize, f32)>,
    /// Validations over the run.
    pub validations: Vec<ValidationNumbers>,
    /// The newest sample strip with its step.
    pub strip: Option<(usize, Rgba8)>,
    /// What was written at the end, and the model to load to mix with it.
    pub result: Option<(PathBuf, Box<ModelSettings>)>,
    /// Why the last run ended before its end, and what to do.
    pub failure: Option<String>,
    /// Whether the last run was stopped, and can be resumed.
    stopped: bool,
    /// Whether a point is to be left out next, once the curve has been thinned.
    kept_every: usize,
    seen: usize,
    pace: Pace,
}

impl Training {
    /// Whether a run can be started.
    pub fn can_start(&self) -> bool {
        self.phase == Phase::Idle && !self.recipe.trim().is_empty()
    }

    /// Asks for a run.
    pub fn start(&mut self) -> Option<TrainingRequest> {
        if !self.can_start() {
            return None;
        }
        let recipe = std::mem::take(&mut self.recipe);
        *self = Self {
            phase: Phase::Running,
            recipe,
            ..Self::default()
        };
        Some(TrainingRequest::Start {
            recipe: PathBuf::from(self.recipe.trim()),
        })
    }

    /// Pauses a run, or lets a paused one go on.
    pub fn pause_or_resume(&mut self) -> Option<TrainingRequest> {
        match self.phase {
            Phase::Running => Some(TrainingRequest::Pause),
            Phase::Paused => Some(TrainingRequest::Resume),
            Phase::Idle | Phase::Stopping => None,
        }
    }

    /// Ends a run, which saves first.
    pub fn stop(&mut self) -> Option<TrainingRequest> {
        if !matches!(self.phase, Phase::Running | Phase::Paused) {
            return None;
        }
        self.phase = Phase::Stopping;
        Some(TrainingRequest::Stop)
    }

    /// The request could not be carried out.
    pub fn failed_to_send(&mut self) {
        if self.steps.is_empty() && self.progress.is_none() {
            self.phase = Phase::Idle;
        }
    }

    /// Takes in an event; what deserves a line in the log comes back.
    pub fn apply(&mut self, event: TrainingEvent) -> Option<(Level, String)> {
        match event {
            TrainingEvent::Started { recipe } => {
                return Some((Level::Info, format!("Training started: {}", recipe.display())));
            }
            TrainingEvent::Progress(progress) => {
                let before = self.progress.as_ref();
                if before.is_none_or(|before| before.phase != progress.phase) {
                    self.pace.restart();
                    self.part_losses.clear();
                }
                self.part_losses.extend(progress.loss.map(|loss| (progress.step, loss)));
                thin(&mut self.part_losses);
                self.progress = Some(progress);
            }
            TrainingEvent::Continued { step } => {
                return Some((Level::Info, format!("Training continues behind step {step}")));
            }
            TrainingEvent::Step(numbers) => self.push(numbers),
            TrainingEvent::Validation(numbers) => self.validations.push(numbers),
            TrainingEvent::Strip { step, image } => self.strip = Some((step, image)),
            TrainingEvent::Message(text) => return Some((Level::Info, format!("Training: {text}"))),
            TrainingEvent::Warning(text) => return Some((Level::Warning, format!("Training: {text}"))),
            TrainingEvent::Paused => self.set_unless_stopping(Phase::Paused),
            TrainingEvent::Resumed => self.set_unless_stopping(Phase::Running),
            TrainingEvent::Finished { path, key } => {
                self.phase = Phase::Idle;
                let text = format!("Training finished: {}", path.display());
                self.result = Some((path, key));
                return Some((Level::Success, text));
            }
            TrainingEvent::Stopped => {
                self.phase = Phase::Idle;
                self.stopped = true;
                return Some((
                    Level::Info,
                    "Training stopped and saved; start it again to resume".to_owned(),
                ));
            }
            TrainingEvent::Failed { message } => {
                self.phase = Phase::Idle;
                self.failure = Some(sentence_case(&message));
                return Some((Level::Error, format!("Training failed: {message}")));
            }
        }
        None
    }

    fn set_unless_stopping(&mut self, phase: Phase) {
        if self.phase != Phase::Stopping {
            self.phase = phase;
        }
    }

    fn push(&mut self, numbers: StepNumbers) {
        self.seen += 1;
        if self.seen.is_multiple_of(self.kept_every.max(1)) {
            self.steps.push(numbers);
        }
        if thin(&mut self.steps) {
            self.kept_every = self.kept_every.max(1) * 2;
        }
    }

    /// "120 of 4000 · 3.1 samples/s", or what it waits for.
    pub fn status(&self) -> String {
        let (Some(progress), false) = (&self.progress, self.phase == Phase::Idle) else {
            return match (self.phase, &self.result) {
                (Phase::Idle, Some((path, _))) => format!("Finished, wrote {}", path.display()),
                (Phase::Idle, None) if self.stopped => "Stopped and saved; start it again to go on".to_owned(),
                (Phase::Idle, None) => String::new(),
                _ => "Reading the recipe and the checkpoint".to_owned(),
            };
        };
        let state = match self.phase {
            Phase::Paused => "Paused · ",
            Phase::Stopping => "Stopping · ",
            _ => "",
        };
        let left = self.pace.remaining_secs(progress.step, progress.steps);
        let left = left.map_or_else(String::new, |secs| format!(" · {} left", duration_text(secs)));
        sentence_case(&format!(
            "{state}{} · step {} of {} · {:.1} samples/s{left}",
            progress.phase, progress.step, progress.steps, progress.samples_per_sec
        ))
    }

    /// Whether there is something to show beside the controls.
    pub fn has_curves(&self) -> bool {
        !self.steps.is_empty() || !self.part_losses.is_empty() || self.strip.is_some()
    }

    /// Whether nothing was trained since the studio opened.
    pub fn is_untouched(&self) -> bool {
        self.phase == Phase::Idle && self.status().is_empty() && self.failure.is_none()
    }

    /// Share of the part of the run that is being computed, 0 to 1; `None` when there is no run.
    pub fn share(&self) -> Option<f32> {
        let progress = self.progress.as_ref().filter(|_| self.phase != Phase::Idle)?;
        Some(progress.step as f32 / progress.steps.max(1) as f32)
    }

    /// Tells the time of this frame, in seconds since the studio opened.
    pub fn tick(&mut self, now_secs: f64) {
        let progress = self.progress.as_ref().filter(|_| self.phase == Phase::Running);
        self.pace.tick(now_secs, progress.map(|progress| progress.step));
    }
}

/// Drops every second point of a curve that has too many; whether it did.
fn thin<T>(points: &mut Vec<T>) -> bool {
    if points.len() < MOST_POINTS {
        return false;
    }
    let mut index = 0;
    points.retain(|_| {
        index += 1;
        index % 2 == 0
    });
    true
}

#[cfg(test)]
mod tests;
