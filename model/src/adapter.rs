//! MDSD3 adapters: a clean path, zero blocks, a class list and low-rank updates (Hu et al. 2021, arXiv:2106.09685) over a
//! base checkpoint that stays as it is.
//!
//! An adapter is one safetensors file. Its names are the reference's, as in `transformer_blocks.0.attn.to_q_clean.weight`,
//! with diffusers' `transformer.` or PEFT's `base_model.model.` before them or nothing. Low-rank updates are
//! `MODULE.lora_A.weight` and `MODULE.lora_B.weight`. Metadata: `classes` is the class list, `lora_alpha` the scale's
//! numerator (`alpha / rank`; 1 without it).
//!
//! What the adapter leaves out of the clean path starts as the image stream's own weights, as the method trains only
//! low-rank updates of that copy; zero blocks must be there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor, Var};
use candle_nn::VarBuilder;
use candle_nn::var_builder::SimpleBackend;

use crate::config::{MmditConfig, classes_from_metadata};
use crate::error::ModelError;
use crate::io::atomic::write_atomically;
use crate::io::builder::{Builder, StoredMatrices};
use crate::io::checkpoint::{Part, StoredMatrix, Weights, shortened};
use crate::io::skeleton::Skeleton;
use crate::mmdit::Mmdit;

/// How low-rank updates take part in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LoraMode {
    /// Beside their layers: the strength can be changed at any time, for a little time per step.
    Separate,
    /// Added to the weights when these are loaded, at this strength.
    Merged(f32),
}

/// The factor on all low-rank updates of a model, which can be set while it is in use.
#[derive(Debug, Clone)]
pub struct Strength(Var);

impl Strength {
    fn new(dtype: DType, device: &Device) -> Result<Self, ModelError> {
        Ok(Self(Var::from_tensor(&Tensor::ones((), dtype, device)?)?))
    }

    /// Sets it; 0 leaves the updates out, 1 is as trained.
    ///
    /// # Errors
    /// What the device reports.
    pub fn set(&self, strength: f32) -> Result<(), ModelError> {
        let value = Tensor::full(strength, (), self.0.device())?.to_dtype(self.0.dtype())?;
        Ok(self.0.set(&value)?)
    }
}

/// A low-rank update: `scale * B A`.
#[derive(Debug, Clone, PartialEq)]
struct Lora {
    /// Names of A `[rank, inputs]` and B `[outputs, rank]`.
    down: String,
    up: String,
    scale: f64,
}

/// An adapter on disk.
pub struct Adapter {
    weights: Weights,
    loras: BTreeMap<String, Lora>,
    classes: Option<Vec<String>>,
}

