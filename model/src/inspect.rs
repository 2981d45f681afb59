//! What a checkpoint is, told from headers and configs alone, for `mdsd3 info`: the report, and what the families make it of.

use std::collections::BTreeMap;

use candle_core::{DType, Device};
use serde::Serialize;

use crate::adapter::Adapter;
use crate::config::MmditConfig;
use crate::error::ModelError;
use crate::io::checkpoint::Weights;
use crate::io::layout::TEXT_PARTS;
use crate::io::skeleton::Skeleton;
use crate::mmdit::{Mmdit, class_heads};

/// Context tokens of an SD3 prompt: CLIP's 77 and T5's 256.
const PROMPT_TOKENS: usize = 77 + 256;
/// Largest image side that the KL autoencoder takes whole, in pixels.
const WHOLE_PX: u64 = 512;
/// f32 values per pixel that it holds at its widest.
const DECODER_VALUES_PER_PX: u64 = 1100;

/// One part of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartReport {
    /// What it is.
    pub name: String,
    /// Number of values.
    pub parameters: u64,
    /// Dtypes on disk, such as `F16`.
    pub dtypes: Vec<String>,
    /// Where it lies.
    pub file: String,
}

/// Memory that a run takes, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemoryReport {
    /// Compute dtype.
    pub dtype: &'static str,
    /// Side of a square image, in pixels.
    pub size_px: u64,
    /// Transformer and autoencoder, on a processor: large matrices stay in their file, in its dtype, where products can read
    /// them there.
    pub weights_bytes: u64,
    /// The clean path of a scene.
    pub scene_bytes: u64,
    /// About what a guided step and decoding hold besides.
    pub working_bytes: u64,
}

/// Everything that `mdsd3 info` says of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelReport {
    /// Its name.
    pub name: String,
    /// Family and release, in words.
    pub family: String,
    /// Shape of the transformer.
    pub config: MmditConfig,
    /// Whether the transformer has a clean path.
    pub clean_path: bool,
    /// Class names with the heads they own.
    pub classes: Vec<(String, Vec<usize>)>,
    /// Its parts.
    pub parts: Vec<PartReport>,
    /// Image sides must be multiples of this, in pixels.
    pub size_multiple_px: usize,
    /// Largest image side, in pixels.
    pub max_size_px: usize,
    /// What it lacks for a run, one line each.
    pub missing: Vec<String>,
    /// Tensors that it has no place for.
    pub unknown: Vec<String>,
    /// Memory per dtype and size.
    pub memory: Vec<MemoryReport>,
}

impl ModelReport {
    /// Parameters that loading reads: all but the text encoders', which stay on disk until a prompt needs them.
    pub fn parameters_in_memory(&self) -> u64 {
        let stays_on_disk = |part: &&PartReport| !TEXT_PARTS.contains(&part.name.as_str());
        self.parts
            .iter()
            .filter(stays_on_disk)
            .map(|part| part.parameters)
            .sum()
    }
}

/// What a transformer lacks and has too much of.
pub(crate) struct TransformerCheck {
    pub clean_path: bool,
    pub missing: Vec<String>,
    pub unknown: Vec<String>,
}

impl TransformerCheck {
    pub fn of(
        config: &MmditConfig,
        weights: &Weights,
        adapter: Option<&Adapter>,
        encoders: [Option<&Weights>; 3],
    ) -> Result<Self, ModelError> {
        let (weights, extra) = match adapter {
            Some(adapter) => {
                let applied = adapter.over(weights, encoders, config, DType::F32, &Device::Cpu)?;
                (applied.transformer.base().clone(), applied.homeless().to_vec())
            }
            None => (weights.clone(), Vec::new()),
        };
        let skeleton = Skeleton::new(Some(&weights));
        let transformer = Mmdit::new(config, skeleton.builder())?;
        let (missing, mut unknown) = compare(&weights, &skeleton.shapes());
        unknown.extend(extra);
        Ok(Self {
            clean_path: transformer.has_clean_path(),
            missing,
            unknown,
        })
    }
}

/// (what is asked for and missing or of another shape, what is there and not asked for)
pub(crate) fn compare(weights: &Weights, asked: &BTreeMap<String, Vec<usize>>) -> (Vec<String>, Vec<String>) {
    let lacking = |(name, shape): (&String, &Vec<usize>)| match weights.shape(name) {
        None => Some(format!("tensor {name}")),
        Some(found) if found != *shape => Some(format!("tensor {name} of shape {shape:?} (it has {found:?})")),
        Some(_) => None,
    };
    let missing = asked.iter().filter_map(lacking).collect();
    let unknown = weights
        .keys()
        .filter(|key| !asked.contains_key(*key))
        .map(str::to_owned)
        .collect();
    (missing, unknown)
}

pub(crate) fn classes(config: &MmditConfig) -> Vec<(String, Vec<usize>)> {
    let heads = class_heads(config.classes.len(), config.num_attention_heads);
    config
        .classes
        .iter()
        .cloned()
        .zip(heads.into_iter().map(Iterator::collect))
        .collect()
}

pub(crate) fn dtypes(weights: &Weights) -> Vec<String> {
    let mut dtypes: Vec<String> = weights
        .keys()
        .filter_map(|key| Some(weights.facts(key)?.dtype))
        .collect();
    dtypes.sort();
    dtypes.dedup();
    dtypes
}

pub(crate) fn part_report(name: &str, weights: &Weights) -> PartReport {
    PartReport {
        name: name.to_owned(),
        parameters: weights.parameters(),
        dtypes: dtypes(weights),
        file: weights.name().to_owned(),
    }
}

/// Weights are counted exactly, as a processor holds them, the rest estimated: a guided step holds two branches' tokens a dozen times over, four of
/// them at the feed-forward's width.
pub(crate) fn memory(
    config: &MmditConfig,
    transformer_bytes: impl Fn(DType) -> u64,
    autoencoder: u64,
    token_px: usize,
    sizes_px: &[u64],
) -> Vec<MemoryReport> {
    let width = config.width() as u64;
    let row = |dtype: DType, size_px: u64| {
        let bytes = dtype.size_in_bytes() as u64;
        let tokens = (size_px / token_px as u64).pow(2);
        let step = 2 * (tokens + PROMPT_TOKENS as u64) * width * bytes * 24;
        let decoding = if autoencoder == 0 {
            0
        } else {
            size_px.min(WHOLE_PX).pow(2) * 4 * DECODER_VALUES_PER_PX
        };
        MemoryReport {
            dtype: dtype.as_str(),
            size_px,
            weights_bytes: transformer_bytes(dtype) + autoencoder * 4,
            scene_bytes: 3 * tokens * width * bytes * config.num_layers as u64,
            working_bytes: step.max(decoding),
        }
    };
    let dtypes = [DType::F32, DType::BF16, DType::F16];
    sizes_px
        .iter()
        .flat_map(|&size| dtypes.map(|dtype| row(dtype, size)))
        .collect()
}
