//! Configs of parts that come without one, from the shapes of their tensors.

use serde_json::{Value, json};

use super::keys::count;
use crate::config::{MmditConfig, QkNorm};
use crate::error::ModelError;
use crate::io::checkpoint::Weights;

/// Head width of SD3, SD3.5 and of every CLIP and T5 that they come with.
const HEAD_DIM: usize = 64;
/// Latent side that SD3's positions are centred for, in latent pixels.
const SAMPLE_SIZE: usize = 128;
/// Scale and shift of SD3's latents.
const SCALING_FACTOR: f64 = 1.5305;
const SHIFT_FACTOR: f64 = 0.0609;

fn shape<const N: usize>(weights: &Weights, key: &str) -> Result<[usize; N], ModelError> {
    let bad = |what: String| ModelError::BadInput(format!("{}: {what}", weights.name()));
    let shape = weights.shape(key).ok_or_else(|| {
        bad(format!(
            "tensor {key} is missing, so the config can't be read from the shapes"
        ))
    })?;
    shape
        .clone()
        .try_into()
        .map_err(|_| bad(format!("tensor {key} has shape {shape:?}, not {N} dimensions")))
}

/// The transformer's config. `heads` decides where neither a QK norm nor SD3's head width of 64 does.
///
/// # Shapes
/// `weights` has diffusers' names.
pub fn transformer(weights: &Weights, heads: Option<usize>) -> Result<MmditConfig, ModelError> {
    let [width, in_channels, patch_size, _] = shape(weights, "pos_embed.proj.weight")?;
    let num_layers = count(weights.keys(), "transformer_blocks.");
    let [_, joint_attention_dim] = shape(weights, "context_embedder.weight")?;
    let [_, pooled_projection_dim] = shape(weights, "time_text_embed.text_embedder.linear_1.weight")?;
    let [token_values, _] = shape(weights, "proj_out.weight")?;
    let [_, positions, _] = shape(weights, "pos_embed.pos_embed")?;
    let norm = "transformer_blocks.0.attn.norm_q.weight";
    let normed: Option<[usize; 1]> = weights.contains(norm).then(|| shape(weights, norm)).transpose()?;
    let head_dim = head_dim(width, normed.map(|[dim]| dim), heads)
        .map_err(|e| ModelError::BadInput(format!("{}: {e}", weights.name())))?;
    let has_dual = |i: &usize| weights.contains(&format!("transformer_blocks.{i}.attn2.to_q.weight"));
    let config = MmditConfig {
        sample_size: SAMPLE_SIZE,
        patch_size,
        in_channels,
        out_channels: token_values / (patch_size * patch_size).max(1),
        num_layers,
        num_attention_heads: width / head_dim,
        attention_head_dim: head_dim,
        joint_attention_dim,
        caption_projection_dim: width,
        pooled_projection_dim,
        pos_embed_max_size: positions.isqrt(),
        qk_norm: normed.map(|_| QkNorm::RmsNorm),
        dual_attention_layers: (0..num_layers).filter(has_dual).collect(),
        neighbours: false,
        classes: Vec::new(),
    };
    config.check()?;
    Ok(config)
}

/// Whether a config describes these tensors, as far as shapes tell.
pub fn fits(weights: &Weights, config: &MmditConfig) -> bool {
    let norm = weights.shape("transformer_blocks.0.attn.norm_q.weight");
    let inferred = transformer(weights, Some(config.num_attention_heads));
    norm.is_none_or(|norm| norm == [config.attention_head_dim])
        && inferred.is_ok_and(|inferred| {
            let untold = MmditConfig {
                sample_size: config.sample_size,
                neighbours: config.neighbours,
                classes: config.classes.clone(),
                ..inferred
            };
            untold == *config
        })
}

fn head_dim(width: usize, normed: Option<usize>, heads: Option<usize>) -> Result<usize, String> {
    if let Some(heads) = heads {
        let dim = width.checked_div(heads).filter(|dim| dim * heads == width && *dim > 0);
        return dim.ok_or_else(|| format!("{heads} heads do not divide a width of {width}"));
    }
    if let Some(dim) = normed.filter(|&dim| dim > 0 && width.is_multiple_of(dim)) {
        return Ok(dim);
    }
    if width > 0 && width.is_multiple_of(HEAD_DIM) {
        return Ok(HEAD_DIM);
    }
    Err(format!(
        "a width of {width} is no multiple of SD3's head width {HEAD_DIM}, so the shapes don't tell the heads: give --heads, or put the transformer's config.json beside the file"
    ))
}

