//! What the studio knows and how it reacts: no drawing, no threads, no clock of its own.
//!
//! Engine events and user actions come in; what the engine shall do comes out of [`State::take_effects`]. Views read the
//! state and call its actions. So every behaviour that matters (what a Stop does, what happens to a slider moved during a
//! run) is tested here without a window.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mdsd3_engine::protocol::{
    CancelReason, Event, ModelSummary, Request, Rgba8, RunId, SpectrumFrame, StepFrame, StepView,
};
use mdsd3_engine::request::RenderRequest;

use crate::commands::Command;
use crate::lane::{Cursor, Lane};
use crate::notice::{Level, Log, Notice};
use crate::run::ActiveRun;

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
    /// What the next run will do; the sliders edit this.
    pub settings: RenderRequest,
    /// Whether Mix keeps the seed (else each Mix draws another).
    pub seed_locked: bool,
    /// The loaded model.
    pub model: Option<ModelSummary>,
    /// The loaded photo.
    pub scene: Option<Scene>,
    /// The run that is going on.
    pub active: Option<ActiveRun>,
    /// The run that is shown: the active one once it has an image, until then the one before.
    pub lane: Option<Lane>,
    /// Which step is shown.
    pub cursor: Cursor,
    /// Which image of a step is shown.
    pub view: ViewChoice,
    /// Messages over the viewport, oldest first.
    pub notices: Vec<Notice>,
    /// All messages.
    pub log: Log,
    /// Photos opened lately, newest first.
    pub recent: Vec<PathBuf>,
    outstanding: VecDeque<Outstanding>,
    next_run: RunId,
    seed_stream: u64,
    rerun_at_secs: Option<f64>,
    now_secs: f64,
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
    /// A studio that waits for the engine's model, which loads by itself, and asks for `settings.scene`.
    pub fn new(settings: RenderRequest) -> Self {
        let mut state = Self {
            settings,
            seed_locked: true,
            ..Self::default()
        };
        state.outstanding.push_back(Outstanding::Model);
        state.open_scene(state.settings.scene.clone());
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
        self.notices.retain(|notice| !notice.is_over(now_secs));
        if self.rerun_at_secs.is_some_and(|at| at <= now_secs) && self.active.is_none() {
            self.rerun_at_secs = None;
            self.start_run();
        }
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
        wait.into_iter()
            .chain(expiry)
            .min_by(f64::total_cmp)
            .map(Duration::from_secs_f64)
    }

    // ---- What the user does ----

    /// Runs the mix with the settings shown; a run that is going on is replaced.
    pub fn mix(&mut self) {
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
        if self.settings.size != size_px {
            self.settings.size = size_px;
            self.open_scene(self.settings.scene.clone());
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
        if let Err(error) = self.settings.mix.set(class, ratio) {
            self.log.push(self.now_secs, Level::Warning, error.to_string());
        }
    }

    /// Loads a photo; `None` is the demo photo.
    pub fn open_scene(&mut self, path: Option<PathBuf>) {
        self.outstanding.push_back(Outstanding::Scene(path.clone()));
        self.effects.push(Effect::Send(Request::OpenScene {
            path,
            size: self.settings.size,
        }));
    }

    /// Saves the finished image.
    pub fn save_result(&mut self, path: PathBuf) {
        let Some(run) = self.finished_run() else {
            self.notify(
                Level::Warning,
                "nothing to save yet: press Mix and wait for the result",
                None,
            );
            return;
        };
        self.outstanding.push_back(Outstanding::Save(path.clone()));
        self.effects.push(Effect::Send(Request::SaveResult { run, path }));
    }

    /// Moves the step cursor.
    pub fn step_by(&mut self, delta: isize) {
        let Some((shown, last)) = self
            .shown_step()
            .zip(self.lane.as_ref().and_then(|lane| lane.newest(self.view.step_view())))
        else {
            return;
        };
        let target = shown.saturating_add_signed(delta).min(last);
        self.show_step(target);
    }

    /// Shows a step; the newest one is followed from then on.
    pub fn show_step(&mut self, step: usize) {
        let newest = self.lane.as_ref().and_then(|lane| lane.newest(self.view.step_view()));
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

    /// Shows a message over the viewport and keeps it in the log.
    pub fn notify(&mut self, level: Level, message: impl Into<String>, action: Option<(Command, &'static str)>) {
        let message = message.into();
        self.log.push(self.now_secs, level, message.clone());
        self.notices.retain(|notice| notice.message != message);
        let (action, action_label) = action.map_or((None, ""), |(command, label)| (Some(command), label));
        self.notices.push(Notice {
            level,
            message,
            action,
            action_label,
            since_secs: self.now_secs,
        });
        // More than three hide the image that they are about; the log has them all.
        if self.notices.len() > 3 {
            self.notices.remove(0);
        }
    }

    /// An effect could not be carried out.
    pub fn effect_failed(&mut self, effect: &Effect, message: String) {
        match effect {
            Effect::Send(Request::Render { run, .. })
                if self.active.as_ref().is_some_and(|active| active.run == *run) =>
            {
                self.active = None;
            }
            Effect::Send(_) => {
                self.outstanding.pop_back();
            }
            Effect::Cancel(_) => {}
        }
        self.notify(Level::Error, message, None);
    }

    // ---- What the engine says ----

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

    // ---- What views ask ----

    /// Class names in checkpoint order; empty until a model is loaded.
    pub fn classes(&self) -> &[String] {
        self.model.as_ref().map_or(&[], |model| model.classes.as_slice())
    }

    /// The step that is shown.
    pub fn shown_step(&self) -> Option<usize> {
        self.lane
            .as_ref()
            .and_then(|lane| lane.step_at(self.cursor, self.view.step_view()))
    }

    /// The decoded step that is shown.
    pub fn shown_frame(&self) -> Option<&StepFrame> {
        let step = self.shown_step()?;
        self.lane.as_ref()?.frame(step, self.view.step_view())
    }

    /// Whether the shown run was made with other settings than those on the sliders.
    pub fn result_is_stale(&self) -> bool {
        self.lane.as_ref().is_some_and(|lane| lane.request != self.request())
    }

    /// The request that Mix would send.
    pub fn request(&self) -> RenderRequest {
        RenderRequest {
            scene: self.scene.as_ref().and_then(|scene| scene.path.clone()),
            ..self.settings.clone()
        }
    }

    /// Why Mix can't run now; `None` when it can.
    pub fn mix_blocker(&self) -> Option<String> {
        let Some(model) = &self.model else {
            return Some(
                if self.is_loading_model() {
                    "The model is being loaded"
                } else {
                    "No model is loaded"
                }
                .to_owned(),
            );
        };
        if self.scene.is_none() {
            return Some(
                if self.is_loading_scene() {
                    "The photo is being loaded"
                } else {
                    "Open a photo first"
                }
                .to_owned(),
            );
        }
        self.request().check(model).err().map(|error| error.one_line())
    }

    /// Whether a result can be saved.
    pub fn finished_run(&self) -> Option<RunId> {
        self.lane
            .as_ref()
            .filter(|lane| lane.elapsed_secs.is_some())
            .map(|lane| lane.run)
    }

    /// Whether the model's answer is outstanding.
    pub fn is_loading_model(&self) -> bool {
        self.outstanding.contains(&Outstanding::Model)
    }

    /// Whether a photo's answer is outstanding.
    pub fn is_loading_scene(&self) -> bool {
        self.outstanding
            .iter()
            .any(|pending| matches!(pending, Outstanding::Scene(_)))
    }

    /// Whether a run is going on or about to start again.
    pub fn is_busy(&self) -> bool {
        self.active.is_some() || self.rerun_at_secs.is_some()
    }

    // ---- Inside ----

    fn start_run(&mut self) {
        if let Some(blocker) = self.mix_blocker() {
            self.notify(Level::Warning, blocker, None);
            return;
        }
        self.notices.retain(|notice| notice.level < Level::Warning);
        let request = self.request();
        let run = self.next_run;
        self.next_run += 1;
        self.active = Some(ActiveRun::new(run, request.clone()));
        self.effects.push(Effect::Send(Request::Render {
            run,
            request: Box::new(request),
        }));
    }

    fn supersede(&mut self, delay_secs: f64) {
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
        self.settings.seed = (mixed ^ (mixed >> 27)) % 1_000_000;
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
                "Model loaded: {}, {} parameters, classes {}",
                summary.name,
                summary.parameters,
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

    /// Removes the oldest outstanding request that `matches`.
    fn settle(&mut self, matches: impl Fn(&Outstanding) -> bool) {
        if let Some(index) = self.outstanding.iter().position(matches) {
            self.outstanding.remove(index);
        }
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

fn remember(recent: &mut Vec<PathBuf>, path: &Path) {
    recent.retain(|known| known != path);
    recent.insert(0, path.to_owned());
    recent.truncate(RECENT_PHOTOS);
}