impl Adapter {
    /// Opens an adapter file; only its header is read.
    ///
    /// # Errors
    /// Bad input when it is damaged, holds nothing of an adapter, or an update lacks one of its halves.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        Self::from_weights(&Weights::open(path)?)
    }

    /// Opens an adapter in memory; `name` is for messages.
    ///
    /// # Errors
    /// Bad input that names what is wrong with the file.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self, ModelError> {
        Self::from_weights(&Weights::parse(bytes, name)?)
    }

    fn from_weights(stored: &Weights) -> Result<Self, ModelError> {
        let bad = |what: String| ModelError::BadInput(format!("{}: {what}", stored.name()));
        let weights = stored.renamed(|key| vec![(plain_name(key), Part::Whole)]);
        let is_ours = |k: &str| k.contains("_clean") || k.contains("zero_block") || k.contains("lora_");
        if !weights.keys().any(is_ours) {
            return Err(bad(
                "no MDSD3 adapter: it has no clean path, no zero blocks and no low-rank updates".into(),
            ));
        }
        let mut loras = BTreeMap::new();
        for down in weights.keys().filter(|k| k.ends_with(".lora_A.weight")) {
            let module = down.trim_end_matches(".lora_A.weight");
            let up = format!("{module}.lora_B.weight");
            let (a, b) = (
                weights.shape(down).unwrap_or_default(),
                weights.shape(&up).unwrap_or_default(),
            );
            let (&[rank, _], &[_, outer]) = (a.as_slice(), b.as_slice()) else {
                return Err(bad(format!(
                    "the low-rank update of {module} needs lora_A and lora_B with two dimensions each"
                )));
            };
            if rank == 0 || rank != outer {
                return Err(bad(format!(
                    "the low-rank update of {module} has rank {rank} in lora_A and {outer} in lora_B"
                )));
            }
            let scale = alpha(&weights, module)?.map_or(1.0, |alpha| alpha / rank as f64);
            loras.insert(
                module.to_owned(),
                Lora {
                    down: down.to_owned(),
                    up,
                    scale,
                },
            );
        }
        let classes = weights
            .metadata()
            .get("classes")
            .map(|c| classes_from_metadata(c))
            .transpose()?;
        Ok(Self {
            weights,
            loras,
            classes,
        })
    }

    /// The classes it was trained on, when it says so.
    pub fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    /// Number of low-rank updates.
    pub fn updates(&self) -> usize {
        self.loras.len()
    }

    /// Values in the adapter.
    pub fn parameters(&self) -> u64 {
        self.weights.parameters()
    }

    /// Low-rank updates of modules that such a transformer doesn't have.
    ///
    /// # Errors
    /// Shapes that no transformer can have.
    pub fn homeless(&self, config: &MmditConfig) -> Result<Vec<String>, ModelError> {
        let skeleton = Skeleton::new(None);
        Mmdit::with_clean_path(config, skeleton.builder(), true)?;
        let asked = skeleton.shapes();
        let has_home = |module: &str| asked.contains_key(&format!("{module}.weight"));
        Ok(self
            .loras
            .iter()
            .filter(|(module, _)| !has_home(module))
            .map(|(_, lora)| lora.down.clone())
            .collect())
    }

    /// Puts the adapter over a base whose tensors have diffusers' names.
    ///
    /// # Errors
    /// Bad input for updates that don't fit the base, and names that neither has.
    pub fn over(
        &self,
        base: &Weights,
        config: &MmditConfig,
        mode: LoraMode,
        dtype: DType,
        device: &Device,
    ) -> Result<Adapted, ModelError> {
        let is_lora = |key: &str| key.contains(".lora_") || key.rsplit('.').next() == Some("alpha");
        let own = self.weights.renamed(|key| {
            if is_lora(key) {
                Vec::new()
            } else {
                vec![(key.to_owned(), Part::Whole)]
            }
        });
        let weights = base.layered(&own);
        let has_clean = self
            .weights
            .keys()
            .any(|k| k.contains("_clean") || k.contains("zero_block"));
        let weights = if has_clean {
            weights.aliased(&clean_path_starts(config))
        } else {
            weights
        };
        Ok(Adapted {
            weights,
            updates: self.weights.clone(),
            loras: Arc::new(self.loras.clone()),
            mode,
            strength: Strength::new(dtype, device)?,
            used: Arc::default(),
        })
    }
}

/// A tensor's name without what diffusers and PEFT put before and into it.
fn plain_name(key: &str) -> String {
    let key = ["base_model.model.", "transformer.", "model.diffusion_model."]
        .iter()
        .fold(key, |k, prefix| k.strip_prefix(prefix).unwrap_or(k));
    key.replace(".default.weight", ".weight")
        .replace(".modules_to_save.default.", ".")
        .replace(".lora.down.", ".lora_A.")
        .replace(".lora.up.", ".lora_B.")
        .replace(".lora_down.", ".lora_A.")
        .replace(".lora_up.", ".lora_B.")
}

