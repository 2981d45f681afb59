//! Reading a plan: key by key, so that a message names the one that is wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mdsd3_model::io::find::Found;
use mdsd3_model::pair_layout::LayoutKind;
use mdsd3_render::RenderError;
use mdsd3_words::error::one_line;
use mdsd3_words::made::{EngineKind, ImageFormat};
use mdsd3_words::settings::Settings;
use mdsd3_words::weather::WeatherSettings;
use mdsd3_words::{Mix, RenderRequest};
use serde::Deserialize;
use toml::{Table, Value};

use super::{CropSpec, Extra, LqKind, MAX_JOBS, Plan};
use crate::check::{bad, check_keys, get, typed};
use crate::mixes::{self, MixSpec};
use crate::scenes;

/// Keys of a plan beside those of its runs.
const PLAN_KEYS: [&str; 14] = [
    "engine",
    "layout",
    "scenes",
    "mixes",
    "seeds",
    "alpha_beta",
    "crop",
    "split",
    "save",
    "pairs",
    "names",
    "shard_pairs",
    "batch",
    "depth_required",
];

/// Settings of a run that a plan doesn't have: photo, mix, alpha, beta and seed are in the plural here, nobody looks at previews,
/// and no pair branches from another.
const EACH_JOBS_OWN: [&str; 7] = ["scene", "mix", "alpha", "beta", "seed", "preview_vae", "branch"];

/// Keys that are a [`RenderRequest`]'s: all of its settings but each job's own.
pub(super) fn run_keys() -> impl Iterator<Item = &'static str> {
    let keys = RenderRequest::keys().iter().copied();
    keys.filter(|key| !EACH_JOBS_OWN.contains(key))
}

/// Keys of the runs that mean something without a network too.
const PHYSICAL_KEYS: [&str; 2] = ["size", "fit"];

/// What `depth` says in place of a path where every photo must have its depth map beside it.
const REQUIRED: &str = "required";

/// The side in pixels without a key.
const DEFAULT_SIZE_PX: u32 = 256;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Save {
    images: Vec<Extra>,
    lq: Option<LqKind>,
    lq_format: Option<ImageFormat>,
    bits: Option<u8>,
}

/// A plan whose values are not checked against each other yet.
pub(super) fn parse(text: &str, shown: &str, folder: PathBuf) -> Result<Plan, RenderError> {
    let mut table: Table = toml::from_str(text).map_err(|error| not_toml(&error, text, shown))?;
    let known: Vec<&str> = PLAN_KEYS.into_iter().chain(run_keys()).collect();
    check_keys(&table, &known, shown)?;
    let engine: EngineKind = get(&table, "engine", shown)?.unwrap_or_default();
    let layout: LayoutKind = get(&table, "layout", shown)?.unwrap_or_default();
    let save = read_save(&table, shown)?;
    match engine {
        EngineKind::Physical => check_physical(&table, &save, shown)?,
        EngineKind::Mdsd3 => check_network(&table, &save, shown)?,
    }
    let default_lq = match engine {
        EngineKind::Mdsd3 => LqKind::Composited,
        EngineKind::Physical => LqKind::Decoded,
    };
    let default_format = if layout.prefers_jpeg() {
        ImageFormat::Jpeg
    } else {
        ImageFormat::Png
    };
    let depth_required = required_depth(&mut table, shown)?;
    let mut extras = save.images;
    extras.sort();
    extras.dedup();
    let Found { photos, skipped } = read_scenes(&table, shown, &folder)?;
    Ok(Plan {
        engine,
        layout,
        scenes: photos,
        mixes: read_mixes(&table, shown)?,
        seeds: read_seeds(&table, shown)?,
        alpha_beta: get(&table, "alpha_beta", shown)?.unwrap_or_else(|| vec![[1.0, 0.0]]),
        run: read_run(&table, shown)?,
        depth_required,
        crop: read_crop(&table, shown)?,
        split: read_split(&table, shown)?,
        lq: save.lq.unwrap_or(default_lq),
        lq_format: save.lq_format.unwrap_or(default_format),
        extras,
        bits: save.bits.unwrap_or(8),
        pairs: get(&table, "pairs", shown)?.unwrap_or_default(),
        names: get(&table, "names", shown)?.unwrap_or_default(),
        shard_pairs: get(&table, "shard_pairs", shown)?.unwrap_or(1000),
        batch: get(&table, "batch", shown)?,
        folder,
        skipped,
    })
}