/// The KL autoencoder's config, as diffusers writes it.
///
/// # Shapes
/// `weights` has diffusers' names.
pub fn kl_autoencoder(weights: &Weights) -> Result<Value, ModelError> {
    let levels = count(weights.keys(), "encoder.down_blocks.");
    let channels = (0..levels)
        .map(|i| shape::<4>(weights, &format!("encoder.down_blocks.{i}.resnets.0.conv1.weight")).map(|[out, ..]| out))
        .collect::<Result<Vec<_>, _>>()?;
    let [_, latent_channels, _, _] = shape(weights, "decoder.conv_in.weight")?;
    // SD3's 32 groups, or the most that divide every width of a smaller autoencoder.
    let groups = channels
        .iter()
        .fold(32, |groups: usize, &c| groups.min(1 << c.trailing_zeros().min(5)));
    Ok(json!({
        "_class_name": "AutoencoderKL",
        "in_channels": 3,
        "out_channels": 3,
        "block_out_channels": channels,
        "down_block_types": vec!["DownEncoderBlock2D"; levels],
        "up_block_types": vec!["UpDecoderBlock2D"; levels],
        "layers_per_block": count(weights.keys(), "encoder.down_blocks.0.resnets."),
        "latent_channels": latent_channels,
        "norm_num_groups": groups,
        "use_quant_conv": weights.contains("quant_conv.weight"),
        "use_post_quant_conv": weights.contains("post_quant_conv.weight"),
        "scaling_factor": SCALING_FACTOR,
        "shift_factor": SHIFT_FACTOR,
        "force_upcast": true,
    }))
}

/// TAESD3's config, as diffusers writes it; TAESD3 is made in one shape.
pub fn tiny_autoencoder(weights: &Weights) -> Result<Value, ModelError> {
    let [channels, latent_channels, _, _] =
        shape(weights, "decoder.layers.1.weight").or_else(|_| shape(weights, "decoder.layers.0.weight"))?;
    Ok(json!({
        "_class_name": "AutoencoderTiny",
        "in_channels": 3,
        "out_channels": 3,
        "encoder_block_out_channels": vec![channels; 4],
        "decoder_block_out_channels": vec![channels; 4],
        "num_encoder_blocks": [1, 3, 3, 3],
        "num_decoder_blocks": [3, 3, 3, 1],
        "act_fn": "relu",
        "latent_channels": latent_channels,
        "upsampling_scaling_factor": 2,
        "latent_magnitude": 3,
        "latent_shift": 0.5,
        "scaling_factor": 1.0,
        "shift_factor": 0.0,
    }))
}

/// A CLIP text encoder's config, as transformers writes it. CLIP-L uses the quick form of GELU, CLIP-G the exact one;
/// what tells them apart is the width, at most 1024 for the first.
pub fn clip(weights: &Weights) -> Result<Value, ModelError> {
    let [vocabulary, width] = shape(weights, "text_model.embeddings.token_embedding.weight")?;
    let [positions, _] = shape(weights, "text_model.embeddings.position_embedding.weight")?;
    let [inner, _] = shape(weights, "text_model.encoder.layers.0.mlp.fc1.weight")?;
    let projection = if weights.contains("text_projection.weight") {
        shape::<2>(weights, "text_projection.weight")?[0]
    } else {
        width
    };
    Ok(json!({
        "hidden_size": width,
        "intermediate_size": inner,
        "max_position_embeddings": positions,
        "num_attention_heads": (width / HEAD_DIM).max(1),
        "num_hidden_layers": count(weights.keys(), "text_model.encoder.layers."),
        "projection_dim": projection,
        "vocab_size": vocabulary,
        "hidden_act": if width <= 1024 { "quick_gelu" } else { "gelu" },
        "layer_norm_eps": 1e-5,
        "bos_token_id": vocabulary.saturating_sub(2),
        "eos_token_id": vocabulary.saturating_sub(1),
        "pad_token_id": if width <= 1024 { vocabulary.saturating_sub(1) } else { 0 },
    }))
}

/// A T5 encoder's config, as transformers writes it.
pub fn t5(weights: &Weights) -> Result<Value, ModelError> {
    let [vocabulary, width] = shape(weights, "shared.weight")?;
    let [buckets, heads] = shape(
        weights,
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
    )?;
    let [inner_heads, _] = shape(weights, "encoder.block.0.layer.0.SelfAttention.q.weight")?;
    let [inner, _] = shape(weights, "encoder.block.0.layer.1.DenseReluDense.wi_0.weight")?;
    Ok(json!({
        "d_model": width,
        "d_kv": inner_heads / heads.max(1),
        "d_ff": inner,
        "num_heads": heads,
        "num_layers": count(weights.keys(), "encoder.block."),
        "vocab_size": vocabulary,
        "feed_forward_proj": "gated-gelu",
        "layer_norm_epsilon": 1e-6,
        "relative_attention_num_buckets": buckets,
        "relative_attention_max_distance": 128,
        "is_encoder_decoder": false,
        "tie_word_embeddings": false,
        "use_cache": false,
    }))
}
