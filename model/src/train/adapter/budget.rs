//! Memory of a training run, computed from its shapes.

use std::collections::BTreeMap;

use candle_core::DType;
use mdsd3_words::device::ComputeDtype;

use super::base::BaseModel;
use super::network::{Start, starts};
use super::recipe::AdapterRecipe;
use crate::config::MmditConfig;
use crate::device::format_of;
use crate::error::ModelError;

/// Bytes of an f32.
const F32: u64 = 4;
/// Host copies of a trained value: the value, its two moments, its moving average, its summed gradient.
const HOST_COPIES: u64 = 5;
/// Copies of a block's scores alive at once where attention isn't fused: products, scaled, shifted, exponentials, weights and
/// the gradients of two of them.
const SCORE_COPIES: u64 = 7;
/// Tensors of a block's streams that a backward pass holds, in token vectors of the model's width: norms, q, k, v, their joined
/// and split forms, attention, feed-forward (four widths, three times), gates, and as many gradients.
const STREAM_COPIES: u64 = 64;

/// Tokens of a prompt: CLIP's 77 and T5's 256, which are zeros without it.
const CONTEXT_TOKENS: u64 = 77 + 256;

/// Pixels per latent pixel side of SD3's autoencoder.
const PIXELS_PER_LATENT: u64 = 8;

/// A part of the memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub name: &'static str,
    /// Bytes on the compute device.
    pub device_bytes: u64,
    /// Bytes on the host.
    pub host_bytes: u64,
}

/// The memory of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Parts that are held at the same time.
    pub parts: Vec<Part>,
    /// Largest need while prompts are encoded, before training: the text encoders in f32.
    pub prompts_bytes: u64,
    /// Values that are trained.
    pub trained: u64,
    /// Values of the frozen transformer.
    pub frozen: u64,
}

impl Budget {
    /// Bytes on the compute device while training.
    pub fn device_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.device_bytes).sum()
    }

    /// Bytes on the host while training.
    pub fn host_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.host_bytes).sum()
    }
}

/// Computes the budget of a recipe; only headers of the checkpoint are read.
///
/// # Errors
/// Bad input as for a training of the recipe: files that are missing or don't fit.
pub fn budget(recipe: &AdapterRecipe, dtype: ComputeDtype) -> Result<Budget, ModelError> {
    let dtype = format_of(dtype);
    let base = BaseModel::open(recipe)?;
    let starts = starts(recipe, &base.config, &base.checkpoint.transformer)?;
    let encoders = base.checkpoint.text.encoders.iter().flatten();
    let values = Values {
        frozen: base.checkpoint.transformer.parameters(),
        autoencoder: base
            .checkpoint
            .autoencoder
            .as_ref()
            .map_or(0, |a| a.part.weights.parameters()),
        text: encoders.map(|e| e.weights.parameters()).sum(),
    };
    Ok(of_shapes(recipe, &base.config, &starts, &values, dtype))
}

/// How many values the frozen parts hold.
struct Values {
    frozen: u64,
    autoencoder: u64,
    text: u64,
}

fn of_shapes(
    recipe: &AdapterRecipe,
    config: &MmditConfig,
    starts: &BTreeMap<String, Start>,
    values: &Values,
    dtype: DType,
) -> Budget {
    let trained: u64 = starts.values().map(elements).sum();
    let size = dtype.size_in_bytes() as u64;
    let (width, batch) = (config.width() as u64, recipe.training.batch as u64);
    let side_tokens = u64::from(recipe.data.side) / (PIXELS_PER_LATENT * config.patch_size as u64);
    let image = side_tokens * side_tokens;
    let (tokens, layers) = (image + CONTEXT_TOKENS, config.num_layers as u64);
    let between = batch * (2 * image + CONTEXT_TOKENS) * width * size;
    let scores = SCORE_COPIES * batch * config.num_attention_heads as u64 * (tokens * tokens + image * image);
    let inside = (scores + STREAM_COPIES * batch * (tokens + image) * width) * size;
    let (kept, alive) = if recipe.training.checkpointing {
        (between * (layers + 1), inside)
    } else {
        (0, inside * layers)
    };
    let part = |name, device_bytes, host_bytes| Part {
        name,
        device_bytes,
        host_bytes,
    };
    Budget {
        parts: vec![
            // A clean path that starts as the image stream shares its frozen tensors, so it takes no memory of its own.
            part("frozen transformer", values.frozen * size, 0),
            part("trained tensors", trained * size, 0),
            part("gradients of a block", largest_block(starts) * size * 2, 0),
            part(
                "f32 values, moments, average, gradients",
                0,
                trained * F32 * HOST_COPIES,
            ),
            part("streams between blocks", kept, 0),
            part("activations and their gradients", alive, 0),
            part("autoencoder, f32", values.autoencoder * F32, 0),
        ],
        prompts_bytes: values.text * F32,
        trained,
        frozen: values.frozen,
    }
}

fn elements(start: &Start) -> u64 {
    start.shape.iter().map(|&side| side as u64).product()
}

/// Trained values of the block that has most of them.
fn largest_block(starts: &BTreeMap<String, Start>) -> u64 {
    let mut blocks: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, start) in starts {
        let block = name.split('.').nth(1).unwrap_or_default();
        *blocks.entry(block).or_default() += elements(start);
    }
    blocks.values().copied().max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::checkpoint::Weights;
    use crate::io::skeleton::Skeleton;
    use crate::mmdit::Mmdit;
    use crate::train::adapter::recipe::CleanPathMode;

    /// SD3-medium at 512 px, batch 1, bf16, in billions of bytes by part.
    fn sd3_medium(clean_path: CleanPathMode) -> Budget {
        let folder = tempfile::tempdir().unwrap();
        let mut recipe = crate::train::adapter::tests::recipe(folder.path(), "");
        (recipe.data.side, recipe.training.batch) = (512, 1);
        recipe.adapter.clean_path = clean_path;
        let config = MmditConfig::sd3_medium();
        let skeleton = Skeleton::new(None);
        Mmdit::with_clean_path(&config, skeleton.builder(), false).unwrap();
        let names: std::collections::HashMap<String, candle_core::Tensor> = std::collections::HashMap::new();
        let nothing = Weights::parse(&safetensors::serialize(&names, None).unwrap(), "nothing").unwrap();
        let starts = starts(&recipe, &config, &nothing).unwrap();
        let values = Values {
            frozen: skeleton
                .shapes()
                .values()
                .map(|s| s.iter().product::<usize>() as u64)
                .sum(),
            autoencoder: 83_819_683,
            text: 123_650_304 + 694_659_840 + 4_762_310_656,
        };
        of_shapes(&recipe, &config, &starts, &values, DType::BF16)
    }

    #[test]
    fn sd3_medium_fits_a_gpu_of_24_gb() {
        for mode in [CleanPathMode::LowRank, CleanPathMode::Trained] {
            let budget = sd3_medium(mode);
            for part in &budget.parts {
                println!(
                    "{}: {:.3} {:.3}",
                    part.name,
                    part.device_bytes as f64 / 1e9,
                    part.host_bytes as f64 / 1e9
                );
            }
            println!("{mode:?} {} of {}", budget.trained, budget.frozen);
            assert!(
                (2_000_000_000..2_300_000_000).contains(&budget.frozen),
                "{}",
                budget.frozen
            );
            assert!(budget.device_bytes() < 24_000_000_000, "{:?}", budget.parts);
        }
    }
}
