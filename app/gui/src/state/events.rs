//! What the engine says.

use std::path::{Path, PathBuf};

use mdsd3_engine::data::FORMULA_CLASSES;
use mdsd3_engine::protocol::{CancelReason, Event, LaneRequest, StepFrame};
use mdsd3_engine::training::TrainingEvent;
use mdsd3_words::lane::{LaneId, LaneKind, RunId};
use mdsd3_words::{Mix, ModelSettings, ModelSummary};

use super::{Outstanding, RECENT_PHOTOS, Scene, State};
use crate::commands::Command;
use crate::lane::Cursor;
use crate::notice::{Level, Topic};
use crate::pane_id;
use crate::run::ActiveRun;

impl State {
    /// Takes in one event.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::ModelProgress { done, total } => self.model_progress(done, total),
            Event::Chore(event) => self.apply_chore(event),
            Event::Training(event) => self.apply_training(event),
            Event::Queue(entries) => self.apply_queue(entries),
            Event::ModelLoaded(summary) => self.model_loaded(summary),
            Event::SceneLoaded {
                path,
                image,
                spectrum,
                original_size,
                notes,
            } => {
                let scene = Scene {
                    path,
                    image,
                    spectrum,
                    original_size_px: original_size,
                };
                self.scene_loaded(scene, &notes);
            }
            Event::SceneWeather { of, outcome } => self.scene_weather_told(*of, outcome),
            Event::Layers { of, outcome } => self.layers_told(*of, outcome),
            Event::Started { run, batches } => self.with_active(run, |active| active.started(batches)),
            Event::StepDone {
                run, lanes, step_secs, ..
            } => self.step_done(run, &lanes, step_secs),
            Event::Finished { run, elapsed_secs } => self.finished(run, elapsed_secs),
            Event::Cancelled {
                run,
                reason,
                steps_done,
            } => self.cancelled(run, reason, steps_done),
            Event::Failed { run, message } => self.failed(run, message),
            Event::AnalysisStep { run, done, total } => self.formation_step(run, done, total),
            Event::Analyzed { run, formation } => self.formation_measured(run, formation),
            Event::Saved { path } => {
                self.settle(|pending| matches!(pending, Outstanding::Save(_)));
                self.messages.succeeded(Topic::Saving);
                self.messages
                    .notify(Level::Success, format!("Saved {}", path.display()), None);
            }
            Event::WorkerRestarted { run, message } => self.worker_restarted(run, &message),
        }
    }

    /// Takes in what the training says.
    fn apply_training(&mut self, event: TrainingEvent) {
        let Some((level, text)) = self.training.apply(event) else {
            return;
        };
        if level == Level::Info {
            self.messages.record(level, text);
        } else {
            self.messages.notify(level, text, None);
        }
    }

    /// Takes in one decoded step; frames of runs that were replaced are dropped.
    pub fn push_frame(&mut self, frame: StepFrame) {
        self.keep_for_strip(&frame);
        let (run, lane) = (frame.run, frame.lane);
        let known = self
            .result_mut(lane)
            .and_then(|result| result.as_ref())
            .map(|result| result.run);
        if known != Some(run) && !self.adopt(run, lane, frame.steps) {
            return;
        }
        if let Some(Some(result)) = self.result_mut(lane) {
            result.insert(frame);
        }
    }

    /// Puts what a lane of the active run has made in place of what it had made before; false when it is no part of it.
    fn adopt(&mut self, run: RunId, lane: LaneId, steps: usize) -> bool {
        let active = self.runs.get(run);
        let Some(mut made) = active.and_then(|active| active.new_lane(lane, steps)) else {
            return false;
        };
        let Some(slot) = self.result_mut(lane) else {
            return false;
        };
        if let Some((branch, before)) = made.request.branch.clone().zip(slot.take())
            && before.request.branch.as_ref() == Some(&branch)
        {
            made.inherit(&before, branch.step);
        }
        *slot = Some(made);
        if self.lead().is_some_and(|lead| lead.run == run) {
            self.shown.cursor = Cursor::Newest;
        }
        true
    }

    /// Results of the selected lane go to the strip of seeds as well.
    fn keep_for_strip(&mut self, frame: &StepFrame) {
        let slot = self.lanes().get(self.selected_lane());
        let Some(slot) = slot.filter(|slot| slot.setup.id == frame.lane && slot.setup.kind == LaneKind::Sampled) else {
            return;
        };
        if frame.step != frame.steps {
            return;
        }
        let active = self.runs.get(frame.run);
        let asked = active.and_then(|active| active.lanes.iter().find(|lane| lane.lane == frame.lane));
        let finished = slot.result.as_ref().filter(|lane| lane.run == frame.run);
        let request = asked
            .map(|lane| &lane.request)
            .or(finished.map(|lane| &lane.request))
            .cloned();
        if let Some(request) = request {
            self.keep_seed_image(&request, &frame.image);
        }
    }

    fn with_active(&mut self, run: RunId, change: impl FnOnce(&mut ActiveRun)) {
        if let Some(active) = self.runs.get_mut(run) {
            change(active);
        }
    }

    fn model_loaded(&mut self, summary: ModelSummary) {
        self.settle(|pending| *pending == Outstanding::Model);
        self.messages.succeeded(Topic::Model);
        self.messages.record(
            Level::Info,
            format!(
                "Model loaded: {}, {:.1} million parameters, classes {}",
                summary.name,
                summary.parameters as f64 / 1e6,
                summary.classes.join(", ")
            ),
        );
        for note in &summary.notes {
            self.messages
                .record(Level::Warning, format!("{}: {note}", summary.name));
        }
        // Saved settings may name classes of another checkpoint; the run would refuse them.
        let mut problems = Vec::new();
        self.for_each_settings(|settings| {
            let mut mix = Mix::new();
            for class in &summary.classes {
                // A class name that a mix can't hold stays off rather than stopping the studio.
                problems.extend(mix.set(class, settings.sampling.mix.ratio(class)).err());
            }
            // Physical lanes have classes of their own.
            for (class, ratio) in settings
                .sampling
                .mix
                .active()
                .filter(|(class, _)| FORMULA_CLASSES.contains(class))
            {
                problems.extend(mix.set(class, ratio).err());
            }
            settings.sampling.mix = mix;
            settings.sampling.head_ratios.retain(|one| one.head() < summary.heads);
            let known = |class: &str| summary.classes.iter().any(|name| name == class);
            settings.sampling.curves.retain(|curve| known(curve.class()));
        });
        if let Some(problem) = problems.first() {
            self.messages.record(Level::Warning, problem.to_string());
        }
        self.model = Some(summary);
        self.accept_settings();
    }

    fn scene_loaded(&mut self, scene: Scene, notes: &[String]) {
        self.settle(|pending| matches!(pending, Outstanding::Scene(_)));
        self.messages.succeeded(Topic::Opening);
        let fit = scene.fit_in_words();
        self.messages
            .record(Level::Info, format!("Photo loaded: {}, {fit}", scene.name()));
        for note in notes {
            self.messages.record(Level::Info, format!("{}: {note}", scene.name()));
        }
        if scene.is_enlarged() {
            let message = format!("{} is small: {fit}. A smaller size keeps its pixels.", scene.name());
            self.messages.notify(Level::Info, message, None);
        }
        if let Some(path) = &scene.path {
            remember(&mut self.recent, path);
        }
        if self.settings.scene.path != scene.path {
            self.put_weather_files_aside();
        }
        self.settings.scene.path.clone_from(&scene.path);
        let replaces = self.scene.as_ref().is_some_and(|old| old.path != scene.path);
        self.scene = Some(scene);
        if replaces {
            // Steps of another photo beside this one would be read as a comparison.
            self.clear_results();
            self.forget_seed_images();
            self.rerun_when_rested();
        }
    }

    fn step_done(&mut self, run: RunId, lanes: &[LaneId], step_secs: f32) {
        self.with_active(run, |active| active.step_done(lanes, step_secs));
        for &lane in lanes {
            if let Some(Some(result)) = self.result_mut(lane)
                && result.run == run
            {
                result.step_secs.push(Some(step_secs));
            }
        }
    }

    fn finished(&mut self, run: RunId, elapsed_secs: f32) {
        if self.runs.get(run).is_none() {
            return;
        }
        let requests: Vec<LaneRequest> = self
            .runs
            .active
            .as_ref()
            .map(|active| active.lanes.clone())
            .unwrap_or_default();
        for LaneRequest { lane, kind, request } in &requests {
            let steps = if *kind == LaneKind::Physical {
                0
            } else {
                request.sampling.steps
            };
            let known = self
                .result_mut(*lane)
                .and_then(|result| result.as_ref())
                .map(|result| result.run);
            // The result's frame may come after this event.
            if known != Some(run) {
                self.adopt(run, *lane, steps);
            }
            if let Some(Some(result)) = self.result_mut(*lane)
                && result.run == run
            {
                result.elapsed_secs = Some(elapsed_secs);
            }
        }
        self.runs.active = None;
        self.log_finished(&requests, elapsed_secs);
    }

    fn log_finished(&mut self, lanes: &[LaneRequest], elapsed_secs: f32) {
        let mixes: Vec<String> = lanes
            .iter()
            .map(|lane| {
                let mix = lane.request.sampling.mix.to_string();
                if mix.is_empty() { "no class".to_owned() } else { mix }
            })
            .collect();
        let (seed, steps) = lanes
            .first()
            .map_or((0, 0), |lane| (lane.request.sampling.seed, lane.request.sampling.steps));
        self.messages.record(
            Level::Success,
            format!(
                "Mix finished: {}, seed {seed}, {steps} steps in {elapsed_secs:.1} s",
                mixes.join("; ")
            ),
        );
    }

    fn cancelled(&mut self, run: RunId, reason: CancelReason, steps_done: usize) {
        if self.formation_ended(Some(run)) {
            self.messages
                .record(Level::Info, format!("Measurement stopped after {steps_done} steps"));
            return;
        }
        let Some(active) = self.runs.end(run) else {
            return;
        };
        if reason == CancelReason::User {
            self.messages.record(
                Level::Info,
                format!("Stopped after {steps_done} of {} steps", active.steps()),
            );
        }
    }

    fn failed(&mut self, run: Option<RunId>, message: String) {
        let Some(run) = run else {
            let failed = self.outstanding.pop_front();
            if failed == Some(Outstanding::Model) {
                self.model_failed(message);
                return;
            }
            match failed {
                Some(Outstanding::Scene(_)) => {
                    self.messages.problem(
                        Topic::Opening,
                        message,
                        Some((Command::OpenPhoto, "Open another photo")),
                    );
                }
                _ => self.messages.problem(Topic::Saving, message, None),
            }
            return;
        };
        if self.formation_ended(Some(run)) {
            self.messages.notify(Level::Error, message, None);
        } else if self.runs.end(run).is_some() {
            self.messages
                .notify(Level::Error, message, Some((Command::Mix, "Mix again")));
        }
    }

    fn worker_restarted(&mut self, run: Option<RunId>, message: &str) {
        self.outstanding.clear();
        self.formation_ended(None);
        self.weather_lost(message);
        let was_running = self
            .runs
            .active
            .take_if(|active| run.is_none_or(|run| active.run == run))
            .is_some();
        let what = if was_running {
            "The run failed inside the engine"
        } else {
            "The engine failed"
        };
        self.messages.notify(
            Level::Error,
            format!("{what} ({message}). It was restarted and your settings are kept."),
            Some((Command::Mix, "Mix again")),
        );
    }

    /// A model that can't be loaded leaves none: the one before made room for it.
    fn model_failed(&mut self, message: String) {
        self.model = None;
        let action = if self.settings.model == ModelSettings::default() {
            (Command::Show(pane_id::MODEL), "Choose a model")
        } else {
            (Command::LoadBundledModel, "Load the bundled model")
        };
        self.messages.problem(Topic::Model, message, Some(action));
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
