//! The Model pane's behaviour: a draft of what to load, what a look at it found, and loading.

use mdsd3_engine::chores::{Chore, Inspection};
use mdsd3_engine::data::DeviceReport;
use mdsd3_engine::data::MemoryReport;
use mdsd3_engine::protocol::Request;
use mdsd3_words::ModelSettings;
use mdsd3_words::model::ModelPath;

use super::{Effect, Outstanding, State, typed_path};
use crate::notice::Level;

/// How long the draft must rest before the model is looked at.
const LOOK_DELAY_SECS: f64 = 0.5;

/// What is written in the Model pane; empty fields mean "none" or "as in the checkpoint".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelDraft {
    /// Its paths, by [`ModelPath`].
    paths: [String; 6],
    /// Attention heads, for a file whose shapes do not tell them; 0 when they do.
    pub heads: usize,
    /// Compute device.
    pub device: String,
    /// Compute dtype.
    pub dtype: String,
}

impl ModelDraft {
    /// A path of the draft.
    pub fn path(&self, path: ModelPath) -> &str {
        &self.paths[path as usize]
    }

    /// A path of the draft, to be edited.
    pub fn path_mut(&mut self, path: ModelPath) -> &mut String {
        &mut self.paths[path as usize]
    }

    /// The draft that describes a model.
    pub fn of(key: &ModelSettings) -> Self {
        let mut draft = Self {
            heads: key.parts.heads.unwrap_or(0),
            device: key.device.clone(),
            dtype: key.dtype.clone(),
            ..Self::default()
        };
        for kind in ModelPath::ALL {
            let paths = key.paths(kind).into_iter().map(|path| path.display().to_string());
            *draft.path_mut(kind) = paths.collect::<Vec<_>>().join(BETWEEN_PATHS);
        }
        draft
    }

    /// The model that the draft describes.
    pub fn key(&self) -> ModelSettings {
        let mut key = ModelSettings {
            device: self.device.clone(),
            dtype: self.dtype.clone(),
            ..ModelSettings::default()
        };
        key.parts.heads = Some(self.heads).filter(|heads| *heads > 0);
        for kind in ModelPath::ALL {
            let text = self.path(kind);
            let parts: Vec<&str> = if kind.is_list() {
                text.split(BETWEEN_PATHS.trim()).collect()
            } else {
                vec![text]
            };
            let typed = parts.into_iter().filter(|part| !part.trim().is_empty());
            key.set_paths(kind, typed.map(typed_path).collect());
        }
        key
    }
}

/// What stands between the paths of a field that takes several.
const BETWEEN_PATHS: &str = "; ";

/// What the pane knows beside the draft.
#[derive(Debug, Default)]
pub struct ModelDesk {
    /// The draft; the controls edit it.
    pub draft: ModelDraft,
    /// The devices of this machine; empty until they were asked for.
    pub devices: Vec<DeviceReport>,
    /// The newest look at a model, and whether it succeeded.
    looked: Option<(ModelSettings, Result<Box<Inspection>, String>)>,
    asked: Option<ModelSettings>,
    seen: ModelDraft,
    changed_at_secs: f64,
    asked_devices: bool,
    /// Parameters read so far and in all, while a model is loaded.
    loading: Option<(u64, u64)>,
}

/// What a load would take, against what there is.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryVerdict {
    /// Bytes for the weights, a scene and a step.
    pub needed_bytes: u64,
    /// Bytes available; `None` where the system doesn't tell, or for another device than the processor.
    pub available_bytes: Option<u64>,
    /// What to do when it does not fit.
    pub advice: Option<String>,
}

