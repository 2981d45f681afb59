//! What kind of model a checkpoint is, told by its tensor names.

use std::fmt;

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
    /// An MDSD3 adapter: something over a base checkpoint.
    Adapter,
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
            Self::Adapter => "MDSD3 adapter",
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
        if has("double_blocks.") || has("single_transformer_blocks.") {
            Self::Flux
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
        } else if has("lora_A.") || has("pos_embed_clean.") || has("zero_blocks.") {
            Self::Adapter
        } else if has("text_model.") || has("SelfAttention.") {
            Self::TextEncoder
        } else if starts("decoder.") || starts("first_stage_model.decoder.") {
            Self::Autoencoder
        } else {
            Self::Unknown
        }
    }

    /// The family of a diffusers pipeline or model class.
    pub fn of_class(class: &str) -> Self {
        match class {
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
                "this is an MDSD3 adapter, which needs a base: give the base with --model and this with --adapter"
                    .into()
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
