//! Which network a file holds and in which layout, told by the names of its tensors.
//!
//! The names used here are those of the release for transformers; the original repository's are mapped to them.

use crate::error::ModelError;
use crate::io::checkpoint::{Part, Weights};
use crate::io::layout::Family;

/// Pieces of the original repository's names, and what the release for transformers writes in their place.
const ORIGINAL: &[(&str, &str)] = &[
    ("pretrained.blocks.", "backbone.encoder.layer."),
    (
        "pretrained.patch_embed.proj.",
        "backbone.embeddings.patch_embeddings.projection.",
    ),
    ("pretrained.cls_token", "backbone.embeddings.cls_token"),
    ("pretrained.mask_token", "backbone.embeddings.mask_token"),
    ("pretrained.pos_embed", "backbone.embeddings.position_embeddings"),
    ("pretrained.norm.", "backbone.layernorm."),
    (".attn.proj.", ".attention.output.dense."),
    (".ls1.gamma", ".layer_scale1.lambda1"),
    (".ls2.gamma", ".layer_scale2.lambda1"),
    ("depth_head.projects.0.", "neck.reassemble_stage.layers.0.projection."),
    ("depth_head.projects.1.", "neck.reassemble_stage.layers.1.projection."),
    ("depth_head.projects.2.", "neck.reassemble_stage.layers.2.projection."),
    ("depth_head.projects.3.", "neck.reassemble_stage.layers.3.projection."),
    ("depth_head.resize_layers.0.", "neck.reassemble_stage.layers.0.resize."),
    ("depth_head.resize_layers.1.", "neck.reassemble_stage.layers.1.resize."),
    ("depth_head.resize_layers.3.", "neck.reassemble_stage.layers.3.resize."),
    ("depth_head.scratch.layer1_rn.", "neck.convs.0."),
    ("depth_head.scratch.layer2_rn.", "neck.convs.1."),
    ("depth_head.scratch.layer3_rn.", "neck.convs.2."),
    ("depth_head.scratch.layer4_rn.", "neck.convs.3."),
    ("depth_head.scratch.refinenet4.", "neck.fusion_stage.layers.0."),
    ("depth_head.scratch.refinenet3.", "neck.fusion_stage.layers.1."),
    ("depth_head.scratch.refinenet2.", "neck.fusion_stage.layers.2."),
    ("depth_head.scratch.refinenet1.", "neck.fusion_stage.layers.3."),
    (".out_conv.", ".projection."),
    (".resConfUnit1.conv", ".residual_layer1.convolution"),
    (".resConfUnit2.conv", ".residual_layer2.convolution"),
    ("depth_head.scratch.output_conv1.", "head.conv1."),
    ("depth_head.scratch.output_conv2.0.", "head.conv2."),
    ("depth_head.scratch.output_conv2.2.", "head.conv3."),
];

/// Queries, keys and values, which the original repository stores as one.
const JOINT: &str = ".attn.qkv.";

/// What both layouts hold and nothing computes with: what stood for hidden patches in the encoder's training, and what would
/// join a coarser layer than the coarsest.
const UNUSED: [&str; 2] = [
    "backbone.embeddings.mask_token",
    "neck.fusion_stage.layers.0.residual_layer1.",
];

/// Other networks for depth, by a piece of a name that none of the others has.
const OTHERS: &[(&str, &str)] = &[
    ("depth_pro.", "Depth Pro"),
    ("patch_encoder.", "Depth Pro"),
    ("motion_modules.", "Video Depth Anything"),
    ("prompt_depth_layer", "Prompt Depth Anything"),
    ("metric_head.", "ZoeDepth"),
    ("core.core.", "ZoeDepth"),
    ("conditional_log_binomial.", "ZoeDepth"),
    ("glpn.", "GLPN"),
    ("dpt.", "DPT (MiDaS)"),
    ("pretrained.model.", "DPT (MiDaS)"),
    ("pretrained.layer1.", "MiDaS"),
    ("register_tokens", "a network over DINOv2 with registers"),
    (".mlp.w12.", "Depth Anything in its giant size"),
    (".mlp.weights_in.", "Depth Anything in its giant size"),
    ("backbone.pretrained.", "Depth Anything 3"),
];

/// The layouts in which Depth Anything is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DepthLayout {
    /// The original repository's names.
    Original,
    /// The names of the release for transformers.
    Transformers,
}

impl DepthLayout {
    /// The layout of a file of Depth Anything.
    ///
    /// # Errors
    /// Bad input that says which other network it is, as far as its names tell.
    pub fn of(weights: &Weights) -> Result<Self, ModelError> {
        if let Some((_, other)) = OTHERS
            .iter()
            .find(|(piece, _)| weights.keys().any(|key| key.contains(piece)))
        {
            return Err(refused(weights, &format!("this is {other}")));
        }
        if weights.contains("pretrained.cls_token") && weights.keys().any(|key| key.starts_with("depth_head.")) {
            return Ok(Self::Original);
        }
        if weights.contains("backbone.embeddings.cls_token") && weights.keys().any(|key| key.starts_with("neck.")) {
            return Ok(Self::Transformers);
        }
        let is_encoder = |key: &str| {
            key.ends_with("cls_token") && (weights.contains("pos_embed") || key.starts_with("embeddings."))
                || key.starts_with("pretrained.")
                || key.starts_with("backbone.embeddings.")
        };
        let family = Family::of_keys(weights.keys());
        Err(if weights.keys().any(is_encoder) {
            refused(
                weights,
                "this is a vision encoder without the head that makes depth of its tokens",
            )
        } else if family == Family::Unknown {
            refused(
                weights,
                "its tensor names belong to no depth network that is known here",
            )
        } else {
            refused(weights, &format!("this is a checkpoint of another kind ({family})"))
        })
    }

    /// The same weights under the names of the release for transformers, without those that nothing computes with. Names that
    /// the map doesn't know stay, so that they are noticed.
    pub fn renamed(self, weights: &Weights) -> Weights {
        weights.renamed(|stored| {
            let names = match self {
                Self::Transformers => vec![(stored.to_owned(), Part::Whole)],
                Self::Original => from_original(stored),
            };
            let is_used = |(name, _): &(String, Part)| !UNUSED.iter().any(|unused| name.starts_with(unused));
            names.into_iter().filter(is_used).collect()
        })
    }
}

fn from_original(stored: &str) -> Vec<(String, Part)> {
    let name = ORIGINAL
        .iter()
        .fold(stored.to_owned(), |name, (from, to)| name.replace(from, to));
    if !name.contains(JOINT) {
        return vec![(name, Part::Whole)];
    }
    let part = |(index, part): (usize, &str)| {
        let name = name.replace(JOINT, &format!(".attention.attention.{part}."));
        (name, Part::Rows { index, of: 3 })
    };
    ["query", "key", "value"].into_iter().enumerate().map(part).collect()
}

/// What is wrong with a file, and what to give instead.
pub(super) fn refused(weights: &Weights, what: &str) -> ModelError {
    ModelError::BadInput(format!(
        "{}: {what}; give Depth Anything V2 Small, Base or Large as safetensors",
        weights.name()
    ))
}
