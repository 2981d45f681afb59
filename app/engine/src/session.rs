//! A session: the model and the scene in memory, and runs on them. Synchronous; the worker thread owns one, the command
//! line drives one directly.

use std::path::Path;
use std::sync::Arc;

use mdsd3_model::io::photo::scene_key;

use crate::degrade;
use crate::error::EngineError;
use crate::frames::{self, Decoded};
use crate::kept_steps::KeptSteps;
use crate::lanes::{self, LanesOutput};
use crate::loaded::{LoadedModel, ModelKey};
use crate::render::{RenderObserver, RenderOutput};
use crate::request::{Fit, RenderRequest};
use crate::scene::{FittedScene, SceneLoader};

/// The largest side a photo is fitted to for viewing, in pixels.
const MAX_VIEW_PX: u32 = 8192;

/// Keeps a model, a scene and the steps of late runs between runs.
#[derive(Default)]
pub struct Session {
    model: Option<LoadedModel>,
    scenes: SceneLoader,
    kept: KeptSteps,
}

impl Session {
    /// A session without a model; the first use loads one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The model in memory, if any.
    pub fn model(&self) -> Option<&LoadedModel> {
        self.model.as_ref()
    }

    /// Makes the model of `key` the one in memory; true when it had to be loaded.
    ///
    /// When loading fails the model before it is gone too: the two might not fit in memory together.
    pub fn load_model(&mut self, key: &ModelKey) -> Result<bool, EngineError> {
        let known = self.model.as_ref().is_some_and(|model| model.key() == key);
        ensure_model(&mut self.model, key)?;
        Ok(!known)
    }

    /// Renders a request; `None` when the observer stopped it.
    ///
    /// Settings are checked first, then the model is loaded (unless it is the one in memory), then the photo; nothing is
    /// computed before all three are found good.
    ///
    /// # Errors
    /// [`EngineError`]; `is_bad_input` tells mistakes in the request, photo or checkpoint from failures.
    pub fn render(
        &mut self,
        request: &RenderRequest,
        observer: &mut dyn RenderObserver,
    ) -> Result<Option<RenderOutput>, EngineError> {
        let output = self.render_lanes(std::slice::from_ref(request), observer)?;
        Ok(output.and_then(Into::into))
    }

    /// Renders several requests side by side, batched where they share their sampling settings; `None` when the observer
    /// stopped the run.
    ///
    /// # Errors
    /// As [`Self::render`]; [`EngineError::BadInput`] too when the requests differ in photo, size or model.
    pub fn render_lanes(
        &mut self,
        requests: &[RenderRequest],
        observer: &mut dyn RenderObserver,
    ) -> Result<Option<LanesOutput>, EngineError> {
        let first = lanes::check_together(requests)?;
        let mut kept = std::mem::take(&mut self.kept);
        let (model, scene) = self.prepare(first)?;
        for request in requests {
            request.check(model.summary())?;
        }
        let output = lanes::render(requests, model, &scene, &mut kept, observer);
        self.kept = kept;
        output
    }

    /// Degrades the photo of a request by formulas, at the size of a mix: the physical baseline, and the SHA-256 of the
    /// photo's file.
    ///
    /// # Errors
    /// [`EngineError`] for a photo that can't be read and for classes without a formula.
    pub fn physical_baseline(&mut self, request: &RenderRequest) -> Result<(Decoded, String), EngineError> {
        let (_, scene) = self.prepare(request)?;
        let degraded = degrade::baseline(&scene.rgb, scene_key(&scene.rgb), &request.mix, request.seed)?;
        let decoded = frames::from_rgb(&degraded.image)?;
        Ok((decoded, scene.key.content_sha256()))
    }

    /// Checks a request, loads its model and its photo.
    pub(crate) fn prepare(
        &mut self,
        request: &RenderRequest,
    ) -> Result<(&mut LoadedModel, Arc<FittedScene>), EngineError> {
        request.check_settings()?;
        let model = ensure_model(&mut self.model, &request.model_key())?;
        request.check(model.summary())?;
        let summary = model.summary();
        let scene = self.scenes.load(
            request.scene.as_deref(),
            request.size,
            request.fit,
            summary.size_multiple,
        )?;
        check_longer_side(&scene, summary.max_size)?;
        Ok((model, scene))
    }

    /// Loads and fits a photo for viewing, without a model.
    pub fn open_scene(&mut self, path: Option<&Path>, size_px: u32, fit: Fit) -> Result<Arc<FittedScene>, EngineError> {
        if !(1..=MAX_VIEW_PX).contains(&size_px) {
            return Err(EngineError::BadInput(format!(
                "size {size_px} is outside 1 to {MAX_VIEW_PX} px"
            )));
        }
        let multiple_px = self.model.as_ref().map_or(1, |model| model.summary().size_multiple);
        self.scenes.load(path, size_px, fit, multiple_px)
    }
}

/// The model of `key`: the one in `slot`, or a newly loaded one that takes its place.
fn ensure_model<'a>(slot: &'a mut Option<LoadedModel>, key: &ModelKey) -> Result<&'a mut LoadedModel, EngineError> {
    let model = match slot.take().filter(|model| model.key() == key) {
        Some(model) => model,
        None => LoadedModel::load(key.clone())?,
    };
    Ok(slot.insert(model))
}

/// With [`Fit::Aspect`] a long photo can outgrow the model though its shorter side fits.
fn check_longer_side(scene: &FittedScene, max_px: u32) -> Result<(), EngineError> {
    let longer_px = scene.rgb.width().max(scene.rgb.height());
    if longer_px <= max_px {
        return Ok(());
    }
    Err(EngineError::BadInput(format!(
        "the scene's longer side would be {longer_px} px and this model's largest is {max_px}; lower the size or use the square fit"
    )))
}
