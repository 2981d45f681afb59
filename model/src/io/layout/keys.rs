//! Key maps: names of the single-file layout to diffusers' names.
//!
//! Two things differ beyond names. The single file joins query, key and value into one matrix, and it stores (shift,
//! scale) in the output layer's and the last context block's modulation, where diffusers' `AdaLayerNormContinuous` has
//! (scale, shift). The autoencoder's attention is 1x1 convolutions there and matrices in diffusers.

use crate::io::checkpoint::Part;

/// Names that a tensor serves; empty when it is unknown.
pub type Names = Vec<(String, Part)>;

fn whole(name: String) -> Names {
    vec![(name, Part::Whole)]
}

/// Splits `attn.qkv.weight` into (`attn.qkv`, `weight`).
fn split_suffix(key: &str) -> Option<(&str, &str)> {
    key.rsplit_once('.')
        .filter(|(_, suffix)| matches!(*suffix, "weight" | "bias"))
}

/// The transformer's names, `key` being what follows `model.diffusion_model.`.
pub fn transformer(key: &str, blocks: usize) -> Names {
    if key == "pos_embed" {
        return whole("pos_embed.pos_embed".into());
    }
    // Clean path and diffusers' own names pass as they are.
    if [
        "transformer_blocks.",
        "pos_embed_clean.",
        "pos_embed.",
        "time_text_embed.",
        "norm_out.",
        "proj_out.",
    ]
    .iter()
    .any(|p| key.starts_with(p))
    {
        return whole(key.into());
    }
    let Some((module, suffix)) = split_suffix(key) else {
        return Names::new();
    };
    if let Some(rest) = module.strip_prefix("joint_blocks.") {
        let Some((index, rest)) = rest.split_once('.') else {
            return Names::new();
        };
        let Ok(index) = index.parse::<usize>() else {
            return Names::new();
        };
        return joint_block(
            rest,
            suffix,
            &format!("transformer_blocks.{index}"),
            index + 1 == blocks,
        );
    }
    let Some((_, name)) = OUTER_MODULES.iter().find(|(own, _)| *own == module) else {
        return Names::new();
    };
    let part = if *name == "norm_out.linear" {
        Part::HalvesSwapped
    } else {
        Part::Whole
    };
    vec![(format!("{name}.{suffix}"), part)]
}

/// Modules outside of the blocks, with diffusers' names.
const OUTER_MODULES: [(&str, &str); 8] = [
    ("x_embedder.proj", "pos_embed.proj"),
    ("t_embedder.mlp.0", "time_text_embed.timestep_embedder.linear_1"),
    ("t_embedder.mlp.2", "time_text_embed.timestep_embedder.linear_2"),
    ("y_embedder.mlp.0", "time_text_embed.text_embedder.linear_1"),
    ("y_embedder.mlp.2", "time_text_embed.text_embedder.linear_2"),
    ("context_embedder", "context_embedder"),
    ("final_layer.linear", "proj_out"),
    ("final_layer.adaLN_modulation.1", "norm_out.linear"),
];

/// Modules of a block, with diffusers' names: three where query, key and value are joined.
const BLOCK_MODULES: [(&str, &[&str]); 18] = [
    ("x_block.attn.qkv", &["attn.to_q", "attn.to_k", "attn.to_v"]),
    ("x_block.attn2.qkv", &["attn2.to_q", "attn2.to_k", "attn2.to_v"]),
    (
        "context_block.attn.qkv",
        &["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"],
    ),
    ("x_block.attn.proj", &["attn.to_out.0"]),
    ("x_block.attn.ln_q", &["attn.norm_q"]),
    ("x_block.attn.ln_k", &["attn.norm_k"]),
    ("x_block.attn2.proj", &["attn2.to_out.0"]),
    ("x_block.attn2.ln_q", &["attn2.norm_q"]),
    ("x_block.attn2.ln_k", &["attn2.norm_k"]),
    ("x_block.adaLN_modulation.1", &["norm1.linear"]),
    ("x_block.mlp.fc1", &["ff.net.0.proj"]),
    ("x_block.mlp.fc2", &["ff.net.2"]),
    ("context_block.attn.proj", &["attn.to_add_out"]),
    ("context_block.attn.ln_q", &["attn.norm_added_q"]),
    ("context_block.attn.ln_k", &["attn.norm_added_k"]),
    ("context_block.adaLN_modulation.1", &["norm1_context.linear"]),
    ("context_block.mlp.fc1", &["ff_context.net.0.proj"]),
    ("context_block.mlp.fc2", &["ff_context.net.2"]),
];

/// The single file's names of all modules of a transformer of so many blocks.
pub fn transformer_modules(blocks: usize) -> impl Iterator<Item = String> {
    let in_blocks = (0..blocks).flat_map(|i| BLOCK_MODULES.map(|(own, _)| format!("joint_blocks.{i}.{own}")));
    OUTER_MODULES
        .map(|(own, _)| own.to_owned())
        .into_iter()
        .chain(in_blocks)
}

fn joint_block(module: &str, suffix: &str, block: &str, last: bool) -> Names {
    let Some((_, names)) = BLOCK_MODULES.iter().find(|(own, _)| *own == module) else {
        return Names::new();
    };
    let part = |index: usize| match names.len() {
        1 if last && module == "context_block.adaLN_modulation.1" => Part::HalvesSwapped,
        1 => Part::Whole,
        of => Part::Rows { index, of },
    };
    let named = |(index, name): (usize, &&str)| (format!("{block}.{name}.{suffix}"), part(index));
    names.iter().enumerate().map(named).collect()
}

