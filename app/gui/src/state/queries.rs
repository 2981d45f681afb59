//! What views ask.

use mdsd3_engine::protocol::{RunId, StepFrame};
use mdsd3_engine::request::RenderRequest;

use super::{Outstanding, State};

impl State {
    /// Class names in checkpoint order; empty until a model is loaded.
    pub fn classes(&self) -> &[String] {
        self.model.as_ref().map_or(&[], |model| model.classes.as_slice())
    }

    /// The step that is shown.
    pub fn shown_step(&self) -> Option<usize> {
        self.lane.as_ref().and_then(|lane| lane.step_at(self.cursor))
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

    /// The window's title: photo, mix and seed.
    pub fn window_title(&self) -> String {
        let Some(scene) = &self.scene else {
            return "MDSD3 Studio".to_owned();
        };
        let active: Vec<String> = self
            .settings
            .mix
            .active()
            .map(|(class, ratio)| format!("{class}={ratio}"))
            .collect();
        let mix = if active.is_empty() {
            "no class".to_owned()
        } else {
            active.join(",")
        };
        format!("{}: {mix}, seed {} · MDSD3 Studio", scene.name(), self.settings.seed)
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
}
