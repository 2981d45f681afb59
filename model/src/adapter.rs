//! Adapters over a base checkpoint that stays as it is: MDSD3's clean path, zero blocks and classes, and updates of layers as
//! every trainer of Stable Diffusion 3 writes them.
//!
//! An adapter is one safetensors file, or the folder that PEFT or diffusers saved it in. Own tensors have the reference's
//! names, as in `transformer_blocks.0.attn.to_q_clean.weight`, with `transformer.` or `base_model.model.` before them or
//! nothing. Metadata: `classes` is the class list.
//!
//! What the adapter leaves out of the clean path starts as the image stream's own weights, as the method trains only
//! low-rank updates of that copy; zero blocks must be there.
//!
//! | file | what |
//! |---|---|
//! | `peft` | the scale of an update: trainers' settings |
//! | `update` | which tensors make up an update, and the matrix that they amount to |
//! | `adapted` | a network's weights with updates over them |

mod adapted;
mod peft;
mod update;

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};

pub use adapted::Adapted;
use adapted::Placed;
use peft::Scales;
use update::{Magnitude, StoredUpdate};

use crate::config::{MmditConfig, classes_from_metadata};
use crate::error::ModelError;
use crate::io::atomic::write_atomically;
use crate::io::checkpoint::{CheckpointError, Part, Weights, shortened};
use crate::io::layout::{Family, Home, TEXT_PARTS, at_home, transformer_modules, transformer_names, update_key};
use crate::io::skeleton::Skeleton;
use crate::mmdit::Mmdit;

/// Names of weights in the folders that PEFT and diffusers save.
const FOLDER_FILES: [&str; 2] = ["adapter_model.safetensors", "pytorch_lora_weights.safetensors"];

/// The factor on all updates of a model, which can be set while it is in use.
#[derive(Debug, Clone)]
pub struct Strength(Vec<Var>);

impl Strength {
    /// Sets it; 0 leaves the updates out, 1 is as trained.
    ///
    /// # Errors
    /// What the device reports.
    pub fn set(&self, strength: f32) -> Result<(), ModelError> {
        for var in &self.0 {
            var.set(&Tensor::full(strength, (), var.device())?.to_dtype(var.dtype())?)?;
        }
        Ok(())
    }
}

/// The files of an adapter, its weights first: itself, or those in the folder that it was saved in.
///
/// # Errors
/// Bad input when a folder holds no adapter, or a pickled one.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let weights = if path.is_dir() {
        let pickle = path.join("adapter_model.bin");
        match FOLDER_FILES
            .iter()
            .map(|name| path.join(name))
            .find(|file| file.is_file())
        {
            Some(file) => file,
            None if pickle.is_file() => return Err(CheckpointError::Pickle.at(&pickle.display().to_string())),
            None => {
                let wanted = FOLDER_FILES.join(" and no ");
                return Err(ModelError::BadInput(format!(
                    "{}: no adapter in this folder: no {wanted}",
                    path.display()
                )));
            }
        }
    } else {
        path.to_owned()
    };
    let is_pefts = weights.file_name().is_some_and(|name| name == FOLDER_FILES[0]);
    let config = weights.with_file_name(peft::CONFIG_FILE);
    let config = (is_pefts && config.is_file()).then_some(config);
    Ok(std::iter::once(weights).chain(config).collect())
}

/// An adapter on disk.
pub struct Adapter {
    weights: Weights,
    updates: Vec<Arc<StoredUpdate>>,
    classes: Option<Vec<String>>,
}

