//! Choices of a plan, in the words of its file.

use serde::{Deserialize, Serialize};

/// What a pair's lq is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LqKind {
    /// `gt + decode(z) - decode(encode(gt))`: the autoencoder's own error stays out of the pair.
    Composited,
    /// `decode(z)`; the physical engine's image, which no autoencoder has touched.
    Decoded,
}

/// Images that a pair can carry beside gt and lq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extra {
    /// `decode(encode(gt))`.
    VaeGt,
    /// `decode(z)`.
    LqDecoded,
    /// `gt + decode(z) - decode(encode(gt))`.
    LqComposited,
    /// The clean-data prediction of every step.
    Steps,
    /// What each class did, with the scene's depth.
    Layers,
}

/// How a gt that several pairs need under several names is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Copies {
    /// A file of its own each.
    #[default]
    Duplicate,
    /// One file with several names.
    Hardlink,
    /// One file and relative symbolic links to it.
    Symlink,
}

/// Where file names come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Names {
    /// From the photo's name.
    #[default]
    Scene,
    /// From the photo's number in the plan.
    Number,
}

/// Where in a photo the square is cut out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CropPlace {
    /// The middle.
    #[default]
    Center,
    /// One place per photo, drawn by the photo's name: no centre bias, and all pairs of a photo share their gt.
    Random,
}

/// The square that is cut out of a photo before it is scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CropSpec {
    /// Side in pixels.
    pub side: u32,
    /// Where.
    #[serde(default)]
    pub place: CropPlace,
}
