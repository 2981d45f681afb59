//! Plans out of a run: what the studio's queue writes.

use std::path::Path;

use mdsd3_model::pair_layout::LayoutKind;
use mdsd3_render::RenderError;
use mdsd3_words::made::EngineKind;
use mdsd3_words::settings::Settings;
use mdsd3_words::weather::{ClassMask, WeatherSettings};
use mdsd3_words::{MAX_RATIO, Mix, RenderRequest};
use serde_json::{Map, Value as Json};
use toml::{Table, Value};

use super::read::run_keys;
use crate::check::bad;

/// A dataset around one mix.
#[derive(Debug, Clone, PartialEq)]
pub struct GridRequest {
    /// The run in the middle: photo, mix, seed and every setting.
    pub run: RenderRequest,
    /// Photos, absolute, or relative to the plan's folder.
    pub scenes: Vec<String>,
    /// What makes the degraded image.
    pub engine: EngineKind,
    /// Where files go.
    pub layout: LayoutKind,
    /// Factors on every ratio of the mix; their combinations are a grid. `[1]` is the mix alone.
    pub factors: Vec<f32>,
    /// Seeds, from the run's on.
    pub seeds: u64,
}

/// `scenes` of a plan for one photo, or for all photos in its folder; none for the demo photo.
pub fn scene_patterns(photo: Option<&Path>, whole_folder: bool) -> Vec<String> {
    let Some(photo) = photo.and_then(|photo| std::path::absolute(photo).ok()) else {
        return Vec::new();
    };
    // Brackets in names are no patterns.
    let escaped = |path: &Path| {
        let text = path.to_string_lossy();
        if text.contains(['*', '?', '[']) {
            glob::Pattern::escape(&text)
        } else {
            text.into_owned()
        }
    };
    match photo.parent().filter(|_| whole_folder) {
        Some(folder) => vec![format!("{}/*", escaped(folder))],
        None => vec![escaped(&photo)],
    }
}

/// The text of a plan file.
///
/// # Errors
/// [`RenderError::BadInput`] when there is no photo or no factor.
pub fn grid_plan(request: &GridRequest) -> Result<String, RenderError> {
    if request.scenes.is_empty() || request.factors.is_empty() {
        return Err(bad(
            "a queue entry needs a photo and a mix; open a photo first".to_owned()
        ));
    }
    let mut table = Table::new();
    let (engine, layout) = (toml_of(&request.engine)?, toml_of(&request.layout)?);
    table.insert("engine".to_owned(), engine);
    table.insert("layout".to_owned(), layout);
    table.insert("scenes".to_owned(), toml_of(&request.scenes)?);
    let seeds: Vec<u64> = (0..request.seeds.max(1))
        .map(|offset| request.run.sampling.seed.saturating_add(offset))
        .collect();
    table.insert("seeds".to_owned(), toml_of(&seeds)?);
    table.insert("size".to_owned(), toml_of(&request.run.scene.size)?);
    if request.engine == EngineKind::Mdsd3 {
        table.insert(
            "alpha_beta".to_owned(),
            Value::Array(vec![Value::Array(vec![
                decimal(request.run.sampling.alpha)?,
                decimal(request.run.sampling.beta)?,
            ])]),
        );
        let changed = changed(&request.run).map_err(|error| bad(format!("the plan can't be written ({error})")))?;
        for (key, value) in changed {
            if key != "size" && run_keys().any(|known| known == key) && !WeatherSettings::keys().contains(&key.as_str())
            {
                table.insert(key, toml_of(&value)?);
            }
        }
    }
    let weather = weather_keys(request)?;
    // Tables come last in TOML, a list of them too.
    table.extend(weather);
    table.insert(
        "mixes".to_owned(),
        Value::Array(vec![grid(&request.run.sampling.mix, &request.factors)?]),
    );
    toml::to_string(&table).map_err(|error| bad(format!("the plan can't be written ({error})")))
}