/// The scale's numerator: a tensor beside the update, or the file's metadata.
fn alpha(weights: &Weights, module: &str) -> Result<Option<f64>, ModelError> {
    let key = format!("{module}.alpha");
    if weights.contains(&key) {
        let alpha = weights
            .load(&key, DType::F32, &Device::Cpu)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        return Ok(alpha.first().map(|&a| f64::from(a)));
    }
    let bad = |text: &str| {
        ModelError::BadInput(format!(
            "{}: lora_alpha {text:?} in its metadata is not a number",
            weights.name()
        ))
    };
    weights
        .metadata()
        .get("lora_alpha")
        .map(|text| {
            text.parse()
                .ok()
                .filter(|a: &f64| a.is_finite())
                .ok_or_else(|| bad(text))
        })
        .transpose()
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

/// A base with an adapter over it, for a model to be built from.
#[derive(Clone)]
pub struct Adapted {
    weights: Weights,
    updates: Weights,
    loras: Arc<BTreeMap<String, Lora>>,
    mode: LoraMode,
    strength: Strength,
    used: Arc<Mutex<BTreeSet<String>>>,
}

impl Adapted {
    /// Base and adapter as one set of tensors, without the updates.
    pub fn base(&self) -> &Weights {
        &self.weights
    }

    /// The factor on the updates; without effect on merged ones.
    pub fn strength(&self) -> Strength {
        self.strength.clone()
    }

    /// A builder over base and adapter.
    pub fn builder(&self, dtype: DType, device: &Device) -> Builder {
        let held = VarBuilder::from_backend(Box::new(self.clone()), dtype, device.clone());
        Builder::over(held, self.clone())
    }

    /// Tensors and updates that nobody has asked for.
    pub fn unused(&self) -> Vec<String> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unused = self.weights.unused();
        unused.extend(
            self.loras
                .iter()
                .filter(|(module, _)| !used.contains(*module))
                .map(|(_, lora)| lora.down.clone()),
        );
        unused
    }

    /// Refuses tensors that nobody asked for.
    ///
    /// # Errors
    /// Bad input that names the tensors that nothing asked for.
    pub fn check_all_used(&self) -> Result<(), ModelError> {
        let unused = self.unused();
        if unused.is_empty() {
            return Ok(());
        }
        let names = shortened(&unused);
        Err(ModelError::BadInput(format!(
            "base and adapter hold tensors that this transformer has no place for: {names}; do they belong together?"
        )))
    }

    /// The update of a module, noted as used.
    fn lora(&self, module: &str) -> Option<&Lora> {
        let lora = self.loras.get(module)?;
        self.used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(module.to_owned());
        Some(lora)
    }

    /// `scale * B A` in f32: `[outputs, inputs]`.
    fn product(&self, lora: &Lora) -> candle_core::Result<Tensor> {
        let read = |name: &str| self.updates.get_unchecked(name, DType::F32, &Device::Cpu);
        read(&lora.up)?.matmul(&read(&lora.down)?)? * lora.scale
    }

    /// What a layer asks for beside its weight and bias, when updates stay apart.
    fn separate(&self, name: &str, dtype: DType, device: &Device) -> Option<candle_core::Result<Tensor>> {
        if self.mode != LoraMode::Separate {
            return None;
        }
        let (module, which) = name.split_once(".lora_")?;
        let lora = self.lora(module)?;
        Some(match which {
            "strength" => Ok(self.strength.0.as_tensor().clone()),
            "A.weight" => self.updates.get_unchecked(&lora.down, dtype, device),
            "B.weight" => self
                .updates
                .get_unchecked(&lora.up, dtype, device)
                .and_then(|up| up * lora.scale),
            _ => return None,
        })
    }
}

impl SimpleBackend for Adapted {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        init: candle_nn::Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        if let Some(tensor) = self.separate(name, dtype, device) {
            let tensor = tensor?;
            if tensor.shape() != &shape {
                candle_core::bail!(
                    "tensor {name} has shape {:?}, its layer needs {:?}",
                    tensor.dims(),
                    shape.dims()
                );
            }
            return Ok(tensor);
        }
        let module = name
            .strip_suffix(".weight")
            .and_then(|module| Some((self.lora(module)?, module)));
        let (LoraMode::Merged(strength), Some((lora, module))) = (self.mode, module) else {
            return SimpleBackend::get(&self.weights, shape, name, init, dtype, device);
        };
        let base = SimpleBackend::get(&self.weights, shape.clone(), name, init, DType::F32, &Device::Cpu)?;
        let product = self.product(lora)?;
        if product.shape() != &shape {
            candle_core::bail!(
                "the low-rank update of {module} makes {:?}, its layer is {:?}",
                product.dims(),
                shape.dims()
            );
        }
        (base + (product * f64::from(strength))?)?
            .to_dtype(dtype)?
            .to_device(device)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        match self.separate(name, dtype, device) {
            Some(tensor) => tensor,
            None => self.weights.get_unchecked(name, dtype, device),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        match name.split_once(".lora_") {
            Some((module, _)) => self.mode == LoraMode::Separate && self.loras.contains_key(module),
            None => self.weights.contains(name),
        }
    }
}

impl StoredMatrices for Adapted {
    fn stored(&self, shape: (usize, usize), name: &str, dtype: DType) -> candle_core::Result<Option<StoredMatrix>> {
        let module = name.strip_suffix(".weight").unwrap_or(name);
        if matches!(self.mode, LoraMode::Merged(_)) && self.loras.contains_key(module) {
            return Ok(None);
        }
        StoredMatrices::stored(&self.weights, shape, name, dtype)
    }
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