/// The KL autoencoder's names, `key` being what follows `first_stage_model.`; `levels` is the number of resolutions.
pub fn autoencoder(key: &str, levels: usize) -> Names {
    if key.contains("down_blocks.") || key.contains("up_blocks.") || key.contains("mid_block.") {
        return whole(key.into());
    }
    let Some((side, rest)) = key.split_once('.') else {
        return Names::new();
    };
    if matches!(side, "quant_conv" | "post_quant_conv") {
        return whole(key.into());
    }
    if !matches!(side, "encoder" | "decoder") {
        return Names::new();
    }
    let Some((module, suffix)) = split_suffix(rest) else {
        return Names::new();
    };
    let Some((module, part)) = autoencoder_module(module, suffix, levels) else {
        return Names::new();
    };
    vec![(format!("{side}.{module}.{suffix}"), part)]
}

fn autoencoder_module(module: &str, suffix: &str, levels: usize) -> Option<(String, Part)> {
    let steps: Vec<&str> = module.split('.').collect();
    let name = match steps.as_slice() {
        ["conv_in" | "conv_out"] => module.to_owned(),
        ["norm_out"] => "conv_norm_out".to_owned(),
        ["mid", "attn_1", which] => {
            let name = match *which {
                "norm" => "group_norm",
                "q" => "to_q",
                "k" => "to_k",
                "v" => "to_v",
                "proj_out" => "to_out.0",
                _ => return None,
            };
            let part = if suffix == "weight" && *which != "norm" {
                Part::Matrix
            } else {
                Part::Whole
            };
            return Some((format!("mid_block.attentions.0.{name}"), part));
        }
        ["mid", "block_1", rest] => format!("mid_block.resnets.0.{rest}"),
        ["mid", "block_2", rest] => format!("mid_block.resnets.1.{rest}"),
        ["down", level, "block", index, rest] => format!("down_blocks.{level}.resnets.{index}.{}", resnet_part(rest)),
        ["down", level, "downsample", "conv"] => format!("down_blocks.{level}.downsamplers.0.conv"),
        // The single file counts the decoder's levels from the image, diffusers from the latents.
        ["up", level, "block", index, rest] => {
            format!(
                "up_blocks.{}.resnets.{index}.{}",
                mirrored(level, levels)?,
                resnet_part(rest)
            )
        }
        ["up", level, "upsample", "conv"] => format!("up_blocks.{}.upsamplers.0.conv", mirrored(level, levels)?),
        _ => return None,
    };
    Some((name, Part::Whole))
}

fn resnet_part(name: &str) -> &str {
    if name == "nin_shortcut" { "conv_shortcut" } else { name }
}

fn mirrored(level: &str, levels: usize) -> Option<usize> {
    levels.checked_sub(level.parse::<usize>().ok()?.checked_add(1)?)
}

/// Whether a name starts with a layer's number, as in the files that TAESD3's authors publish.
pub fn is_numbered(key: &str) -> bool {
    key.split_once('.')
        .is_some_and(|(index, _)| index.parse::<usize>().is_ok())
}

/// diffusers' name for a tensor of TAESD3's own encoder or decoder file (madebyollin/taesd, taesd.py). The decoder starts
/// with a clamp that has no weights and that diffusers leaves out of the numbering.
pub fn tiny_autoencoder(key: &str, decoder: bool) -> Option<String> {
    let (index, rest) = key.split_once('.')?;
    let index = index.parse::<usize>().ok()?;
    Some(if decoder {
        format!("decoder.layers.{}.{rest}", index.checked_sub(1)?)
    } else {
        format!("encoder.layers.{index}.{rest}")
    })
}

/// llama.cpp's names of a T5 encoder's tensors, and transformers'.
const LLAMA_T5: [(&str, &str); 10] = [
    ("attn_q", "layer.0.SelfAttention.q"),
    ("attn_k", "layer.0.SelfAttention.k"),
    ("attn_v", "layer.0.SelfAttention.v"),
    ("attn_o", "layer.0.SelfAttention.o"),
    ("attn_rel_b", "layer.0.SelfAttention.relative_attention_bias"),
    ("attn_norm", "layer.0.layer_norm"),
    ("ffn_gate", "layer.1.DenseReluDense.wi_0"),
    ("ffn_up", "layer.1.DenseReluDense.wi_1"),
    ("ffn_down", "layer.1.DenseReluDense.wo"),
    ("ffn_norm", "layer.1.layer_norm"),
];

/// transformers' name of a T5 encoder's tensor by llama.cpp's; `None` when it is unknown.
pub fn t5_of_llama(key: &str) -> Option<String> {
    let (module, suffix) = key.rsplit_once('.')?;
    let name = match module {
        "token_embd" => "shared".to_owned(),
        "enc.output_norm" => "encoder.final_layer_norm".to_owned(),
        _ => {
            let (block, own) = module.strip_prefix("enc.blk.")?.split_once('.')?;
            let (_, name) = LLAMA_T5.iter().find(|(known, _)| *known == own)?;
            format!("encoder.block.{block}.{name}")
        }
    };
    Some(format!("{name}.{suffix}"))
}

/// The most blocks that a checkpoint is believed to have; SD3.5-large has 38.
const MAX_BLOCKS: usize = 1000;

/// The largest number after `prefix` in the names that have one, plus 1: how many blocks or levels there are.
pub fn count<'a>(keys: impl Iterator<Item = &'a str>, prefix: &str) -> usize {
    let index = |key: &str| {
        key.strip_prefix(prefix)?
            .split('.')
            .next()?
            .parse::<usize>()
            .ok()?
            .checked_add(1)
    };
    keys.filter_map(index).filter(|&n| n <= MAX_BLOCKS).max().unwrap_or(0)
}