impl State {
    /// To be called while the pane is on screen: looks at the model of a draft that has come to rest, and asks for the
    /// devices once.
    pub fn tend_model_desk(&mut self) {
        if !std::mem::replace(&mut self.desk.asked_devices, true) {
            self.effects
                .push(Effect::Send(Request::Chore(Box::new(Chore::ListDevices))));
        }
        if self.desk.seen != self.desk.draft {
            self.desk.seen = self.desk.draft.clone();
            self.desk.changed_at_secs = self.now_secs;
        }
        let key = self.desk.draft.key();
        let rested = self.now_secs - self.desk.changed_at_secs >= LOOK_DELAY_SECS || self.desk.asked.is_none();
        if rested && self.desk.asked.as_ref() != Some(&key) {
            self.desk.asked = Some(key.clone());
            let chore = Chore::InspectModel(Box::new(key));
            self.effects.push(Effect::Send(Request::Chore(Box::new(chore))));
        }
    }

    /// Whether a look at the draft's model is outstanding.
    pub fn is_looking_at_model(&self) -> bool {
        self.look().is_none()
    }

    /// What a look at the draft's model found.
    pub fn look(&self) -> Option<&Result<Box<Inspection>, String>> {
        let (key, outcome) = self.desk.looked.as_ref()?;
        (*key == self.desk.draft.key()).then_some(outcome)
    }

    /// Whether the draft describes the model that is loaded.
    pub fn draft_is_loaded(&self) -> bool {
        self.model.is_some() && self.desk.draft.key() == self.settings.model
    }

    /// Loads the model of the draft.
    pub fn load_draft(&mut self) {
        let key = self.desk.draft.key();
        self.load_model(key);
        let current = self.undoable();
        self.history.complete(&current);
    }

    /// Loads a model, and shows it in the Model pane.
    pub fn load_as_drafted(&mut self, key: &ModelSettings) {
        self.desk.draft = ModelDraft::of(key);
        self.load_draft();
    }

    /// Goes back to the bundled model: where the present one runs or, when none could be loaded, where it always runs.
    pub fn load_bundled_model(&mut self) {
        let (device, dtype) = match &self.model {
            Some(_) => (self.desk.draft.device.clone(), self.desk.draft.dtype.clone()),
            None => ("cpu".to_owned(), "f32".to_owned()),
        };
        self.load_as_drafted(&ModelSettings {
            device,
            dtype,
            ..ModelSettings::default()
        });
    }

    /// Loads a model in place of the present one.
    pub fn load_model(&mut self, key: ModelSettings) {
        self.stop();
        self.for_each_settings(|settings| {
            settings.model.clone_from(&key);
            if settings.model.parts.adapter.is_none() {
                settings.sampling.adapter_strength = 1.0;
            }
        });
        self.model = None;
        self.desk.loading = None;
        self.outstanding.push_back(Outstanding::Model);
        self.messages
            .record(Level::Info, format!("Loading {}", model_name(&key)));
        self.effects
            .push(Effect::Send(Request::LoadModel { key: Box::new(key) }));
    }

    /// Share of the model that is read, 0 to 1, while one is loaded.
    pub fn load_progress(&self) -> Option<f32> {
        let (done, total) = self.desk.loading.filter(|_| self.is_loading_model())?;
        (total > 0).then(|| (done as f64 / total as f64).min(1.0) as f32)
    }

    /// What the draft's model would take at the Mixer's size and the draft's dtype.
    pub fn memory_verdict(&self) -> Option<MemoryVerdict> {
        let inspection = self.look()?.as_ref().ok()?;
        let row = memory_row(
            &inspection.report.memory,
            &self.desk.draft.dtype,
            self.settings.scene.size,
        )?;
        let needed_bytes = row.weights_bytes + row.scene_bytes + row.working_bytes;
        let on_processor = self.desk.draft.device == "cpu";
        let available_bytes = inspection
            .memory_bytes
            .filter(|_| on_processor)
            .map(|(_, available)| available);
        let is_short = available_bytes.is_some_and(|available| needed_bytes > available);
        Some(MemoryVerdict {
            needed_bytes,
            available_bytes,
            advice: is_short.then(|| self.memory_advice(row)),
        })
    }

