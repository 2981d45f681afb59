//! What kind of model a checkpoint is, told by its tensor names.

use std::fmt;

use super::update_keys::update_key;

/// A family of checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Stable Diffusion 3 and 3.5: what this program runs.
    Sd3,
    /// Stable Diffusion XL.
    Sdxl,
    /// Stable Diffusion 1.
    Sd1,
    /// Stable Diffusion 2.
    Sd2,
    /// Flux.
    Flux,
    /// `PixArt`.
    PixArt,
    /// An adapter: something over a base checkpoint.
    Adapter,
    /// A `ControlNet` of Stable Diffusion 3.
    ControlNet,
    /// Weights of 4 or 8 bits in a form of `bitsandbytes`' own.
    BitsAndBytes,
    /// A model or adapter of the research code behind the notes, whose clean path computes something else.
    ResearchCode,
    /// A transformer saved with PEFT's layers in it.
    Unmerged,
    /// An autoencoder alone.
    Autoencoder,
    /// A text encoder alone.
    TextEncoder,
    /// Something else.
    Unknown,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sd3 => "Stable Diffusion 3",
            Self::Sdxl => "Stable Diffusion XL",
            Self::Sd1 => "Stable Diffusion 1",
            Self::Sd2 => "Stable Diffusion 2",
            Self::Flux => "Flux",
            Self::PixArt => "PixArt",
            Self::Adapter => "adapter",
            Self::ControlNet => "ControlNet",
            Self::BitsAndBytes => "bitsandbytes",
            Self::ResearchCode => "MDSD3 research code",
            Self::Unmerged => "unmerged PEFT",
            Self::Autoencoder => "autoencoder",
            Self::TextEncoder => "text encoder",
            Self::Unknown => "unknown",
        })
    }
}