/// What a plan says of its weather, as far as its engine makes use of it. A depth map or a mask is that of one photo: of a whole folder
/// only maps beside the photos count.
fn weather_keys(request: &GridRequest) -> Result<Table, RenderError> {
    let mut weather = request.run.weather.clone();
    let is_one_photo = matches!(request.scenes.as_slice(), [one] if !one.ends_with('*'));
    if !is_one_photo {
        weather.depth = None;
        weather.regions.clear();
    }
    let mut masks = std::mem::take(&mut weather.regions);
    // A plan refuses a mask of a class that it doesn't have.
    masks.retain(|mask| request.run.sampling.mix.ratio(&mask.class) > 0.0);
    if request.engine == EngineKind::Mdsd3 {
        weather = WeatherSettings::default();
    }
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    weather.paths_mut().for_each(|path| *path = absolute(path));
    let run = RenderRequest {
        weather,
        ..RenderRequest::default()
    };
    let mut table = Table::new();
    for (key, value) in changed(&run).map_err(|error| bad(format!("the plan can't be written ({error})")))? {
        table.insert(key, toml_of(&value)?);
    }
    if !masks.is_empty() {
        let mask = |mask: &ClassMask| {
            (
                mask.class.clone(),
                absolute(&mask.mask).to_string_lossy().into_owned().into(),
            )
        };
        table.insert("where".to_owned(), Value::Table(masks.iter().map(mask).collect()));
    }
    Ok(table)
}

/// The settings of a run that are not at their defaults.
pub(super) fn changed(run: &RenderRequest) -> serde_json::Result<Map<String, Json>> {
    let (run, default) = (as_map(run)?, as_map(&RenderRequest::default())?);
    Ok(run
        .into_iter()
        .filter(|(key, value)| default.get(key) != Some(value))
        .map(|(key, value)| (key, rounded(value)))
        .collect())
}

fn as_map(run: &RenderRequest) -> serde_json::Result<Map<String, Json>> {
    match serde_json::to_value(run)? {
        Json::Object(map) => Ok(map),
        _ => Ok(Map::new()),
    }
}

/// JSON numbers are doubles: a single-precision 0.3 comes back as it was typed.
fn rounded(value: Json) -> Json {
    match value.as_f64() {
        Some(wide) if value.is_f64() => (wide as f32).to_string().parse::<f64>().map_or(value, Json::from),
        _ => value,
    }
}

/// Every ratio above 0 with its factors, held to the largest ratio and without repetitions.
fn grid(mix: &Mix, factors: &[f32]) -> Result<Value, RenderError> {
    let mut classes = Table::new();
    for (class, ratio) in mix.active() {
        // Three digits, as the sliders show: 0.7 * 0.5 is 0.35 and not 0.35000002.
        let held = |factor: &f32| (ratio * factor * 1000.0).round().min(MAX_RATIO * 1000.0) / 1000.0;
        let mut ratios: Vec<f32> = factors.iter().map(held).collect();
        ratios.sort_by(f32::total_cmp);
        ratios.dedup();
        let value = match ratios[..] {
            [one] => decimal(one)?,
            _ => Value::Array(ratios.into_iter().map(decimal).collect::<Result<_, _>>()?),
        };
        classes.insert(class.to_owned(), value);
    }
    if classes.is_empty() {
        return Err(bad(
            "no class is above 0, so there is nothing to export; raise one in the Mixer".to_owned(),
        ));
    }
    Ok(Value::Table(classes))
}

fn decimal(value: f32) -> Result<Value, RenderError> {
    let wide = value.to_string().parse::<f64>();
    Ok(Value::Float(
        wide.map_err(|_| bad(format!("{value} is no number for a plan")))?,
    ))
}

fn toml_of<T: serde::Serialize>(value: &T) -> Result<Value, RenderError> {
    Value::try_from(value).map_err(|error| bad(format!("the plan can't be written ({error})")))
}
