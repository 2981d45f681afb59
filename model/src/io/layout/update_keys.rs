//! What a tensor's name in an adapter file says of the update that it belongs to, as every trainer writes it.
//!
//! | trainer | names |
//! |---|---|
//! | diffusers, PEFT | `transformer.transformer_blocks.0.attn.to_q.lora_A.weight`, `base_model.model.` in front, `.default` inside |
//! | kohya's sd-scripts | `lora_unet_joint_blocks_0_x_block_attn_qkv.lora_down.weight`, `lora_te1_...` |
//! | `OneTrainer` | `lora_transformer_transformer_blocks_0_attn_to_q.lora_down.weight` |
//! | `SimpleTuner`, LyCORIS | `lycoris_transformer_blocks_0_attn_to_q.lokr_w1` |
//! | ComfyUI | `diffusion_model.joint_blocks.0.x_block.attn.qkv.lora_A.weight` |

/// Which network of a checkpoint a tensor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Home {
    Transformer,
    /// A text encoder by its index: CLIP-L, CLIP-G, T5.
    Encoder(usize),
}

impl Home {
    /// What PEFT configs in diffusers' metadata put before their fields.
    pub fn section(self) -> &'static str {
        match self {
            Self::Transformer => "transformer",
            Self::Encoder(0) => "text_encoder",
            Self::Encoder(1) => "text_encoder_2",
            Self::Encoder(_) => "text_encoder_3",
        }
    }
}

/// What a tensor is to the update of its module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Piece {
    /// `lora_A`, `lora_B` and what is added to the bias.
    Down,
    Up,
    UpBias,
    /// The scale's numerator.
    Alpha,
    /// DoRA's magnitude: PEFT's, and LyCORIS'.
    MagnitudeVector,
    DoraScale,
    /// Factors of a Kronecker product, whole or as products themselves.
    Kron1,
    Kron1A,
    Kron1B,
    Kron2,
    Kron2A,
    Kron2B,
    /// Factors of an elementwise product of two products.
    Hada1A,
    Hada1B,
    Hada2A,
    Hada2B,
}

/// Halves of a low-rank update, by what stands between module and `weight`.
const HALVES: [(&str, Piece); 6] = [
    (".lora_A", Piece::Down),
    (".lora_down", Piece::Down),
    (".lora.down", Piece::Down),
    (".lora_B", Piece::Up),
    (".lora_up", Piece::Up),
    (".lora.up", Piece::Up),
];

/// Pieces whose names end with the mark.
const MARKS: [(&str, Piece); 12] = [
    ("alpha", Piece::Alpha),
    ("dora_scale", Piece::DoraScale),
    ("lokr_w1", Piece::Kron1),
    ("lokr_w1_a", Piece::Kron1A),
    ("lokr_w1_b", Piece::Kron1B),
    ("lokr_w2", Piece::Kron2),
    ("lokr_w2_a", Piece::Kron2A),
    ("lokr_w2_b", Piece::Kron2B),
    ("hada_w1_a", Piece::Hada1A),
    ("hada_w1_b", Piece::Hada1B),
    ("hada_w2_a", Piece::Hada2A),
    ("hada_w2_b", Piece::Hada2B),
];

/// Beginnings of name parts that only updates have, of kinds that are read and of others.
const UPDATE_BEGINNINGS: [&str; 8] = ["lora_", "lokr_", "hada_", "dora_", "oft_", "boft_", "vera_", "ia3_"];
/// Name parts that only updates of other kinds have: full differences, IA3, `GLoRA`.
const UPDATE_PARTS: [&str; 7] = ["diff", "diff_b", "on_input", "a1", "a2", "b1", "b2"];

/// A tensor of an update: its module, and what it is to it; `None` for a kind that isn't read.
#[derive(Debug, PartialEq, Eq)]
pub struct UpdateKey<'a> {
    pub module: &'a str,
    pub piece: Option<Piece>,
}

/// Tells tensors of updates from others, for which it is `None`.
pub fn update_key(key: &str) -> Option<UpdateKey<'_>> {
    for (mark, piece) in HALVES {
        let Some((module, rest)) = key.split_once(mark) else {
            continue;
        };
        // PEFT may put the adapter's name, without dots, before the last part.
        let piece = match rest.rsplit_once('.') {
            Some((name, "weight")) if is_adapter_name(name) => Some(piece),
            Some((name, "bias")) if is_adapter_name(name) && piece == Piece::Up => Some(Piece::UpBias),
            _ => None,
        };
        return Some(UpdateKey { module, piece });
    }
    if let Some((module, rest)) = key.split_once(".lora_magnitude_vector") {
        let piece = is_adapter_name(rest.strip_suffix(".weight").unwrap_or(rest)).then_some(Piece::MagnitudeVector);
        return Some(UpdateKey { module, piece });
    }
    let (module, last) = key.rsplit_once('.')?;
    if let Some((_, piece)) = MARKS.iter().find(|(mark, _)| *mark == last) {
        let piece = Some(*piece);
        return Some(UpdateKey { module, piece });
    }
    let module = module_of_unread(key)?;
    Some(UpdateKey { module, piece: None })
}

