//! Sizes of Depth Anything V2, told by shapes.

use std::fmt;

use serde::Deserialize;

/// A published size of Depth Anything V2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DepthSize {
    /// 24.8 million parameters.
    Small,
    /// 97.5 million.
    Base,
    /// 335.3 million.
    Large,
}

impl DepthSize {
    /// All of them, smallest first.
    pub const ALL: [Self; 3] = [Self::Small, Self::Base, Self::Large];

    /// SPDX identifier of the licence that its weights are published under (the repository's README, "License").
    pub fn licence(self) -> &'static str {
        match self {
            Self::Small => "Apache-2.0",
            Self::Base | Self::Large => "CC-BY-NC-4.0",
        }
    }

    /// Who may use its weights for what, in one line.
    pub fn licence_note(self) -> String {
        let licence = self.licence();
        match self {
            Self::Small => format!("{self}: its weights are under {licence}"),
            Self::Base | Self::Large => format!(
                "{self}: its weights are under {licence}, for non-commercial use only, and so is what is made with them; \
                 Depth Anything V2 Small is under {}",
                Self::Small.licence()
            ),
        }
    }
}

impl fmt::Display for DepthSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Depth Anything V2 {self:?}")
    }
}

/// Shape of a Depth Anything network; fields, nesting and defaults are those of transformers' `DepthAnythingConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DepthConfig {
    /// The encoder.
    pub backbone_config: EncoderConfig,
    /// Channels that each of the four taps is brought to, finest first.
    pub neck_hidden_sizes: [usize; 4],
    /// Channels while they are fused.
    pub fusion_hidden_size: usize,
    /// Channels before the last convolution.
    #[serde(default = "defaults::head_hidden_size")]
    pub head_hidden_size: usize,
}

/// Shape of a `DINOv2` encoder (Oquab et al. 2024).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct EncoderConfig {
    /// Token width.
    pub hidden_size: usize,
    /// Blocks.
    #[serde(default = "defaults::num_hidden_layers")]
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Blocks whose output is tapped, counted from 1.
    pub out_indices: [usize; 4],
    /// Side of the square images that it was trained on, in pixels: positions are stored for those.
    pub image_size: usize,
    /// Side of a patch, in pixels.
    #[serde(default = "defaults::patch_size")]
    pub patch_size: usize,
    /// Width of the feed-forward layers over the token width.
    #[serde(default = "defaults::mlp_ratio")]
    pub mlp_ratio: usize,
}

mod defaults {
    pub fn head_hidden_size() -> usize {
        32
    }
    pub fn num_hidden_layers() -> usize {
        12
    }
    pub fn patch_size() -> usize {
        14
    }
    pub fn mlp_ratio() -> usize {
        4
    }
}

impl DepthConfig {
    /// That of a published size.
    pub fn published(size: DepthSize) -> Self {
        let (hidden_size, num_hidden_layers, out_indices, neck_hidden_sizes, fusion_hidden_size) = match size {
            DepthSize::Small => (384, 12, [3, 6, 9, 12], [48, 96, 192, 384], 64),
            DepthSize::Base => (768, 12, [3, 6, 9, 12], [96, 192, 384, 768], 128),
            DepthSize::Large => (1024, 24, [5, 12, 18, 24], [256, 512, 1024, 1024], 256),
        };
        Self {
            backbone_config: EncoderConfig {
                hidden_size,
                num_hidden_layers,
                num_attention_heads: hidden_size / 64,
                out_indices,
                image_size: 518,
                patch_size: defaults::patch_size(),
                mlp_ratio: defaults::mlp_ratio(),
            },
            neck_hidden_sizes,
            fusion_hidden_size,
            head_hidden_size: defaults::head_hidden_size(),
        }
    }
}

impl EncoderConfig {
    /// Patches along a side of the square images that it was trained on.
    pub(super) fn positions_per_side(&self) -> usize {
        self.image_size / self.patch_size
    }
}
