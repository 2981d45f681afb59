//! Which photo, and how it becomes a scene.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{WordsError, bad};
use crate::model::ModelSummary;

/// What the demo photo is called.
pub const DEMO_PHOTO_NAME: &str = "the demo photo";

/// The middle of a [`CropAt`].
const MIDDLE: u16 = 0x8000;

/// How a photo becomes a scene of the model's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Centre crop to a square of `size` pixels.
    #[default]
    Square,
    /// Keep the aspect ratio: the shorter side becomes `size` pixels, the longer one is cropped to the model's multiple.
    Aspect,
}

settings! {
    /// The photo of a run, and how it is fitted. The photo is no option here: each command takes it in its own way.
    #[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
    pub struct SceneSettings {
        /// Clean photo; the bundled demo photo when absent
        #[arg(skip)]
        pub path as "scene": Option<PathBuf>, "photo", path;
        /// Side of the scene in pixels
        #[arg(long, allow_negative_numbers = true)]
        pub size: u32 = 256, "size";
        /// How the photo is fitted to that size
        #[arg(long, value_enum)]
        pub fit: Fit = Fit::Square, "size";
    }
}

impl SceneSettings {
    /// What the photo is called in messages.
    pub fn name(&self) -> String {
        self.path.as_ref().map_or_else(
            || DEMO_PHOTO_NAME.to_owned(),
            |path| path.to_string_lossy().into_owned(),
        )
    }

    /// Checks the side against what a model takes, and names the nearest sizes that it takes.
    pub(crate) fn check_against(&self, model: &ModelSummary) -> Result<(), WordsError> {
        let (size_px, multiple_px) = (self.size, model.size_multiple);
        let largest = model.max_size / multiple_px * multiple_px;
        if size_px > largest {
            return Err(bad(format!(
                "size {size_px} is too large for this model; its largest is {largest}"
            )));
        }
        if size_px > 0 && size_px.is_multiple_of(multiple_px) {
            return Ok(());
        }
        let below = size_px / multiple_px * multiple_px;
        let above = below + multiple_px;
        let nearest = match (below > 0, above <= largest) {
            (true, true) => format!("{below} or {above}"),
            (true, false) => below.to_string(),
            (false, _) => above.to_string(),
        };
        Err(bad(format!(
            "size {size_px} is not a multiple of {multiple_px}, which this model needs; nearest: {nearest}"
        )))
    }
}

/// Where a square is cut out of a photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CropAt {
    /// Side in pixels.
    pub side_px: u32,
    /// Share of the room left of it and above it, in 65535ths: 0 is the edge, 32768 the middle.
    pub share: [u16; 2],
}

impl CropAt {
    /// In the middle.
    pub fn center(side_px: u32) -> Self {
        Self {
            side_px,
            share: [MIDDLE; 2],
        }
    }
}
