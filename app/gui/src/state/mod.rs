//! What the studio knows and how it reacts: no drawing, no threads, no clock of its own.
//!
//! Engine events and user actions come in; what the engine shall do comes out of [`State::take_effects`]. Views read the
//! state and call its actions. So every behaviour that matters (what a Stop does, what happens to a slider moved during a
//! run) is tested here without a window.

mod actions;
pub mod curves;
mod edit;
mod events;
pub mod files;
pub mod formation;
mod heads;
pub mod history;
mod lanes;
pub mod model;
pub mod palette;
mod playback;
pub mod presets;
mod queries;
pub mod queue;
mod runs;
mod scene;
pub mod seeds;
#[cfg(test)]
mod tests;
pub mod training;
pub mod weather;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use mdsd3_engine::protocol::{CancelReason, Request};
use mdsd3_engine::queue::QueueRequest;
use mdsd3_engine::training::TrainingRequest;
use mdsd3_words::{ModelSummary, RenderRequest};

use crate::notice::Messages;
pub use crate::notice::sentence_case;
use crate::pane_id::PaneId;
pub use files::typed_path;
pub use queries::Activity;

pub use playback::{Shown, ViewChoice};
pub use runs::Runs;
pub use scene::{Scene, file_name};

pub use lanes::{CLEAN_LANE, Document, LanePreset, LaneSetup, LaneSlot, Lanes};

/// How long a slider must rest before a run that it interrupted starts again.
const RERUN_DELAY_SECS: f64 = 0.2;

/// Photos remembered in the Open dialog.
const RECENT_PHOTOS: usize = 8;

/// What the engine shall do.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Queue a request.
    Send(Request),
    /// Stop the run that is going on, ahead of the queue.
    Cancel(CancelReason),
    /// Cancel every chore sent so far.
    CancelChores,
    /// Start, pause, resume or stop a training.
    Train(TrainingRequest),
    /// Ask the queue of datasets for something.
    Queue(QueueRequest),
    /// Bring a pane to the front.
    Show(PaneId),
}

/// A request whose answer is outstanding; answers come in the order of the requests.
#[derive(Debug, Clone, PartialEq)]
enum Outstanding {
    Model,
    Scene(Option<PathBuf>),
    Save(PathBuf),
}

/// Everything the studio knows.
#[derive(Debug, Default)]
pub struct State {
    /// What [`Self::edit`] edits: the settings that the lanes share, or the selected lane's own.
    settings: RenderRequest,
    /// Whether Mix keeps the seed (else each Mix draws another).
    pub seed_locked: bool,
    /// The loaded model.
    pub model: Option<ModelSummary>,
    /// The loaded photo.
    pub scene: Option<Scene>,
    /// The run that is going on, and what replaces it.
    pub runs: Runs,
    lanes: Lanes,
    /// The measurement of when classes form.
    pub formation: formation::FormationStudy,
    /// What is shown of the steps.
    pub shown: Shown,
    /// Datasets that are made in the background.
    pub queue: queue::QueueDesk,
    /// What is said to the user.
    pub messages: Messages,
    /// Photos opened lately, newest first.
    pub recent: Vec<PathBuf>,
    /// The user's presets.
    pub presets: Vec<presets::Preset>,
    /// What the Model pane shows.
    pub desk: model::ModelDesk,
    /// Files that are being written.
    pub writing: Option<files::Writing>,
    /// The training that runs beside the mixes.
    pub training: training::Training,
    weather: weather::WeatherDesk,
    seeds: seeds::SeedStrip,
    history: history::History,
    outstanding: VecDeque<Outstanding>,
    seed_stream: u64,
    now_secs: f64,
    effects: Vec<Effect>,
}

impl State {
    /// A studio that waits for the engine's model, which loads by itself, and asks for `settings.scene.path`.
    pub fn new(settings: RenderRequest) -> Self {
        let mut state = Self {
            settings,
            seed_locked: true,
            ..Self::default()
        };
        state.desk.draft = model::ModelDraft::of(&state.settings.model);
        state.outstanding.push_back(Outstanding::Model);
        state.open_scene(state.settings.scene.path.clone());
        state
    }

    /// What the engine shall do, oldest first; each effect is handed out once.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Seconds since the studio opened, as of the last [`Self::tick`].
    pub fn now_secs(&self) -> f64 {
        self.now_secs
    }

    /// Lets time pass: starts a run that waited for the sliders to rest, and drops messages that were shown long enough.
    pub fn tick(&mut self, now_secs: f64) {
        self.now_secs = now_secs;
        self.training.tick(now_secs);
        self.messages.tick(now_secs);
        self.play_on();
        if self.runs.active.is_some() {
            return;
        }
        if self.runs.is_due(now_secs) {
            self.start_run();
        } else if !self.runs.is_busy() {
            self.start_missing_clean();
        }
        self.next_of_strip();
    }

    /// How long until [`Self::tick`] has something to do without a new event.
    pub fn wake_after(&self) -> Option<Duration> {
        self.runs
            .wake_after_secs(self.now_secs)
            .into_iter()
            .chain(self.messages.wake_after_secs())
            .chain(self.shown.wake_after_secs(self.now_secs))
            .chain(self.history.wake_after_secs(self.now_secs))
            .min_by(f64::total_cmp)
            .map(Duration::from_secs_f64)
    }
}