/// Whether every photo must have a depth map: `depth_required = true`, or `depth = "required"` for one beside each photo.
fn required_depth(table: &mut Table, shown: &str) -> Result<bool, RenderError> {
    if table.get("depth").is_some_and(|depth| depth.as_str() == Some(REQUIRED)) {
        table.remove("depth");
        return Ok(true);
    }
    Ok(get(table, "depth_required", shown)?.unwrap_or_default())
}

/// `where = { rain = "masks/{stem}.png" }`, as runs have it.
fn regions(value: &Value, place: &str) -> Result<Value, RenderError> {
    let Value::Table(masks) = value else {
        return Err(bad(format!(
            "{place}: give each class its mask: {{ rain = \"masks/{{stem}}.png\" }}"
        )));
    };
    let text =
        |(class, mask): (&String, &Value)| Ok(Value::String(format!("{class}={}", typed::<String>(mask, place)?)));
    Ok(Value::Array(
        masks.iter().map(text).collect::<Result<_, RenderError>>()?,
    ))
}

/// What the runs share. Each key is tried alone first, so that a message names it.
fn read_run(table: &Table, shown: &str) -> Result<RenderRequest, RenderError> {
    let mut run = Table::new();
    for key in run_keys() {
        let Some(value) = table.get(key) else { continue };
        let value = &match key {
            "where" => regions(value, &format!("{shown}: {key}"))?,
            _ => value.clone(),
        };
        let alone = Table::from_iter([(key.to_owned(), value.clone())]);
        typed::<RenderRequest>(&Value::Table(alone), &format!("{shown}: {key}"))?;
        run.insert(key.to_owned(), value.clone());
    }
    run.entry("size").or_insert(DEFAULT_SIZE_PX.into());
    let mut run: RenderRequest = typed(&Value::Table(run), shown)?;
    run.sampling.mix = Mix::new();
    Ok(run)
}

/// Keys that only mean something to the network are mistakes in a plan for the physical engine.
fn check_physical(table: &Table, save: &Save, shown: &str) -> Result<(), RenderError> {
    let foreign = run_keys().filter(|key| !PHYSICAL_KEYS.contains(key) && !WeatherSettings::keys().contains(key));
    if let Some(key) = foreign
        .chain(["alpha_beta", "batch"])
        .find(|key| table.contains_key(*key))
    {
        return Err(bad(format!(
            "{shown}: {key}: the physical engine has none; remove it, or set engine = \"mdsd3\""
        )));
    }
    if save.lq == Some(LqKind::Composited) || save.images.iter().any(|image| *image != Extra::Layers) {
        return Err(bad(format!(
            "{shown}: save: the physical engine has no autoencoder and no steps; remove lq and all images but \"layers\", or set engine = \"mdsd3\""
        )));
    }
    Ok(())
}

/// Keys that only mean something to formulas, and depth that nothing would show, are mistakes in a plan for the network.
fn check_network(table: &Table, save: &Save, shown: &str) -> Result<(), RenderError> {
    let has_layers = save.images.contains(&Extra::Layers);
    let is_foreign = |key: &&&str| match **key {
        "where" => false,
        "space" | "rain_composition" | "order" => true,
        _ => !has_layers,
    };
    let mut keys = WeatherSettings::keys()
        .iter()
        .filter(is_foreign)
        .chain(&["depth_required"]);
    match keys.find(|key| table.contains_key(**key) && is_foreign(key)) {
        Some(key) if key.starts_with("depth") => Err(bad(format!(
            "{shown}: {key}: the network doesn't look at depth; remove it, save it by save = [\"layers\"], or set engine = \"physical\""
        ))),
        Some(key) => Err(bad(format!(
            "{shown}: {key}: the network has none; remove it, or set engine = \"physical\""
        ))),
        None => Ok(()),
    }
}

fn required<T: serde::de::DeserializeOwned>(table: &Table, key: &str, shown: &str) -> Result<T, RenderError> {
    get(table, key, shown)?.ok_or_else(|| bad(format!("{shown}: {key} is missing; a plan needs scenes and mixes")))
}

