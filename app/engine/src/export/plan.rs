//! Plans: one TOML file that says which pairs a dataset holds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::check::{bad, check_keys, get, typed};
use super::layout::LayoutKind;
use super::mixes::{self, MixSpec};
use super::scenes;
use crate::error::EngineError;
use crate::request::Fit;

/// Keys of a plan.
const KEYS: [&str; 19] = [
    "engine",
    "layout",
    "scenes",
    "mixes",
    "seeds",
    "alpha_beta",
    "size",
    "crop",
    "fit",
    "steps",
    "guidance",
    "model",
    "device",
    "dtype",
    "split",
    "save",
    "pairs",
    "names",
    "shard_pairs",
];

/// The most jobs of a plan; beyond it a slip such as a grid of grids is likelier than a wish.
const MAX_JOBS: usize = 100_000_000;

/// What makes the degraded image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// The network.
    #[default]
    Mdsd3,
    /// The formulas of `mdsd3 degrade`.
    Physical,
}

/// What a pair's lq is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LqKind {
    /// `gt + decode(z) - decode(encode(gt))`: the autoencoder's own error stays out of the pair.
    Composited,
    /// `decode(z)`; the physical engine's image, which no autoencoder has touched.
    Decoded,
}

/// Images that a pair can carry beside gt and lq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extra {
    /// `decode(encode(gt))`.
    VaeGt,
    /// `decode(z)`.
    LqDecoded,
    /// `gt + decode(z) - decode(encode(gt))`.
    LqComposited,
    /// The clean-data prediction of every step.
    Steps,
}

/// How a gt that several pairs need under several names is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Copies {
    /// A file of its own each.
    #[default]
    Duplicate,
    /// One file with several names.
    Hardlink,
    /// One file and relative symbolic links to it.
    Symlink,
}

/// Where file names come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Names {
    /// From the photo's name.
    #[default]
    Scene,
    /// From the photo's number in the plan.
    Number,
}

/// A checked plan. Serialised, it is what its hash is taken of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// What makes the degraded image.
    pub engine: EngineKind,
    /// Where files go.
    pub layout: LayoutKind,
    /// Photos as found from the plan's folder, in order.
    pub scenes: Vec<String>,
    /// Mixes, grids not yet expanded.
    pub mixes: Vec<MixSpec>,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Weights of noise and scene in the initial latents.
    pub alpha_beta: Vec<[f32; 2]>,
    /// Side of the images in pixels.
    pub size: u32,
    /// Side in pixels of the centred square that is cut out of a photo before it is scaled to `size`.
    pub crop: Option<u32>,
    /// How the photo is fitted to `size`.
    pub fit: Fit,
    /// Denoising steps.
    pub steps: usize,
    /// Guidance against the clean branch.
    pub guidance: f32,
    /// Model folder or file, from the plan's folder; the bundled model when absent.
    pub model: Option<PathBuf>,
    /// Compute device.
    pub device: String,
    /// Compute dtype.
    pub dtype: String,
    /// Names and shares of the parts, in the order of the file; one nameless part when there is no split.
    pub split: Vec<(String, f64)>,
    /// What lq is.
    pub lq: LqKind,
    /// Further images, sorted.
    pub extras: Vec<Extra>,
    /// Bits per channel, 8 or 16.
    pub bits: u8,
    /// How repeated gt are stored.
    pub pairs: Copies,
    /// Where file names come from.
    pub names: Names,
    /// Pairs in one tar of the `WebDataset` layout.
    pub shard_pairs: usize,
    /// The plan's folder.
    #[serde(skip)]
    pub folder: PathBuf,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Save {
    images: Vec<Extra>,
    lq: Option<LqKind>,
    bits: Option<u8>,
}

