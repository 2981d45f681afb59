//! Making an image again from its own PNG.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use mdsd3_render::RenderError;
use mdsd3_render::inspect;
use mdsd3_render::loaded::LoadedModel;
use mdsd3_render::scene::{FittedScene, SceneLoader};
use mdsd3_render::weather::{self, SceneWeather, WeatherLoader};
use mdsd3_words::hash::sha256_of_file;
use mdsd3_words::made::{EngineKind, PairImage, PairSettings, RunSettings};
use mdsd3_words::weather::{WEATHER_VERSION, WeatherSettings};
use mdsd3_words::{ModelSettings, RenderRequest};

use crate::check::bad;
use crate::pair::{self, Maker, SceneInWork};
use crate::plan::{MAX_BATCH, MAX_SIDE_PX};

/// Makes the image of a pair again; the bytes of the whole file.
///
/// # Arguments
/// - `source`: the PNG the settings are from; its photo is looked for from the working folder, then from the PNG's
///   folder upwards
/// - `pair`: what the settings say about the image
///
/// # Errors
/// [`RenderError::BadInput`] when photo or model can't be found or are not those of the PNG.
pub fn pair_file(source: &Path, settings: &RunSettings, pair: &PairSettings) -> Result<Vec<u8>, RenderError> {
    let request = &settings.request;
    check_weather_version(source, pair)?;
    check(settings, pair).map_err(|error| bad(format!("{}: its settings can't be used: {error}", source.display())))?;
    let mut maker = if settings.is_by_model() {
        Maker::Model(Box::new(LoadedModel::load(model_of(source, settings)?)?))
    } else {
        Maker::Physical
    };
    if let Maker::Model(model) = &maker {
        request.check(model.summary())?;
    }
    let photo = scene_of(source, settings)?;
    let multiple_px = maker.size_multiple();
    let fitted = SceneLoader::default().load_cropped(
        photo.as_deref(),
        pair.crop,
        request.scene.size,
        request.scene.fit,
        multiple_px,
    )?;
    if pair.image == PairImage::Gt {
        return pair::encode(&fitted.rgb, settings);
    }
    let weather = weather_of(source, settings, pair, &fitted)?;
    let scene = SceneInWork::new(fitted, weather, false);
    let made = maker.make(request, &scene, pair.batch.unwrap_or(1))?;
    let rgb = pair::image(
        pair.image,
        (&scene, &request.sampling.mix),
        &made,
        maker.decoder().as_ref(),
    )?;
    pair::encode(&rgb, settings)
}

/// What the weather of an image was made of, led to where its files are now; `None` where there was none.
fn weather_of(
    source: &Path,
    settings: &RunSettings,
    pair: &PairSettings,
    fitted: &FittedScene,
) -> Result<Option<SceneWeather>, RenderError> {
    let is_physical = pair.engine == EngineKind::Physical && pair.image != PairImage::Gt;
    if !is_physical && settings.request.weather.regions.is_empty() {
        return Ok(None);
    }
    let found = weather_led(source, &settings.request.weather)?;
    // The depth map beside a photo is named; one that came later isn't what the image was made from.
    let weather = WeatherLoader::default().load(fitted, None, &found)?;
    if weather.sha256 != settings.weather_sha256 {
        return Err(weather_changed(source));
    }
    Ok(Some(weather))
}

/// The weather of an image, led to where its files are now.
fn weather_led(source: &Path, weather: &WeatherSettings) -> Result<WeatherSettings, RenderError> {
    let mut found = weather.clone();
    for path in found.paths_mut() {
        *path = candidates(path, source).next().ok_or_else(|| gone(path, source))?;
    }
    Ok(found)
}

fn weather_changed(source: &Path) -> RenderError {
    bad(format!(
        "{}: its depth map or a mask has changed since it was made; restore it",
        source.display()
    ))
}

/// Refuses what other formulas made: they would give another image.
fn check_weather_version(source: &Path, pair: &PairSettings) -> Result<(), RenderError> {
    if pair.engine != EngineKind::Physical || pair.image == PairImage::Gt {
        return Ok(());
    }
    let version = pair.weather_version.unwrap_or(1);
    if version == WEATHER_VERSION {
        return Ok(());
    }
    let remedy = if version < WEATHER_VERSION {
        "use the program that made it, or make a new image"
    } else {
        "update this program"
    };
    Err(bad(format!(
        "{}: was made by version {version} of the weather's formulas, and this program has version {WEATHER_VERSION}, which gives another image; {remedy}",
        source.display()
    )))
}