impl Adapter {
    /// Opens an adapter file, or the folder of one; only headers, settings and single numbers are read.
    ///
    /// # Errors
    /// Bad input when it is damaged, holds nothing of an adapter, or a tensor of an update isn't understood.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let files = files(path)?;
        let (weights, config) = (Weights::open(&files[0])?, files.get(1));
        Self::from_weights(weights, config.map(PathBuf::as_path))
    }

    /// Opens an adapter in memory; `name` is for messages.
    ///
    /// # Errors
    /// Bad input that names what is wrong with the file.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self, ModelError> {
        Self::from_weights(Weights::parse(bytes, name)?, None)
    }

    fn from_weights(weights: Weights, config: Option<&Path>) -> Result<Self, ModelError> {
        if Family::of_keys(weights.keys()) == Family::ResearchCode {
            let refusal = Family::ResearchCode.refusal();
            return Err(ModelError::BadInput(format!("{}: {refusal}", weights.name())));
        }
        let updates = update::read_all(&weights, &Scales::read(&weights, config)?)?;
        if updates.is_empty() && !weights.keys().any(is_of_clean_path) {
            return Err(ModelError::BadInput(format!(
                "{}: no adapter: it has no clean path, no zero blocks and no low-rank updates",
                weights.name()
            )));
        }
        let classes = weights
            .metadata()
            .get("classes")
            .map(|c| classes_from_metadata(c))
            .transpose()?;
        Ok(Self {
            weights,
            updates: updates.into_iter().map(Arc::new).collect(),
            classes,
        })
    }

    /// The classes it was trained on, when it says so.
    pub fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    /// Number of updated modules, by the trainer's count.
    pub fn updates(&self) -> usize {
        self.updates.len()
    }

    /// Values in the adapter.
    pub fn parameters(&self) -> u64 {
        self.weights.parameters()
    }

    /// Its tensors under the file's own names.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// What a user should know about how it is applied, one line each; `encoders` are those that the model has.
    pub fn notes(&self, encoders: &[bool; 3]) -> Vec<String> {
        let mut notes = Vec::new();
        if self
            .updates
            .iter()
            .any(|update| matches!(update.magnitude, Some(Magnitude::OverBase(_))))
        {
            notes.push(
                "the adapter's dora_scale is applied as ComfyUI does, over the length of the base's rows; LyCORIS trains over the updated rows"
                    .to_owned(),
            );
        }
        for (index, name) in TEXT_PARTS.iter().enumerate() {
            let idle = self
                .updates
                .iter()
                .filter(|update| update.home == Home::Encoder(index))
                .count();
            if idle > 0 && !encoders[index] {
                notes.push(format!("{idle} updates of {name} have no effect: the model has none"));
            }
        }
        notes
    }

    /// Puts the adapter over a base whose tensors have diffusers' names, and over the text encoders that there are
    /// (transformers' names). Text encoders compute in f32 on `device`.
    ///
    /// # Errors
    /// Bad input when the transformer's config can't be.
    pub fn over(
        &self,
        base: &Weights,
        encoders: [Option<&Weights>; 3],
        config: &MmditConfig,
        dtype: DType,
        device: &Device,
    ) -> Result<Applied, ModelError> {
        let own = self.weights.renamed(|key| match update_key(key) {
            Some(_) => Vec::new(),
            // Names of another network's stay whole, to be refused as they are.
            None => match at_home(key) {
                (Home::Transformer, name) => vec![(name.to_owned(), Part::Whole)],
                _ => vec![(key.to_owned(), Part::Whole)],
            },
        });
        let weights = base.layered(&own);
        let weights = if own.keys().any(is_of_clean_path) {
            weights.aliased(&clean_path_starts(config))
        } else {
            weights
        };
        let strength = |dtype| Var::from_tensor(&Tensor::ones((), dtype, device)?);
        let (of_transformer, of_encoders) = (strength(dtype)?, strength(DType::F32)?);
        let mut homeless = Vec::new();
        let placed = self.placed(Home::Transformer, &transformer_places(config)?, &mut homeless);
        let transformer = Adapted::new(weights, &self.weights, placed, of_transformer.clone());
        let mut over_encoder = |index: usize| {
            let base = encoders[index]?;
            let placed = self.placed(Home::Encoder(index), &encoder_places(base), &mut homeless);
            (!placed.is_empty()).then(|| Adapted::new(base.clone(), &self.weights, placed, of_encoders.clone()))
        };
        Ok(Applied {
            transformer,
            encoders: [over_encoder(0), over_encoder(1), over_encoder(2)],
            strength: Strength(vec![of_transformer, of_encoders]),
            homeless,
        })
    }

    /// The updates of a network by its modules' names; those without a place there are added to `homeless`.
    fn placed(&self, home: Home, places: &Places, homeless: &mut Vec<String>) -> BTreeMap<String, Placed> {
        let mut placed = BTreeMap::new();
        for update in self.updates.iter().filter(|update| update.home == home) {
            let Some(targets) = places.get(&update.module) else {
                homeless.push(update.key.clone());
                continue;
            };
            for (module, part) in targets {
                let (update, part) = (Arc::clone(update), *part);
                // Two updates of one module, by two spellings: only one can be there.
                if let Some(Placed { update, .. }) = placed.insert(module.clone(), Placed { update, part }) {
                    homeless.push(update.key.clone());
                }
            }
        }
        placed
    }
}

/// An adapter over a model's networks, for them to be built from.
pub struct Applied {
    /// The transformer's.
    pub transformer: Adapted,
    /// Text encoders' by index, where the adapter has updates of them.
    pub encoders: [Option<Adapted>; 3],
    strength: Strength,
    homeless: Vec<String>,
}

impl Applied {
    /// The factor on the updates.
    pub fn strength(&self) -> Strength {
        self.strength.clone()
    }

    /// Tensors of the adapter that name no layer of the model.
    pub fn homeless(&self) -> &[String] {
        &self.homeless
    }

    /// Refuses tensors that nobody asked for.
    ///
    /// # Errors
    /// Bad input that names some of them.
    pub fn check_all_used(&self) -> Result<(), ModelError> {
        let mut unused = self.transformer.unused();
        unused.extend(self.homeless.clone());
        if unused.is_empty() {
            return Ok(());
        }
        let names = shortened(&unused);
        Err(ModelError::BadInput(format!(
            "base and adapter hold tensors that this transformer has no place for: {names}; do they belong together?"
        )))
    }
}

/// Modules of a network by every spelling, with what each means there.
type Places = HashMap<String, Vec<(String, Part)>>;

fn add_place(places: &mut Places, name: &str, targets: &[(String, Part)]) {
    for spelling in [name.to_owned(), name.replace('.', "_")] {
        places.insert(spelling, targets.to_vec());
    }
}

