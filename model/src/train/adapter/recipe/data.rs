//! The images of an adapter's recipe.

use std::path::PathBuf;

use mdsd3_words::Mix;
use serde::{Deserialize, Serialize};

use super::one;
use crate::pair_layout::LayoutKind;

/// How a folder's pairs are found; names as in dataset plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DataLayout {
    /// Told from the folder's contents.
    #[default]
    Auto,
    /// Pairs, as they are exported too.
    Pairs(LayoutKind),
    /// Clean photos; pairs are made by physical degradations.
    Photos,
}

impl DataLayout {
    /// Its name in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Pairs(kind) => kind.name(),
            Self::Photos => "photos",
        }
    }

    /// Names that a recipe may give, for messages.
    pub fn names() -> String {
        format!("auto, {} or photos", LayoutKind::names())
    }
}

impl TryFrom<String> for DataLayout {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let known = [Self::Auto, Self::Photos].into_iter();
        known
            .chain(LayoutKind::ALL.map(Self::Pairs))
            .find(|layout| layout.name() == name)
            .ok_or_else(|| format!("layout {name:?} is unknown: give {}", Self::names()))
    }
}

impl From<DataLayout> for String {
    fn from(layout: DataLayout) -> Self {
        layout.name().to_owned()
    }
}

/// The training images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Folder.
    pub path: PathBuf,
    /// How its pairs are found.
    #[serde(default)]
    pub layout: DataLayout,
    /// Side of a training image in pixels.
    pub side: u32,
    /// Squares cut out of every image: the largest centred one, then others at random places.
    #[serde(default = "one")]
    pub views: usize,
    /// Photos alone: degradations drawn for every view.
    #[serde(default = "four")]
    pub variants: usize,
    /// Severities of pairs that don't say theirs.
    #[serde(default)]
    pub mix: Option<Mix>,
    /// Which mixes are trained on.
    #[serde(default)]
    pub mixes: Mixes,
    /// Photos alone: share of variants with two classes.
    #[serde(default = "quarter")]
    pub mixed_share: f32,
    /// Photos alone: smallest severity drawn; the largest is 1.
    #[serde(default = "tenth")]
    pub least_severity: f32,
    /// Share of scenes kept for validation.
    #[serde(default = "tenth")]
    pub validation_share: f32,
    /// Folder of latents and encoded prompts; in the output folder without it.
    #[serde(default)]
    pub cache: Option<PathBuf>,
}

fn four() -> usize {
    4
}

fn quarter() -> f32 {
    0.25
}

fn tenth() -> f32 {
    0.1
}

/// Which mixes are trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mixes {
    /// All there are.
    #[default]
    All,
    /// Those of one class, so that it can be seen whether mixing emerges.
    Single,
}
