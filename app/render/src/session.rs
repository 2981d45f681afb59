//! A session: the model and the scene in memory, and runs on them. Synchronous; the worker thread owns one, the command
//! line drives one directly.

use std::path::Path;
use std::sync::Arc;

use mdsd3_model::io::photo::scene_key;
use mdsd3_weather::{Degraded, Region};
use mdsd3_words::image::{DepthView, LayerView};
use mdsd3_words::weather::{MapFormat, WeatherSettings};
use mdsd3_words::{CheckedRequest, Fit, ModelSettings, ModelSummary, RenderRequest, SceneSettings};

use crate::degrade;
use crate::error::RenderError;
use crate::frames::{self, Decoded};
use crate::kept_steps::KeptSteps;
use crate::lanes::{self, LanesOutput, RenderOutput};
use crate::loaded::LoadedModel;
use crate::regions;
use crate::run::RenderObserver;
use crate::scene::{FittedScene, SceneLoader};
use crate::weather::{self, SceneWeather, WeatherLoader};

/// The largest side a photo is fitted to for viewing, in pixels.
const MAX_VIEW_PX: u32 = 8192;

/// Keeps a model, a scene and the steps of late runs between runs.
#[derive(Default)]
pub struct Session {
    model: Option<LoadedModel>,
    scenes: SceneLoader,
    kept: KeptSteps,
    weather: WeatherLoader,
}

/// A physical baseline.
#[derive(Debug, Clone)]
pub struct Baseline {
    /// The image with its spectrum.
    pub result: Decoded,
    /// SHA-256 of the photo's file in hexadecimal digits.
    pub scene_sha256: String,
    /// The settings of its weather, with the depth map that was found beside the photo: what restores it.
    pub weather: WeatherSettings,
    /// SHA-256 over the files of these settings; `None` without any.
    pub weather_sha256: Option<String>,
    /// What a user should know of depth and masks, one sentence each.
    pub notes: Vec<String>,
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
    pub fn load_model(&mut self, key: &ModelSettings) -> Result<bool, RenderError> {
        let known = self.model.as_ref().is_some_and(|model| model.key() == key);
        ensure_model(&mut self.model, key)?;
        Ok(!known)
    }

    /// Renders a request; `None` when the observer stopped it.
    ///
    /// The model is loaded (unless it is the one in memory), then settings are checked against it, then the photo is loaded; nothing is
    /// computed before all three are found good.
    ///
    /// # Errors
    /// [`RenderError`]; `is_bad_input` tells mistakes in the request, photo or checkpoint from failures.
    pub fn render(
        &mut self,
        request: &RenderRequest,
        observer: &mut dyn RenderObserver,
    ) -> Result<Option<RenderOutput>, RenderError> {
        let output = self.render_lanes(&[request], observer)?;
        Ok(output.and_then(Into::into))
    }

    /// Renders several requests side by side, batched where they share their sampling settings; `None` when the observer
    /// stopped the run.
    ///
    /// # Errors
    /// As [`Self::render`]; [`RenderError::BadInput`] too when the requests differ in photo, size or model.
    pub fn render_lanes(
        &mut self,
        requests: &[&RenderRequest],
        observer: &mut dyn RenderObserver,
    ) -> Result<Option<LanesOutput>, RenderError> {
        let first = lanes::check_together(requests)?;
        let model = ensure_model(&mut self.model, &first.model)?;
        let checked = requests.iter().map(|request| check(request, model.summary()));
        let requests: Vec<CheckedRequest<'_>> = checked.collect::<Result<_, _>>()?;
        let scene = load_scene(&mut self.scenes, requests[0], model.summary())?;
        let regions = requests
            .iter()
            .map(|request| weather::regions_of(&request.weather, &scene));
        let regions: Vec<Vec<Region>> = regions.collect::<Result<_, _>>()?;
        lanes::render((&requests, &regions), model, &scene, &mut self.kept, observer)
    }

    /// Degrades the photo of a request by formulas, at the size of a mix.
    ///
    /// # Errors
    /// [`RenderError`] for a photo that can't be read, its depth and masks likewise, and for classes without a formula.
    pub fn physical_baseline(&mut self, request: &RenderRequest) -> Result<Baseline, RenderError> {
        let (scene, weather, degraded) = self.degraded(request, false)?;
        Ok(Baseline {
            result: frames::from_rgb(&degraded.image)?,
            scene_sha256: scene.key.content_sha256(),
            weather: weather.settings,
            weather_sha256: weather.sha256,
            notes: weather.notes,
        })
    }

    /// The maps of a physical baseline: depth, sky, and what each class did.
    ///
    /// # Errors
    /// As [`Self::physical_baseline`].
    pub fn physical_layers(&mut self, request: &RenderRequest) -> Result<Vec<LayerView>, RenderError> {
        let (_, weather, degraded) = self.degraded(request, true)?;
        Ok(weather::layer_views(
            &weather.depth,
            degraded.steps.as_deref().unwrap_or_default(),
        ))
    }