fn read_scenes(table: &Table, shown: &str, folder: &Path) -> Result<Found, RenderError> {
    let patterns: Vec<String> = required(table, "scenes", shown)?;
    scenes::resolve(&patterns, folder).map_err(|error| bad(format!("{shown}: {error}")))
}

fn read_mixes(table: &Table, shown: &str) -> Result<Vec<MixSpec>, RenderError> {
    let entries: Vec<Value> = required(table, "mixes", shown)?;
    let read = |(index, entry): (usize, &Value)| mixes::read(entry, &format!("{shown}: mixes[{index}]"));
    entries.iter().enumerate().map(read).collect()
}

/// A list of seeds, or `{ first = 0, count = 1000 }`.
fn read_seeds(table: &Table, shown: &str) -> Result<Vec<u64>, RenderError> {
    let place = format!("{shown}: seeds");
    match table.get("seeds") {
        None => Ok(vec![0]),
        Some(Value::Table(range)) => {
            check_keys(range, &["first", "count"], &place)?;
            let first: u64 = get(range, "first", &place)?.unwrap_or_default();
            let count: u64 = get(range, "count", &place)?.unwrap_or_default();
            match first.checked_add(count) {
                Some(end) if count <= MAX_JOBS as u64 => Ok((first..end).collect()),
                _ => Err(bad(format!("{place}: {count} seeds from {first} are too many"))),
            }
        }
        Some(list) => {
            let seeds: Vec<u64> = typed(list, &place)?;
            let mut sorted = seeds.clone();
            sorted.sort_unstable();
            match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                Some(twice) => Err(bad(format!("{place}: {} is there twice; remove one", twice[0]))),
                None => Ok(seeds),
            }
        }
    }
}

/// A side in pixels, or `{ side = 512, place = "random" }`.
fn read_crop(table: &Table, shown: &str) -> Result<Option<CropSpec>, RenderError> {
    match table.get("crop") {
        Some(Value::Table(spec)) => {
            let place = format!("{shown}: crop");
            check_keys(spec, &["side", "place"], &place)?;
            get(table, "crop", shown)
        }
        Some(_) => Ok(get(table, "crop", shown)?.map(|side| CropSpec {
            side,
            place: super::CropPlace::Center,
        })),
        None => Ok(None),
    }
}

/// `{ images = [..], bits = 16, .. }`, or the list of images alone.
fn read_save(table: &Table, shown: &str) -> Result<Save, RenderError> {
    if let Some(Value::Table(save)) = table.get("save") {
        check_keys(save, &["images", "lq", "lq_format", "bits"], &format!("{shown}: save"))?;
        return Ok(get(table, "save", shown)?.unwrap_or_default());
    }
    Ok(Save {
        images: get(table, "save", shown)?.unwrap_or_default(),
        ..Save::default()
    })
}

/// Parts such as `{ train = 0.9, val = 0.1 }`; their shares must make 1.
fn read_split(table: &Table, shown: &str) -> Result<Vec<(String, f64)>, RenderError> {
    let Some(entries) = table.get("split") else {
        return Ok(vec![(String::new(), 1.0)]);
    };
    let place = format!("{shown}: split");
    // Checked before it is sorted by name: a table keeps the file's order only as a table.
    let shares: BTreeMap<String, f64> = typed(entries, &place)?;
    let names = entries.as_table().into_iter().flat_map(Table::keys);
    let split: Vec<(String, f64)> = names.map(|name| (name.clone(), shares[name])).collect();
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if let Some((name, _)) = split.iter().find(|(name, _)| !is_name(name)) {
        return Err(bad(format!(
            "{place}: {name:?} can't be a folder's name; use letters, digits and -"
        )));
    }
    let sum: f64 = split.iter().map(|(_, share)| share).sum();
    if (sum - 1.0).abs() > 1e-6 || split.iter().any(|(_, share)| !(0.0..=1.0).contains(share)) {
        return Err(bad(format!("{place}: the shares make {sum} and must make 1")));
    }
    Ok(split)
}

fn not_toml(error: &toml::de::Error, text: &str, shown: &str) -> RenderError {
    // An error behind the last line end is on a line that `lines` doesn't know.
    let line = error
        .span()
        .map_or(1, |span| text.get(..span.start).unwrap_or(text).split('\n').count());
    let reason = one_line(error.message());
    bad(format!("{shown}: line {line}: {reason}"))
}
