//! Depth and masks of a plan's photos: which files they are, and that they are there.

use std::path::Path;
use std::sync::Arc;

use mdsd3_render::RenderError;
use mdsd3_render::scene::FittedScene;
use mdsd3_render::weather::{SceneWeather, WeatherLoader, with_depth_beside};
use mdsd3_words::made::EngineKind;
use mdsd3_words::weather::WeatherSettings;

use crate::check::bad;
use crate::plan::Plan;

/// The weather of a plan's photo.
pub(super) struct PhotoWeather {
    /// As a plan has it: paths from its folder, the photo's own files, what isn't there left out.
    pub settings: WeatherSettings,
    /// What a user should know, one sentence each.
    pub notes: Vec<String>,
}

impl PhotoWeather {
    /// The files of a photo of the plan.
    ///
    /// # Errors
    /// Bad input for a photo without a depth map where the plan requires one, and for a mask that isn't there.
    pub fn of(plan: &Plan, scene: usize) -> Result<Self, RenderError> {
        let photo = Path::new(&plan.scenes[scene]);
        let mut settings = plan.run.weather.for_photo(photo);
        let mut notes = Vec::new();
        if let Some(depth) = settings.depth.take_if(|depth| !plan.folder.join(depth).is_file()) {
            if plan.depth_required {
                return Err(bad(format!(
                    "depth: {} has no depth map: {} is not there; add it, or remove depth_required to have it estimated",
                    photo.display(),
                    depth.display()
                )));
            }
            notes.push(format!("{} is not there, so its depth is estimated", depth.display()));
        }
        if settings.depth.is_none() {
            // Found from here, named from the plan's folder.
            let found = with_depth_beside(&WeatherSettings::default(), Some(&plan.scene_path(scene)));
            let name = found.depth.as_ref().and_then(|path| path.file_name());
            settings.depth = name.map(|name| photo.with_file_name(name));
        }
        if plan.depth_required && settings.depth.is_none() {
            return Err(bad(format!(
                "depth: {} has no depth map beside it ({}); add it, or remove the key to have it estimated",
                photo.display(),
                photo.with_extension("depth.png").display()
            )));
        }
        if settings.depth.is_some() {
            notes.clear();
        }
        for region in &settings.regions {
            if !plan.folder.join(&region.mask).is_file() {
                return Err(bad(format!(
                    "where: {} is not there, the mask of {} for {}; add it, or remove the key",
                    region.mask.display(),
                    region.class,
                    photo.display()
                )));
            }
        }
        Ok(Self { settings, notes })
    }

    /// Reads them; paths lead from `folder`.
    ///
    /// # Errors
    /// Bad input that names the file and what is wrong with it.
    pub fn load(
        self,
        fitted: &FittedScene,
        folder: &Path,
        loader: &mut WeatherLoader,
    ) -> Result<SceneWeather, RenderError> {
        let mut found = self.settings.clone();
        found.paths_mut().for_each(|path| *path = folder.join(&path));
        let mut weather = loader.load(fitted, None, &found)?;
        weather.settings = self.settings;
        weather.notes.extend(self.notes);
        Ok(weather)
    }
}

/// Refuses a plan of which a photo lacks what it can't do without, before anything is made.
pub(super) fn check(plan: &Plan) -> Result<(), RenderError> {
    let weather = &plan.run.weather;
    if plan.scenes.len() > 1
        && weather
            .depth
            .as_ref()
            .is_some_and(|depth| *depth == weather.for_photo(Path::new("a.png")).depth.unwrap_or_default())
    {
        return Err(bad(
            "depth: one map can't be that of several photos; name each photo's own with {stem}, such as \"depth/{stem}.png\"".to_owned(),
        ));
    }
    // A mask without its class would do nothing, and nobody would know.
    let classes = plan.classes();
    if let Some(region) = weather.regions.iter().find(|region| !classes.contains(&region.class)) {
        return Err(bad(format!(
            "where: {} has a mask, and no mix names it; add it to the mixes, or remove its mask",
            region.class
        )));
    }
    if plan.depth_required || !weather.regions.is_empty() {
        for scene in 0..plan.scenes.len() {
            PhotoWeather::of(plan, scene)?;
        }
    }
    Ok(())
}

/// A scene's weather, where the plan's engine makes any use of it.
pub(super) fn of_scene(
    plan: &Plan,
    scene: usize,
    fitted: &Arc<FittedScene>,
    loader: &mut WeatherLoader,
) -> Result<Option<SceneWeather>, RenderError> {
    if !needs_weather(plan) {
        return Ok(None);
    }
    PhotoWeather::of(plan, scene)?
        .load(fitted, &plan.folder, loader)
        .map(Some)
}

/// Whether depth and masks decide anything of the plan's files.
pub(super) fn needs_weather(plan: &Plan) -> bool {
    plan.engine == EngineKind::Physical || !plan.run.weather.regions.is_empty() || plan.wants_layers()
}
