//! What the engine says.

use std::path::{Path, PathBuf};

use mdsd3_engine::protocol::{CancelReason, Event, ModelSummary, RunId, StepFrame};

use super::{Outstanding, RECENT_PHOTOS, Scene, State};
use crate::commands::Command;
use crate::lane::Cursor;
use crate::notice::Level;
use crate::run::ActiveRun;

impl State {
    /// Takes in one event.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::ModelLoaded(summary) => self.model_loaded(summary),
            Event::SceneLoaded {
                path,
                image,
                spectrum,
                original_size,
            } => {
                self.scene_loaded(Scene {
                    path,
                    image,
                    spectrum,
                    original_size_px: original_size,
                });
            }
            Event::Started { run, sigmas } => self.with_active(run, |active| active.started(sigmas)),
            Event::StepDone {
                run,
                step,
                steps,
                step_secs,
                ..
            } => self.step_done(run, step, steps, step_secs),
            Event::Finished { run, elapsed_secs } => self.finished(run, elapsed_secs),
            Event::Cancelled {
                run,
                reason,
                steps_done,
            } => self.cancelled(run, reason, steps_done),
            Event::Failed { run, message } => self.failed(run, message),
            Event::Saved { path } => {
                self.settle(|pending| matches!(pending, Outstanding::Save(_)));
                self.notify(Level::Success, format!("Saved {}", path.display()), None);
            }
            Event::WorkerRestarted { run, message } => self.worker_restarted(run, &message),
        }
    }

    /// Takes in one decoded step; frames of runs that were replaced are dropped.
    pub fn push_frame(&mut self, frame: StepFrame) {
        if let Some(lane) = self.lane.as_mut().filter(|lane| lane.run == frame.run) {
            lane.insert(frame);
            return;
        }
        let Some(active) = self.active.as_ref().filter(|active| active.run == frame.run) else {
            return;
        };
        let mut lane = active.new_lane(frame.steps);
        lane.insert(frame);
        self.lane = Some(lane);
        self.cursor = Cursor::Newest;
    }

    fn with_active(&mut self, run: RunId, change: impl FnOnce(&mut ActiveRun)) {
        if let Some(active) = self.active.as_mut().filter(|active| active.run == run) {
            change(active);
        }
    }

    fn model_loaded(&mut self, summary: ModelSummary) {
        self.settle(|pending| *pending == Outstanding::Model);
        self.log.push(
            self.now_secs,
            Level::Info,
            format!(
                "Model loaded: {}, {:.1} million parameters, classes {}",
                summary.name,
                summary.parameters as f64 / 1e6,
                summary.classes.join(", ")
            ),
        );
        // Saved settings may name classes of another checkpoint; the run would refuse them.
        let mut mix = mdsd3_engine::Mix::new();
        for class in &summary.classes {
            // A class name that a mix can't hold stays off rather than stopping the studio.
            if let Err(error) = mix.set(class, self.settings.mix.ratio(class)) {
                self.log.push(self.now_secs, Level::Warning, error.to_string());
            }
        }
        self.settings.mix = mix;
        self.model = Some(summary);
        self.accept_settings();
    }

    fn scene_loaded(&mut self, scene: Scene) {
        self.settle(|pending| matches!(pending, Outstanding::Scene(_)));
        let (width, height) = scene.original_size_px;
        self.log.push(
            self.now_secs,
            Level::Info,
            format!("Photo loaded: {}, {width} × {height} px", scene.name()),
        );
        if let Some(path) = &scene.path {
            remember(&mut self.recent, path);
        }
        self.settings.scene.clone_from(&scene.path);
        let replaces = self.scene.as_ref().is_some_and(|old| old.path != scene.path);
        self.scene = Some(scene);
        if replaces {
            // Steps of another photo beside this one would be read as a comparison.
            self.lane = None;
            self.cursor = Cursor::Newest;
            self.settings_changed();
        }
    }

    fn step_done(&mut self, run: RunId, step: usize, steps: usize, step_secs: f32) {
        self.with_active(run, |active| active.step_done(step, steps, step_secs));
        if let Some(lane) = self.lane.as_mut().filter(|lane| lane.run == run) {
            lane.step_secs.push(step_secs);
        }
    }

    fn finished(&mut self, run: RunId, elapsed_secs: f32) {
        let Some(active) = self.active.take_if(|active| active.run == run) else {
            return;
        };
        // The result's frame may come after this event.
        if self.lane.as_ref().is_none_or(|lane| lane.run != run) {
            self.lane = Some(active.new_lane(active.request.steps));
            self.cursor = Cursor::Newest;
        }
        if let Some(lane) = &mut self.lane {
            lane.elapsed_secs = Some(elapsed_secs);
        }
        let mix = active.request.mix.to_string();
        let mix = if mix.is_empty() { "no class".to_owned() } else { mix };
        self.log.push(
            self.now_secs,
            Level::Success,
            format!(
                "Mix finished: {mix}, seed {}, {} steps in {elapsed_secs:.1} s",
                active.request.seed, active.request.steps
            ),
        );
    }

    fn cancelled(&mut self, run: RunId, reason: CancelReason, steps_done: usize) {
        let Some(active) = self.active.take_if(|active| active.run == run) else {
            return;
        };
        if reason == CancelReason::User {
            self.log.push(
                self.now_secs,
                Level::Info,
                format!("Stopped after {steps_done} of {} steps", active.request.steps),
            );
        }
    }

    fn failed(&mut self, run: Option<RunId>, message: String) {
        let Some(run) = run else {
            let failed = self.outstanding.pop_front();
            let action =
                matches!(failed, Some(Outstanding::Scene(_))).then_some((Command::OpenPhoto, "Open another photo"));
            self.notify(Level::Error, message, action);
            return;
        };
        if self.active.take_if(|active| active.run == run).is_some() {
            self.notify(Level::Error, message, Some((Command::Mix, "Mix again")));
        }
    }

    fn worker_restarted(&mut self, run: Option<RunId>, message: &str) {
        self.outstanding.clear();
        let was_running = self
            .active
            .take_if(|active| run.is_none_or(|run| active.run == run))
            .is_some();
        let what = if was_running {
            "The run failed inside the engine"
        } else {
            "The engine failed"
        };
        self.notify(
            Level::Error,
            format!("{what} ({message}). It was restarted and your settings are kept."),
            Some((Command::Mix, "Mix again")),
        );
    }

    fn settle(&mut self, matches: impl Fn(&Outstanding) -> bool) {
        if let Some(index) = self.outstanding.iter().position(matches) {
            self.outstanding.remove(index);
        }
    }
}

fn remember(recent: &mut Vec<PathBuf>, path: &Path) {
    recent.retain(|known| known != path);
    recent.insert(0, path.to_owned());
    recent.truncate(RECENT_PHOTOS);
}