/// What stands before the first name part that is an update's.
fn module_of_unread(key: &str) -> Option<&str> {
    let mut end = 0;
    for part in key.split('.') {
        // The first part may begin with `lora_` as a trainer's prefix.
        let is_mark = UPDATE_PARTS.contains(&part) || UPDATE_BEGINNINGS.iter().any(|mark| part.starts_with(mark));
        if end > 0 && is_mark {
            return Some(&key[..end - 1]);
        }
        end += part.len() + 1;
    }
    None
}

fn is_adapter_name(name: &str) -> bool {
    name.is_empty()
        || name
            .strip_prefix('.')
            .is_some_and(|name| !name.is_empty() && !name.contains('.'))
}

/// What trainers put before names of a network, longest first where one begins with another.
const PREFIXES: [(&str, Home); 13] = [
    ("text_encoders.clip_l.transformer.", Home::Encoder(0)),
    ("text_encoders.clip_g.transformer.", Home::Encoder(1)),
    ("text_encoders.t5xxl.transformer.", Home::Encoder(2)),
    ("text_encoder.", Home::Encoder(0)),
    ("text_encoder_2.", Home::Encoder(1)),
    ("text_encoder_3.", Home::Encoder(2)),
    ("lora_te1_", Home::Encoder(0)),
    ("lora_te2_", Home::Encoder(1)),
    ("lora_te3_", Home::Encoder(2)),
    ("lora_transformer_", Home::Transformer),
    ("lora_unet_", Home::Transformer),
    ("lycoris_", Home::Transformer),
    ("unet.", Home::Transformer),
];

/// What may come before the transformer's own names, one after the other.
const TRANSFORMER_PREFIXES: [&str; 4] = [
    "base_model.model.",
    "transformer.",
    "model.diffusion_model.",
    "diffusion_model.",
];

/// A name without its trainer's prefix, and the network it belongs to. Underscores stand for dots in some trainers' names;
/// they stay.
pub fn at_home(name: &str) -> (Home, &str) {
    let name = name.strip_prefix(TRANSFORMER_PREFIXES[0]).unwrap_or(name);
    if let Some((prefix, home)) = PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        return (*home, &name[prefix.len()..]);
    }
    let strip = |name, prefix: &&str| str::strip_prefix(name, prefix).unwrap_or(name);
    (Home::Transformer, TRANSFORMER_PREFIXES.iter().fold(name, strip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_trainer_are_understood() {
        let down = [
            "transformer.transformer_blocks.0.attn.to_q.lora_A.weight",
            "base_model.model.transformer_blocks.0.attn.to_q.lora_A.default.weight",
            "transformer_blocks.0.attn.to_q.lora.down.weight",
            "unet.transformer_blocks.0.attn.to_q.lora_down.weight",
        ];
        for name in down {
            let key = update_key(name).unwrap();
            assert_eq!(key.piece, Some(Piece::Down), "{name}");
            assert_eq!(
                at_home(key.module),
                (Home::Transformer, "transformer_blocks.0.attn.to_q")
            );
        }
        let piece = |name| update_key(name).and_then(|key| key.piece);
        assert_eq!(piece("a.lora_B.bias"), Some(Piece::UpBias));
        assert_eq!(
            piece("a.lora_magnitude_vector.default.weight"),
            Some(Piece::MagnitudeVector)
        );
        assert_eq!(piece("lycoris_a_b.lokr_w2_a"), Some(Piece::Kron2A));
        assert_eq!(at_home("lora_te2_text_model_a"), (Home::Encoder(1), "text_model_a"));
        assert_eq!(
            at_home("diffusion_model.joint_blocks.0.x"),
            (Home::Transformer, "joint_blocks.0.x")
        );
    }

    #[test]
    fn kinds_that_are_not_read_are_still_told_from_a_models_own_tensors() {
        for name in [
            "lora_unet_a.lora_mid.weight",
            "a.lora_A.bias",
            "a.lora_embedding_A",
            "a.lokr_t2",
            "a.oft_blocks",
            "a.oft_R.default.weight",
            "a.diff_b",
            "a.vera_lambda_b",
            "a.lora_A.one.two.weight",
        ] {
            let key = update_key(name).unwrap_or_else(|| panic!("{name} passes as a model's own"));
            assert_eq!((key.piece, key.module.contains('a')), (None, true), "{name}");
        }
        assert_eq!(update_key("transformer_blocks.0.attn.to_q_clean.weight"), None);
        assert_eq!(update_key("transformer_blocks.0.attn.zero_blocks.0.bias"), None);
    }
}