impl Family {
    /// The family of a set of tensor names.
    pub fn of_keys<'a>(keys: impl Iterator<Item = &'a str>) -> Self {
        let keys: Vec<&str> = keys.collect();
        let has = |piece: &str| keys.iter().any(|k| k.contains(piece));
        let starts = |piece: &str| keys.iter().any(|k| k.starts_with(piece));
        if has("norm1_clean.") {
            Self::ResearchCode
        } else if has(".base_layer.") {
            Self::Unmerged
        } else if keys.iter().any(|k| update_key(k).is_some()) {
            Self::Adapter
        } else if has("double_blocks.") || has("single_transformer_blocks.") {
            Self::Flux
        } else if has("controlnet_blocks.") || starts("control_model.") || has("controlnet_x_embedder.") {
            Self::ControlNet
        } else if has(".quant_state.bitsandbytes")
            || has(".absmax")
            || keys.iter().any(|k| k.rsplit('.').next() == Some("SCB"))
        {
            Self::BitsAndBytes
        } else if has("adaln_single.") {
            Self::PixArt
        } else if has("joint_blocks.0.") || has("transformer_blocks.0.attn.add_q_proj.weight") {
            Self::Sd3
        } else if has("conditioner.embedders.")
            || has("input_blocks.") && has("label_emb.")
            || has("add_embedding.linear_1.")
        {
            Self::Sdxl
        } else if has("cond_stage_model.model.") {
            Self::Sd2
        } else if has("cond_stage_model.")
            || has("input_blocks.")
            || has("down_blocks.0.attentions.") && has("time_embedding.")
        {
            Self::Sd1
        } else if has("pos_embed_clean.") || has("zero_blocks.") {
            Self::Adapter
        } else if has("text_model.") || has("SelfAttention.") || has("enc.blk.") {
            Self::TextEncoder
        } else if ["", "first_stage_model.", "vae."]
            .iter()
            .any(|prefix| starts(&format!("{prefix}decoder.")))
        {
            Self::Autoencoder
        } else {
            Self::Unknown
        }
    }

    /// The family of a diffusers pipeline or model class.
    pub fn of_class(class: &str) -> Self {
        match class {
            c if c.contains("ControlNet") && c.starts_with("SD3") => Self::ControlNet,
            c if c.starts_with("StableDiffusion3") || c.starts_with("SD3") => Self::Sd3,
            c if c.starts_with("StableDiffusionXL") => Self::Sdxl,
            c if c.starts_with("Flux") => Self::Flux,
            c if c.starts_with("PixArt") => Self::PixArt,
            c if c.starts_with("StableDiffusion") || c == "UNet2DConditionModel" => Self::Sd1,
            c if c.starts_with("Autoencoder") => Self::Autoencoder,
            c if c.starts_with("CLIPText") || c.starts_with("T5") => Self::TextEncoder,
            _ => Self::Unknown,
        }
    }

    /// What it is and what to do instead, for a checkpoint that was given as the model.
    pub fn refusal(self) -> String {
        match self {
            Self::Adapter => {
                "this is an adapter, which needs a base: give the base with --model and this with --adapter".into()
            }
            Self::ControlNet => "this is a ControlNet, which none of the method here uses; give the Stable Diffusion 3 model itself".into(),
            Self::BitsAndBytes => {
                "these weights are quantised by bitsandbytes (NF4 or 8 bits), which isn't read here; give the model in f16, bf16, fp8 or GGUF".into()
            }
            Self::ResearchCode => {
                "saved by the research code behind MDSD3 (pinht126/MDSD3), whose clean path isn't the notes': it is modulated by timestep and prompt (norm1_clean), its attention isn't split into heads, it takes latents without their shift, and updates count twice; docs/sd3-checkpoints.md says more, `mdsd3 train` trains an adapter of the notes' clean path".into()
            }
            Self::Unmerged => {
                "a transformer saved with PEFT's layers in it (base_layer); save it after fuse_lora and unload_lora_weights, or its adapter with save_lora_weights".into()
            }
            Self::Autoencoder => "this is an autoencoder alone: give it with --vae beside --model".into(),
            Self::TextEncoder => "this is a text encoder alone: give it with --text-encoder beside --model".into(),
            Self::Unknown => {
                "no Stable Diffusion 3 checkpoint: its tensor names belong to no layout that is known here".into()
            }
            other => format!(
                "this is a {other} checkpoint, and only Stable Diffusion 3 can be masked here (SD3-medium, SD3.5-medium, SD3.5-large)"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_told_by_their_names() {
        let cases = [
            (
                "model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight",
                Family::Sd3,
            ),
            ("transformer_blocks.0.attn.add_q_proj.weight", Family::Sd3),
            ("double_blocks.0.img_attn.qkv.weight", Family::Flux),
            (
                "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight",
                Family::Sdxl,
            ),
            (
                "cond_stage_model.transformer.text_model.final_layer_norm.weight",
                Family::Sd1,
            ),
            ("cond_stage_model.model.ln_final.weight", Family::Sd2),
            (
                "transformer.transformer_blocks.0.attn.to_q_clean.lora_A.weight",
                Family::Adapter,
            ),
            ("joint_blocks.0.x_block.attn.qkv.lora_A.weight", Family::Adapter),
            ("lora_unet_joint_blocks_0_x_block_attn_qkv.alpha", Family::Adapter),
            (
                "transformer.transformer_blocks.0.norm1_clean.linear.lora_A.weight",
                Family::ResearchCode,
            ),
            ("transformer_blocks.0.attn.to_q.base_layer.weight", Family::Unmerged),
            ("controlnet_blocks.0.weight", Family::ControlNet),
            (
                "transformer_blocks.0.attn.to_q.weight.quant_state.bitsandbytes__nf4",
                Family::BitsAndBytes,
            ),
            ("enc.blk.0.attn_q.weight", Family::TextEncoder),
            ("first_stage_model.decoder.conv_in.weight", Family::Autoencoder),
            ("encoder.block.0.layer.0.SelfAttention.q.weight", Family::TextEncoder),
            ("layers.3.weight", Family::Unknown),
        ];
        for (key, family) in cases {
            assert_eq!(Family::of_keys([key].into_iter()), family, "{key}");
        }
        assert!(Family::Sdxl.refusal().contains("Stable Diffusion XL"));
    }
}