impl Plan {
    /// Reads a plan and resolves its scenes.
    ///
    /// # Errors
    /// [`EngineError::BadInput`] with the file and the key that is wrong, and what would be right.
    pub fn read(path: &Path) -> Result<Self, EngineError> {
        let shown = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|source| EngineError::reading(path, source))?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Self::parse(&text, &shown, folder)
    }

    /// Reads a plan from its text; `shown` is how messages call it, `folder` is where its scenes are looked for.
    pub fn parse(text: &str, shown: &str, folder: PathBuf) -> Result<Self, EngineError> {
        let table: Table = toml::from_str(text).map_err(|error| not_toml(&error, text, shown))?;
        check_keys(&table, &KEYS, shown)?;
        let engine: EngineKind = get(&table, "engine", shown)?.unwrap_or_default();
        let layout = get(&table, "layout", shown)?;
        let patterns: Vec<String> = required(&table, "scenes", shown)?;
        let save = read_save(&table, shown)?;
        let default_lq = match engine {
            EngineKind::Mdsd3 => LqKind::Composited,
            EngineKind::Physical => LqKind::Decoded,
        };
        let mut extras = save.images;
        extras.sort();
        extras.dedup();
        let plan = Self {
            engine,
            layout: layout.unwrap_or_default(),
            scenes: scenes::resolve(&patterns, &folder).map_err(|error| at(shown, &error))?,
            mixes: read_mixes(&table, shown)?,
            seeds: read_seeds(&table, shown)?,
            alpha_beta: get(&table, "alpha_beta", shown)?.unwrap_or_else(|| vec![[1.0, 0.0]]),
            size: get(&table, "size", shown)?.unwrap_or(256),
            crop: get(&table, "crop", shown)?,
            fit: get(&table, "fit", shown)?.unwrap_or_default(),
            steps: get(&table, "steps", shown)?.unwrap_or(20),
            guidance: get(&table, "guidance", shown)?.unwrap_or(1.0),
            model: get(&table, "model", shown)?,
            device: get(&table, "device", shown)?.unwrap_or_else(|| "cpu".to_owned()),
            dtype: get(&table, "dtype", shown)?.unwrap_or_else(|| "f32".to_owned()),
            split: read_split(&table, shown)?,
            lq: save.lq.unwrap_or(default_lq),
            extras,
            bits: save.bits.unwrap_or(8),
            pairs: get(&table, "pairs", shown)?.unwrap_or_default(),
            names: get(&table, "names", shown)?.unwrap_or_default(),
            shard_pairs: get(&table, "shard_pairs", shown)?.unwrap_or(1000),
            folder,
        };
        plan.check_for_engine(&table, shown)?;
        plan.check_values(shown)?;
        Ok(plan)
    }

    /// The photo of a scene, as this process finds it.
    pub fn scene_path(&self, scene: usize) -> PathBuf {
        self.folder.join(&self.scenes[scene])
    }

    /// The model's path, as this process finds it.
    pub fn model_path(&self) -> Option<PathBuf> {
        self.model.as_ref().map(|path| self.folder.join(path))
    }

    /// The classes the plan names, in order of first mention.
    pub fn classes(&self) -> Vec<String> {
        let mut classes: Vec<String> = Vec::new();
        for (class, _) in self.mixes.iter().flatten() {
            if !classes.contains(class) {
                classes.push(class.clone());
            }
        }
        classes
    }

    /// Keys that only mean something to the network are mistakes in a plan for the physical engine.
    fn check_for_engine(&self, table: &Table, shown: &str) -> Result<(), EngineError> {
        if self.engine == EngineKind::Mdsd3 {
            return Ok(());
        }
        let foreign = ["alpha_beta", "steps", "guidance", "model", "device", "dtype"];
        if let Some(key) = foreign.into_iter().find(|key| table.contains_key(*key)) {
            return Err(bad(format!(
                "{shown}: {key}: the physical engine has none; remove it, or set engine = \"mdsd3\""
            )));
        }
        if self.lq == LqKind::Composited || !self.extras.is_empty() {
            return Err(bad(format!(
                "{shown}: save: the physical engine has no autoencoder and no steps; remove images and lq, or set engine = \"mdsd3\""
            )));
        }
        Ok(())
    }

    fn check_values(&self, shown: &str) -> Result<(), EngineError> {
        let wrong = |what: String| Err(bad(format!("{shown}: {what}")));
        let empty = [
            ("scenes", self.scenes.is_empty()),
            ("mixes", self.mixes.is_empty()),
            ("seeds", self.seeds.is_empty()),
            ("alpha_beta", self.alpha_beta.is_empty()),
        ];
        if let Some((key, _)) = empty.iter().find(|(_, is_empty)| *is_empty) {
            return wrong(format!("the plan has no jobs: {key} is empty"));
        }
        if self.bits != 8 && self.bits != 16 {
            return wrong(format!("save: bits {} is neither 8 nor 16", self.bits));
        }
        if self.size == 0 || self.size > 16_384 || self.crop == Some(0) {
            return wrong("size and crop are sides in pixels: give 1 to 16384".to_owned());
        }
        if self.shard_pairs == 0 {
            return wrong("shard_pairs is 0: give the pairs of one tar, such as 1000".to_owned());
        }
        let combinations = self.mixes.iter().map(|spec| mixes::expand(spec).len());
        let jobs = combinations
            .sum::<usize>()
            .checked_mul(self.scenes.len())
            .and_then(|jobs| jobs.checked_mul(self.seeds.len()))
            .and_then(|jobs| jobs.checked_mul(self.alpha_beta.len()));
        if jobs.is_none_or(|jobs| jobs > MAX_JOBS) {
            return wrong(format!(
                "the plan has more than {MAX_JOBS} jobs; check its grids and seeds"
            ));
        }
        Ok(())
    }
}

fn required<T: serde::de::DeserializeOwned>(table: &Table, key: &str, shown: &str) -> Result<T, EngineError> {
    get(table, key, shown)?.ok_or_else(|| bad(format!("{shown}: {key} is missing; a plan needs scenes and mixes")))
}

fn read_mixes(table: &Table, shown: &str) -> Result<Vec<MixSpec>, EngineError> {
    let entries: Vec<Value> = required(table, "mixes", shown)?;
    let read = |(index, entry): (usize, &Value)| mixes::read(entry, &format!("{shown}: mixes[{index}]"));
    entries.iter().enumerate().map(read).collect()
}

/// A list of seeds, or `{ first = 0, count = 1000 }`.
fn read_seeds(table: &Table, shown: &str) -> Result<Vec<u64>, EngineError> {
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

fn read_save(table: &Table, shown: &str) -> Result<Save, EngineError> {
    if let Some(Value::Table(save)) = table.get("save") {
        check_keys(save, &["images", "lq", "bits"], &format!("{shown}: save"))?;
    }
    Ok(get(table, "save", shown)?.unwrap_or_default())
}

/// Parts such as `{ train = 0.9, val = 0.1 }`; their shares must make 1.
fn read_split(table: &Table, shown: &str) -> Result<Vec<(String, f64)>, EngineError> {
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

fn not_toml(error: &toml::de::Error, text: &str, shown: &str) -> EngineError {
    // An error behind the last line end is on a line that `lines` doesn't know.
    let line = error
        .span()
        .map_or(1, |span| text.get(..span.start).unwrap_or(text).split('\n').count());
    let reason = crate::error::one_line(error.message());
    bad(format!("{shown}: line {line}: {reason}"))
}

fn at(shown: &str, error: &EngineError) -> EngineError {
    bad(format!("{shown}: {error}"))
}

#[cfg(test)]
mod tests;