    fn memory_advice(&self, row: &MemoryReport) -> String {
        let mut ways = Vec::new();
        if self.desk.draft.dtype == "f32" {
            ways.push("bf16 halves the weights".to_owned());
        }
        if row.size_px > 256 {
            ways.push("a smaller size needs less while working".to_owned());
        }
        ways.push("closing other programs frees memory".to_owned());
        format!("It will probably not fit: {}.", ways.join("; "))
    }

    pub(super) fn model_looked_at(&mut self, key: ModelSettings, outcome: Result<Box<Inspection>, String>) {
        self.desk.looked = Some((key, outcome));
    }

    pub(super) fn model_progress(&mut self, done: u64, total: u64) {
        self.desk.loading = Some((done, total));
    }
}

/// What a model is called while it is loaded.
fn model_name(key: &ModelSettings) -> String {
    key.path
        .as_ref()
        .map_or_else(|| "the bundled model".to_owned(), |path| path.display().to_string())
}

/// The row of a dtype whose size is nearest to `size_px`.
fn memory_row<'a>(rows: &'a [MemoryReport], dtype: &str, size_px: u32) -> Option<&'a MemoryReport> {
    rows.iter()
        .filter(|row| row.dtype == dtype)
        .min_by_key(|row| row.size_px.abs_diff(u64::from(size_px)))
}

#[cfg(test)]
mod tests {

    use mdsd3_engine::protocol::Event;
    use mdsd3_words::{ModelSummary, RenderRequest};

    use super::*;
    use crate::commands::Command;

    #[test]
    fn a_draft_and_the_model_it_describes_agree() {
        let mut draft = ModelDraft {
            heads: 24,
            device: "cuda:0".to_owned(),
            dtype: "bf16".to_owned(),
            ..ModelDraft::default()
        };
        " /models/sd3 ".clone_into(draft.path_mut(ModelPath::Model));
        "'/models/rain.safetensors'".clone_into(draft.path_mut(ModelPath::Adapter));
        let key = draft.key();
        assert_eq!(key.path.as_deref(), Some(std::path::Path::new("/models/sd3")));
        assert_eq!((key.parts.heads, key.parts.vae.clone()), (Some(24), None));
        assert_eq!(ModelDraft::of(&key).key(), key);
    }

    #[test]
    fn the_nearest_size_is_taken_for_the_estimate() {
        let row = |dtype, size_px| MemoryReport {
            dtype,
            size_px,
            weights_bytes: 1,
            scene_bytes: 1,
            working_bytes: 1,
        };
        let rows = [row("f32", 512), row("f32", 1024), row("bf16", 512)];
        assert_eq!(memory_row(&rows, "f32", 900).map(|row| row.size_px), Some(1024));
        assert_eq!(memory_row(&rows, "bf16", 900).map(|row| row.size_px), Some(512));
        assert_eq!(memory_row(&rows, "f16", 900), None);
    }

    #[test]
    fn after_a_failure_the_bundled_model_is_the_way_out() {
        let model = ModelSettings {
            path: Some("sd3".into()),
            device: "cuda:0".to_owned(),
            dtype: "bf16".to_owned(),
            ..ModelSettings::default()
        };
        let mut state = State::new(RenderRequest {
            model,
            ..RenderRequest::default()
        });
        state.take_effects();
        let message = "no device cuda:0".to_owned();
        state.apply(Event::Failed { run: None, message });
        assert_eq!(state.messages.notices[0].action, Some(Command::LoadBundledModel));
        state.load_bundled_model();
        let loaded = state.take_effects().into_iter().find_map(|effect| match effect {
            Effect::Send(Request::LoadModel { key }) => Some(*key),
            _ => None,
        });
        assert_eq!(
            loaded,
            Some(ModelSettings::default()),
            "and on a device that is always there"
        );
        state.apply(Event::ModelLoaded(ModelSummary::default()));
        assert!(state.messages.notices.is_empty(), "what failed is made up for");
    }
}
