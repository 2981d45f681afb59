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
pub mod seeds;
#[cfg(test)]
mod tests;
pub mod training;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mdsd3_engine::protocol::{CancelReason, Request, StepView};
use mdsd3_engine::queue::QueueRequest;
use mdsd3_engine::training::TrainingRequest;
use mdsd3_words::image::{Rgba8, SpectrumFrame};
use mdsd3_words::lane::RunId;
use mdsd3_words::{ModelSummary, RenderRequest};

use crate::lane::Cursor;
use crate::notice::{Level, Log, Notice};
use crate::panes::PaneId;
use crate::run::ActiveRun;
pub use files::typed_path;
pub use queries::Activity;

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

/// The photo as the model sees it.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Its path; `None` for the demo photo.
    pub path: Option<PathBuf>,
    /// The fitted image.
    pub image: Rgba8,
    /// Its spectrum.
    pub spectrum: SpectrumFrame,
    /// Width and height before fitting, in pixels.
    pub original_size_px: (u32, u32),
}

impl Scene {
    /// The file's name, or "Demo photo".
    pub fn name(&self) -> String {
        file_name(self.path.as_deref())
    }
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
    /// What the sliders edit: the settings that the lanes share, or the selected lane's own.
    pub settings: RenderRequest,
    /// Whether Mix keeps the seed (else each Mix draws another).
    pub seed_locked: bool,
    /// The loaded model.
    pub model: Option<ModelSummary>,
    /// The loaded photo.
    pub scene: Option<Scene>,
    /// The run that is going on.
    pub active: Option<ActiveRun>,
    lanes: Lanes,
    /// The measurement of when classes form.
    pub formation: formation::FormationStudy,
    /// Which step is shown, counted in the lead lane.
    pub cursor: Cursor,
    /// Which image of a step is shown.
    pub view: ViewChoice,
    /// Datasets that are made in the background.
    pub queue: queue::QueueDesk,
    /// Messages over the viewport, oldest first.
    pub notices: Vec<Notice>,
    /// All messages.
    pub log: Log,
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
    seeds: seeds::SeedStrip,
    history: history::History,
    outstanding: VecDeque<Outstanding>,
    next_run: RunId,
    seed_stream: u64,
    rerun_at_secs: Option<f64>,
    now_secs: f64,
    /// When the next step is to be shown, while they are being played.
    next_step_at_secs: Option<f64>,
    effects: Vec<Effect>,
}

/// [`StepView`] with a default: the prediction, which shows the degradation from the first step on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ViewChoice {
    /// The clean-data prediction.
    #[default]
    Prediction,
    /// The noisy latents, decoded.
    Noisy,
}

impl ViewChoice {
    /// As the engine names it.
    pub fn step_view(self) -> StepView {
        match self {
            Self::Prediction => StepView::X0Hat,
            Self::Noisy => StepView::XT,
        }
    }

    /// As the design names it.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Prediction => "x̂0",
            Self::Noisy => "x_t",
        }
    }
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
        self.notices.retain(|notice| !notice.is_over(now_secs));
        self.play_on();
        if self.active.is_some() {
            return;
        }
        if self.rerun_at_secs.is_some_and(|at| at <= now_secs) {
            self.rerun_at_secs = None;
            self.start_run();
        } else if self.rerun_at_secs.is_none() {
            self.start_missing_clean();
        }
        self.next_of_strip();
    }

    /// How long until [`Self::tick`] has something to do without a new event.
    pub fn wake_after(&self) -> Option<Duration> {
        let wait = self
            .rerun_at_secs
            .filter(|_| self.active.is_none())
            .map(|at| (at - self.now_secs).max(0.0));
        let expiry = self
            .notices
            .iter()
            .any(|notice| notice.level < Level::Warning)
            .then_some(1.0);
        let play = self.next_step_at_secs.map(|at| (at - self.now_secs).max(0.0));
        wait.into_iter()
            .chain(expiry)
            .chain(play)
            .chain(self.history.wake_after_secs(self.now_secs))
            .min_by(f64::total_cmp)
            .map(Duration::from_secs_f64)
    }
}

/// The last part of a path, or what the demo photo is called.
pub fn file_name(path: Option<&Path>) -> String {
    path.map_or_else(
        || "Demo photo".to_owned(),
        |path| {
            path.file_name()
                .unwrap_or(path.as_os_str())
                .to_string_lossy()
                .into_owned()
        },
    )
}

/// A message as a sentence: engine messages begin in lower case, since the command line puts "error:" before them. A first
/// word that is a file or a setting keeps its spelling.
pub fn sentence_case(message: &str) -> String {
    let is_word = message
        .split(' ')
        .next()
        .is_some_and(|word| word.chars().all(|letter| letter.is_ascii_lowercase()));
    let mut letters = message.chars();
    match letters.next() {
        Some(first) if is_word => first.to_ascii_uppercase().to_string() + letters.as_str(),
        _ => message.to_owned(),
    }
}