/// Modules of a transformer with a clean path, by diffusers' names and the single file's.
fn transformer_places(config: &MmditConfig) -> Result<Places, ModelError> {
    let skeleton = Skeleton::new(None);
    Mmdit::with_clean_path(config, skeleton.builder(), true)?;
    let shapes = skeleton.shapes();
    let mut places = Places::new();
    for module in shapes.keys().filter_map(|name| name.strip_suffix(".weight")) {
        add_place(&mut places, module, &[(module.to_owned(), Part::Whole)]);
    }
    for module in transformer_modules(config.num_layers) {
        let targets = transformer_names(&format!("{module}.weight"), config.num_layers).into_iter();
        let targets = targets.filter_map(|(name, part)| Some((name.strip_suffix(".weight")?.to_owned(), part)));
        let targets: Vec<_> = targets
            .filter(|(name, _)| shapes.contains_key(&format!("{name}.weight")))
            .collect();
        if !targets.is_empty() {
            add_place(&mut places, &module, &targets);
        }
    }
    Ok(places)
}

/// Linear layers of a text encoder; embeddings are looked up and can't be updated.
fn encoder_places(weights: &Weights) -> Places {
    let is_table =
        |name: &str| name.contains("embed") || name.contains("shared") || name.contains("relative_attention_bias");
    let mut places = Places::new();
    for module in weights.keys().filter_map(|name| name.strip_suffix(".weight")) {
        let is_matrix = weights
            .shape(&format!("{module}.weight"))
            .is_some_and(|shape| shape.len() == 2);
        if is_matrix && !is_table(module) {
            add_place(&mut places, module, &[(module.to_owned(), Part::Whole)]);
        }
    }
    places
}

fn is_of_clean_path(key: &str) -> bool {
    key.contains("_clean") || key.contains("zero_block")
}

/// Clean-path tensors (first) and the image stream's (second) that they start as.
pub(crate) fn clean_path_starts(config: &MmditConfig) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut add = |clean: String, own: String| {
        for suffix in ["weight", "bias"] {
            pairs.push((format!("{clean}.{suffix}"), format!("{own}.{suffix}")));
        }
    };
    add("pos_embed_clean.proj".into(), "pos_embed.proj".into());
    for block in (0..config.num_layers).map(|i| format!("transformer_blocks.{i}")) {
        for name in ["to_q", "to_k", "to_v"] {
            add(format!("{block}.attn.{name}_clean"), format!("{block}.attn.{name}"));
        }
    }
    // The last block's stream ends with its query, key and value.
    for block in (0..config.num_layers.saturating_sub(1)).map(|i| format!("transformer_blocks.{i}")) {
        add(format!("{block}.attn.to_out_clean.0"), format!("{block}.attn.to_out.0"));
        for layer in ["net.0.proj", "net.2"] {
            add(format!("{block}.ff_clean.{layer}"), format!("{block}.ff.{layer}"));
        }
    }
    pairs.push(("pos_embed_clean.pos_embed".into(), "pos_embed.pos_embed".into()));
    pairs
}

/// Writes an adapter file, atomically. `tensors` have the reference's names; updates are `MODULE.lora_A.weight` and
/// `MODULE.lora_B.weight`.
///
/// # Errors
/// A file that can't be written; classes that can't be written as JSON.
#[allow(clippy::implicit_hasher)] // what safetensors hands out and takes
pub fn write(
    path: &Path,
    tensors: &HashMap<String, Tensor>,
    classes: &[String],
    lora_alpha: Option<f64>,
) -> Result<(), ModelError> {
    let classes = serde_json::to_string(classes).map_err(|e| ModelError::BadInput(e.to_string()))?;
    let mut metadata = HashMap::from([("format".to_owned(), "pt".to_owned()), ("classes".to_owned(), classes)]);
    if let Some(alpha) = lora_alpha {
        metadata.insert("lora_alpha".to_owned(), alpha.to_string());
    }
    let named = tensors
        .iter()
        .map(|(name, tensor)| (format!("transformer.{name}"), tensor));
    let failed = |source: std::io::Error| ModelError::Io {
        path: path.to_owned(),
        source,
    };
    let bytes = safetensors::serialize(named, Some(metadata)).map_err(|e| failed(std::io::Error::other(e)))?;
    let bytes = with_sorted_header(&bytes).map_err(failed)?;
    write_atomically(path, |file| file.write_all(&bytes))
}

/// The same safetensors file with the keys of its header in order: the library writes metadata in another order each time, and
/// equal runs must give files of one hash.
fn with_sorted_header(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let short = || std::io::Error::other("a safetensors file without a header");
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(short)?;
    let (header, tensors) = rest
        .split_at_checked(u64::from_le_bytes(*length) as usize)
        .ok_or_else(short)?;
    let header: BTreeMap<String, BTreeMap<String, serde_json::Value>> = serde_json::from_slice(header)?;
    let mut header = serde_json::to_vec(&header)?;
    // Tensors begin at a multiple of eight.
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok([&(header.len() as u64).to_le_bytes()[..], &header, tensors].concat())
}

#[cfg(test)]
mod tests;
