//! What the user does.

use std::path::PathBuf;

use mdsd3_engine::protocol::{CancelReason, LaneRequest, Request};
use mdsd3_engine::training::TrainingRequest;

use super::{Effect, Outstanding, RERUN_DELAY_SECS, State, sentence_case};
use crate::commands::Command;
use crate::lane::{Cursor, Lane};
use crate::notice::{Level, Notice, Topic};
use crate::run::ActiveRun;

impl State {
    /// Runs the mix with the settings shown; a run that is going on is replaced.
    pub fn mix(&mut self) {
        self.abandon_strip();
        if !self.seed_locked {
            self.new_seed_without_rerun();
        }
        if self.active.is_some() {
            self.supersede(0.0);
        } else {
            self.start_run();
        }
    }

    /// Stops the run that is going on, and one that waits to start.
    pub fn stop(&mut self) {
        self.rerun_at_secs = None;
        self.end_strip();
        self.cancel_writing();
        if self.is_loading_model() {
            self.effects.push(Effect::Cancel(CancelReason::User));
        }
        self.stop_formation();
        if let Some(active) = &mut self.active {
            active.stopping = true;
            self.effects.push(Effect::Cancel(CancelReason::User));
        }
    }

    /// To be called after a control changed [`Self::settings`]: a run that is going on is replaced by one with the newest
    /// settings, as soon as they have rested for a moment. Nothing stale is ever queued.
    pub fn settings_changed(&mut self) {
        if self.active.is_some() || self.rerun_at_secs.is_some() {
            self.supersede(RERUN_DELAY_SECS);
        }
    }

    /// Changes the side of the scene in pixels, for which the photo has to be fitted again.
    pub fn set_size(&mut self, size_px: u32) {
        if self.settings.scene.size != size_px {
            self.settings.scene.size = size_px;
            self.open_scene(self.settings.scene.path.clone());
            self.settings_changed();
        }
    }

    /// Draws another seed.
    pub fn new_seed(&mut self) {
        self.new_seed_without_rerun();
        self.settings_changed();
    }

    /// Turns every class off.
    pub fn clear_mix(&mut self) {
        let classes: Vec<String> = self.classes().to_vec();
        for class in &classes {
            self.set_ratio(class, 0.0);
        }
        self.settings_changed();
    }

    /// Sets a class's ratio; values outside the accepted range are ignored, since the controls can't produce them.
    pub fn set_ratio(&mut self, class: &str, ratio: f32) {
        if let Err(error) = self.settings.sampling.mix.set(class, ratio) {
            self.log.push(self.now_secs, Level::Warning, error.to_string());
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
            self.notify(
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
        self.cursor = if newest.is_some_and(|newest| step >= newest) {
            Cursor::Newest
        } else {
            Cursor::At(step)
        };
    }

    /// Takes a message off the viewport.
    pub fn dismiss(&mut self, index: usize) {
        if index < self.notices.len() {
            self.notices.remove(index);
        }
    }

    /// Keeps a message in the log alone.
    pub fn record(&mut self, message: impl Into<String>) {
        self.log.push(self.now_secs, Level::Info, message.into());
    }

    /// Shows a message over the viewport and keeps it in the log.
    pub fn notify(&mut self, level: Level, message: impl Into<String>, action: Option<(Command, &'static str)>) {
        let message = sentence_case(&message.into());
        self.log.push(self.now_secs, level, message.clone());
        self.notices.retain(|notice| notice.message != message);
        let (action, action_label) = action.map_or((None, ""), |(command, label)| (Some(command), label));
        self.notices.push(Notice {
            level,
            message,
            topic: None,
            action,
            action_label,
            since_secs: self.now_secs,
        });
        // More than three hide the image that they are about; the log has them all.
        if self.notices.len() > 3 {
            self.notices.remove(0);
        }
    }

    /// Shows a problem until it is dismissed or `topic` succeeds.
    pub(super) fn problem(&mut self, topic: Topic, message: String, action: Option<(Command, &'static str)>) {
        self.notify(Level::Error, message, action);
        if let Some(notice) = self.notices.last_mut() {
            notice.topic = Some(topic);
        }
    }

    /// Takes problems off the viewport that a success has made moot.
    pub(super) fn succeeded(&mut self, topic: Topic) {
        self.notices.retain(|notice| notice.topic != Some(topic));
    }

    /// Starts, pauses, resumes or stops a training.
    pub fn train(&mut self, request: TrainingRequest) {
        self.effects.push(Effect::Train(request));
    }

    /// An effect could not be carried out.
    pub fn effect_failed(&mut self, effect: &Effect, message: String) {
        match effect {
            Effect::Send(Request::Render { run, .. })
                if self.active.as_ref().is_some_and(|active| active.run == *run) =>
            {
                self.active = None;
            }
            Effect::Send(Request::Chore(_)) => self.writing = None,
            Effect::Send(Request::Analyze { run, .. }) => {
                self.formation_ended(Some(*run));
            }
            Effect::Send(_) => {
                self.outstanding.pop_back();
            }
            Effect::Train(_) => self.training.failed_to_send(),
            Effect::Cancel(_) | Effect::CancelChores | Effect::Queue(_) | Effect::Show(_) => {}
        }
        self.notify(Level::Error, message, None);
    }

    pub(super) fn start_run(&mut self) {
        if let Some(blocker) = self.mix_blocker() {
            self.notify(Level::Warning, blocker, None);
            return;
        }
        self.stop_formation();
        self.notices.retain(|notice| notice.level < Level::Warning);
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
        let run = self.next_run;
        self.next_run += 1;
        self.active = Some(ActiveRun::new(run, lanes.clone()));
        self.effects.push(Effect::Send(Request::Render { run, lanes }));
    }

    pub(super) fn supersede(&mut self, delay_secs: f64) {
        self.rerun_at_secs = Some(self.now_secs + delay_secs);
        if let Some(active) = self.active.as_mut().filter(|active| !active.stopping) {
            active.stopping = true;
            self.effects.push(Effect::Cancel(CancelReason::Superseded));
        }
    }

    fn new_seed_without_rerun(&mut self) {
        // A Weyl sequence stirred by the moment of the click, then a mixing multiply: a click needs no better generator.
        self.seed_stream = self.seed_stream.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ self.now_secs.to_bits();
        let mixed = (self.seed_stream ^ (self.seed_stream >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        // Six digits can be read out, typed and remembered.
        self.settings.sampling.seed = (mixed ^ (mixed >> 27)) % 1_000_000;
    }
}