    /// Writes them into a folder, with a file that says what they are and how they are put together.
    ///
    /// # Errors
    /// As [`Self::physical_baseline`], and what the file system reports.
    pub fn save_layers(&mut self, request: &RenderRequest, folder: &Path) -> Result<(), RenderError> {
        let (scene, weather, degraded) = self.degraded(request, true)?;
        weather::write_layers((&scene.rgb, &weather.depth), &degraded, (folder, MapFormat::default()))
    }

    fn degraded(
        &mut self,
        request: &RenderRequest,
        keeps_layers: bool,
    ) -> Result<(Arc<FittedScene>, SceneWeather, Degraded), RenderError> {
        let model = ensure_model(&mut self.model, &request.model)?;
        let checked = request.check_by_formula(model.summary(), &degrade::CLASSES)?;
        let scene = load_scene(&mut self.scenes, checked, model.summary())?;
        let weather = self
            .weather
            .load(&scene, request.scene.path.as_deref(), &request.weather)?;
        let drawn = (&request.sampling.mix, request.sampling.seed);
        let degraded = degrade::baseline(&scene.rgb, scene_key(&scene.rgb), drawn, &weather, keeps_layers)?;
        Ok((scene, weather, degraded))
    }

    /// How far away everything in a scene of `photo` is (`None` for the demo photo), by the settings of its weather, and where
    /// its classes act: a mask for each region.
    ///
    /// # Errors
    /// Bad input that names a file of these settings and what is wrong with it.
    pub fn scene_weather(
        &mut self,
        scene: &FittedScene,
        photo: Option<&Path>,
        settings: &WeatherSettings,
    ) -> Result<(DepthView, Vec<LayerView>), RenderError> {
        let weather = self.weather.load(scene, photo, settings)?;
        Ok((weather::depth_view(&weather), weather::region_views(&weather)))
    }

    /// Loads the model and the photo of a request, and checks it.
    pub fn prepare<'a>(
        &mut self,
        request: &'a RenderRequest,
    ) -> Result<(&mut LoadedModel, Arc<FittedScene>, CheckedRequest<'a>), RenderError> {
        let model = ensure_model(&mut self.model, &request.model)?;
        let request = check(request, model.summary())?;
        let scene = load_scene(&mut self.scenes, request, model.summary())?;
        Ok((model, scene, request))
    }

    /// Loads and fits a photo for viewing, without a model.
    pub fn open_scene(&mut self, path: Option<&Path>, size_px: u32, fit: Fit) -> Result<Arc<FittedScene>, RenderError> {
        if !(1..=MAX_VIEW_PX).contains(&size_px) {
            return Err(RenderError::BadInput(format!(
                "size {size_px} is outside 1 to {MAX_VIEW_PX} px"
            )));
        }
        let multiple_px = self.model.as_ref().map_or(1, |model| model.summary().size_multiple);
        self.scenes.load(path, size_px, fit, multiple_px)
    }
}

/// The model of `key`: the one in `slot`, or a newly loaded one that takes its place.
fn ensure_model<'a>(
    slot: &'a mut Option<LoadedModel>,
    key: &ModelSettings,
) -> Result<&'a mut LoadedModel, RenderError> {
    let model = match slot.take().filter(|model| model.key() == key) {
        Some(model) => model,
        None => LoadedModel::load(key.clone())?,
    };
    Ok(slot.insert(model))
}

/// A request that its model can do.
fn check<'a>(request: &'a RenderRequest, model: &ModelSummary) -> Result<CheckedRequest<'a>, RenderError> {
    degrade::check_classes(&request.sampling.mix, &model.classes, "mdsd3 degrade")?;
    regions::check_classes(request, &model.classes)?;
    Ok(request.check(model)?)
}

/// The photo of a request, fitted.
fn load_scene(
    scenes: &mut SceneLoader,
    request: CheckedRequest<'_>,
    model: &ModelSummary,
) -> Result<Arc<FittedScene>, RenderError> {
    let SceneSettings { path, size, fit } = &request.request().scene;
    let scene = scenes.load(path.as_deref(), *size, *fit, model.size_multiple)?;
    check_longer_side(&scene, model.max_size)?;
    Ok(scene)
}

/// With [`Fit::Aspect`] a long photo can outgrow the model though its shorter side fits.
fn check_longer_side(scene: &FittedScene, max_px: u32) -> Result<(), RenderError> {
    let longer_px = scene.rgb.width().max(scene.rgb.height());
    if longer_px <= max_px {
        return Ok(());
    }
    Err(RenderError::BadInput(format!(
        "the scene's longer side would be {longer_px} px and this model's largest is {max_px}; lower the size or use the square fit"
    )))
}