/// Holds what an image says to the limits of a plan: a file from anywhere may say anything.
fn check(settings: &RunSettings, pair: &PairSettings) -> Result<(), RenderError> {
    let request = &settings.request;
    request.check_settings()?;
    let sides = [Some(request.scene.size), pair.crop.map(|crop| crop.side_px)];
    if let Some(side) = sides
        .into_iter()
        .flatten()
        .find(|side| !(1..=MAX_SIDE_PX).contains(side))
    {
        return Err(bad(format!("a side of {side} px is outside 1 to {MAX_SIDE_PX}")));
    }
    let batch = pair.batch.unwrap_or(1);
    if !(1..=MAX_BATCH).contains(&batch) {
        return Err(bad(format!("a batch of {batch} pairs is outside 1 to {MAX_BATCH}")));
    }
    if pair.bits != 8 && pair.bits != 16 {
        return Err(bad(format!("{} bits are neither 8 nor 16", pair.bits)));
    }
    Ok(())
}

/// The run of a PNG, led to where its photo and its model are now.
///
/// # Errors
/// [`RenderError::BadInput`] when one of them can't be found or is not that of the PNG.
pub fn run_of(source: &Path, settings: &RunSettings) -> Result<RenderRequest, RenderError> {
    let mut request = settings.request.clone();
    let (scene, model) = (scene_of(source, settings)?, model_of(source, settings)?);
    request.lead_to(scene.as_deref(), &model);
    request.weather = weather_led(source, &request.weather)?;
    if weather::sha256_of_masks(&request.weather)? != settings.weather_sha256 {
        return Err(weather_changed(source));
    }
    Ok(request)
}

/// Where the model of a PNG is; hashed, not loaded, as another would only be loaded in vain.
fn model_of(source: &Path, settings: &RunSettings) -> Result<ModelSettings, RenderError> {
    let wanted = &settings.request.model;
    let mut key = wanted.clone();
    for path in key.paths_mut() {
        *path = candidates(path, source).next().ok_or_else(|| gone(path, source))?;
    }
    let places = match &wanted.path {
        Some(path) => candidates(path, source).map(Some).collect(),
        None => vec![None],
    };
    let mut other = None;
    for path in places {
        key.path = path;
        match inspect::sha256(key.path.as_deref(), &key.parts) {
            Ok(here) if here == settings.model.sha256 => return Ok(key),
            here => other.get_or_insert(here),
        };
    }
    match other {
        Some(Err(error)) => Err(error),
        here => Err(other_model(
            source,
            settings,
            &here.and_then(Result::ok).unwrap_or_default(),
        )),
    }
}

fn other_model(source: &Path, settings: &RunSettings, here: &str) -> RenderError {
    let remedy = match settings.request.model.path {
        Some(_) => "restore its files",
        None => "it is part of the program: use the one that made the image",
    };
    bad(format!(
        "{}: was made by another version of the model {} (hash {:.10}, here {here:.10}), by {}; {remedy}",
        source.display(),
        settings.model.name,
        settings.model.sha256,
        settings.program,
    ))
}

/// The photo a PNG was made from; `None` for the demo photo in the program.
///
/// # Errors
/// [`RenderError::BadInput`] when it is nowhere, or another photo is in its place.
fn scene_of(source: &Path, settings: &RunSettings) -> Result<Option<PathBuf>, RenderError> {
    let Some(path) = &settings.request.scene.path else {
        return Ok(None);
    };
    let mut other = None;
    for candidate in candidates(path, source) {
        if sha256_of_file(&candidate)? == settings.scene_sha256 {
            return Ok(Some(candidate));
        }
        other.get_or_insert(candidate);
    }
    Err(other.map_or_else(
        || gone(path, source),
        |other| {
            bad(format!(
                "{}: is not the photo that {} was made from; restore it",
                other.display(),
                source.display()
            ))
        },
    ))
}

/// Where a path may lead, each place once: from the working folder, then from the PNG's folder and those above it; never to
/// the PNG itself.
fn candidates(path: &Path, source: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let source = source.canonicalize().ok();
    let above: Vec<PathBuf> = source
        .iter()
        .flat_map(|source| source.ancestors().skip(1))
        .map(|folder| folder.join(path))
        .collect();
    let mut met: HashSet<PathBuf> = source.into_iter().collect();
    let is_new = move |place: &PathBuf| place.canonicalize().is_ok_and(|place| met.insert(place));
    std::iter::once(path.to_owned()).chain(above).filter(is_new)
}

fn gone(path: &Path, source: &Path) -> RenderError {
    bad(format!(
        "{}: was made from {}, which is not there; put it back, or run where it can be found",
        source.display(),
        path.display()
    ))
}
