//! What the user does.

use std::path::PathBuf;

use mdsd3_engine::protocol::{CancelReason, LaneRequest, Request};
use mdsd3_engine::training::TrainingRequest;
use mdsd3_words::RenderRequest;

use super::{Effect, Outstanding, RERUN_DELAY_SECS, State};
use crate::lane::{Cursor, Lane};
use crate::notice::Level;

impl State {
    /// Runs the mix with the settings shown; a run that is going on is replaced.
    pub fn mix(&mut self) {
        self.abandon_strip();
        if !self.seed_locked {
            self.new_seed();
        }
        if self.runs.active.is_some() {
            self.supersede(0.0);
        } else {
            self.start_run();
        }
    }

    /// Stops the run that is going on, and one that waits to start.
    pub fn stop(&mut self) {
        let is_active = self.runs.stop();
        self.end_strip();
        self.cancel_writing();
        if self.is_loading_model() {
            self.effects.push(Effect::Cancel(CancelReason::User));
        }
        self.stop_formation();
        if is_active {
            self.effects.push(Effect::Cancel(CancelReason::User));
        }
    }

    /// What the controls show and edit: the settings that the lanes share, or the selected lane's own.
    pub fn settings(&self) -> &RenderRequest {
        &self.settings
    }

    /// Changes the settings: the one way for controls and commands. What `change` returns comes back.
    pub fn edit<R>(&mut self, change: impl FnOnce(&mut RenderRequest) -> R) -> R {
        let before = self.settings.clone();
        let result = change(&mut self.settings);
        if self.settings != before {
            self.rerun_when_rested();
        }
        result
    }

    /// Replaces a run that is going on by one with the newest settings, as soon as they have rested for a moment. Nothing
    /// stale is ever queued.
    pub(super) fn rerun_when_rested(&mut self) {
        if self.runs.is_busy() {
            self.supersede(RERUN_DELAY_SECS);
        }
    }

    /// Changes the side of the scene in pixels, for which the photo has to be fitted again.
    pub fn set_size(&mut self, size_px: u32) {
        if self.settings.scene.size != size_px {
            self.edit(|settings| settings.scene.size = size_px);
            self.open_scene(self.settings.scene.path.clone());
        }
    }

    /// Draws another seed.
    pub fn new_seed(&mut self) {
        // A Weyl sequence stirred by the moment of the click, then a mixing multiply: a click needs no better generator.
        self.seed_stream = self.seed_stream.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ self.now_secs.to_bits();
        let mixed = (self.seed_stream ^ (self.seed_stream >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        // Six digits can be read out, typed and remembered.
        self.edit(|settings| settings.sampling.seed = (mixed ^ (mixed >> 27)) % 1_000_000);
    }

    /// Turns every class off.
    pub fn clear_mix(&mut self) {
        let classes: Vec<String> = self.classes().to_vec();
        for class in &classes {
            self.set_ratio(class, 0.0);
        }
    }

    /// Sets a class's ratio; values outside the accepted range are ignored, since the controls can't produce them.
    pub fn set_ratio(&mut self, class: &str, ratio: f32) {
        if let Err(error) = self.edit(|settings| settings.sampling.mix.set(class, ratio)) {
            self.messages.record(Level::Warning, error.to_string());
        }
    }

    /// Loads a photo; `None` is the demo photo.
    pub fn open_scene(&mut self, path: Option<PathBuf>) {
        self.outstanding.push_back(Outstanding::Scene(path.clone()));
        self.effects.push(Effect::Send(Request::OpenScene {
            path,
            size: self.settings.scene.size,
        }));
    }

    /// Saves the finished image.
    pub fn save_result(&mut self, path: PathBuf) {
        let lane = self.lanes().get(self.selected_lane()).map(|slot| slot.setup.id);
        let Some(lane) = lane.filter(|_| self.finished_run().is_some()) else {
            self.messages.notify(
                Level::Warning,
                "nothing to save yet: press Mix and wait for the result",
                None,
            );
            return;
        };
        self.outstanding.push_back(Outstanding::Save(path.clone()));
        self.effects.push(Effect::Send(Request::SaveResult { lane, path }));
    }

    /// Moves the step cursor.
    pub fn step_by(&mut self, delta: isize) {
        let newest = self.lead().and_then(Lane::newest);
        if let Some((shown, newest)) = self.shown_step().zip(newest) {
            self.show_step(shown.saturating_add_signed(delta).min(newest));
        }
    }

    /// Shows a step; the newest one is followed from then on.
    pub fn show_step(&mut self, step: usize) {
        let newest = self.lead().and_then(Lane::newest);
        self.shown.cursor = if newest.is_some_and(|newest| step >= newest) {
            Cursor::Newest
        } else {
            Cursor::At(step)
        };
    }

    /// Starts, pauses, resumes or stops a training.
    pub fn train(&mut self, request: TrainingRequest) {
        self.effects.push(Effect::Train(request));
    }

    /// An effect could not be carried out.
    pub fn effect_failed(&mut self, effect: &Effect, message: String) {
        match effect {
            Effect::Send(Request::Render { run, .. }) if self.runs.get(*run).is_some() => self.runs.active = None,
            Effect::Send(Request::Chore(_)) => self.writing = None,
            Effect::Send(Request::SceneWeather(_) | Request::Layers(_)) => self.weather_lost(&message),
            Effect::Send(Request::Analyze { run, .. }) => {
                self.formation_ended(Some(*run));
            }
            Effect::Send(_) => {
                self.outstanding.pop_back();
            }
            Effect::Train(_) => self.training.failed_to_send(),
            Effect::Cancel(_) | Effect::CancelChores | Effect::Queue(_) | Effect::Show(_) => {}
        }
        self.messages.notify(Level::Error, message, None);
    }

    pub(super) fn start_run(&mut self) {
        if let Some(blocker) = self.mix_blocker() {
            self.messages.notify(Level::Warning, blocker, None);
            return;
        }
        self.stop_formation();
        self.messages.notices.retain(|notice| notice.level < Level::Warning);
        self.send_run(self.lanes_to_run());
    }

    /// Makes the clean branch when it is wanted beside results that are on the same noise and nothing else is to be done.
    pub(super) fn start_missing_clean(&mut self) {
        let on_same_noise = |lane: &Lane| lane.elapsed_secs.is_some() && lane.request.starts_as(&self.clean_request());
        let has_results = self
            .lanes()
            .iter()
            .filter_map(|slot| slot.result.as_ref())
            .any(on_same_noise);
        if has_results
            && self.mix_blocker().is_none()
            && let Some(clean) = self.clean_to_run()
        {
            self.send_run(vec![clean]);
        }
    }

    fn send_run(&mut self, lanes: Vec<LaneRequest>) {
        let run = self.runs.begin(lanes.clone());
        self.effects.push(Effect::Send(Request::Render { run, lanes }));
    }

    pub(super) fn supersede(&mut self, delay_secs: f64) {
        if self.runs.replace_at(self.now_secs + delay_secs) {
            self.effects.push(Effect::Cancel(CancelReason::Superseded));
        }
    }
}
