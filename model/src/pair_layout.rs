//! Layouts of pairs on disk: what datasets are exported in, and what training data is read from.

use serde::{Deserialize, Serialize};

/// Known layouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayoutKind {
    /// `gt/`, `lq/`, `meta_info.txt`.
    #[default]
    Basicsr,
    /// `train/Rain/{input,target}`.
    Restormer,
    /// One folder per combination of classes, the same names in each.
    Cdd11,
    /// `Dehaze/{original,synthetic}`, `Derain/{gt,rainy}` and their list files; `AirNet` reads the same.
    Promptir,
    /// `clear/0025.png`, `hazy/0025_0.8_3.jpg`.
    Reside,
    /// Hugging Face: `metadata.jsonl` or `metadata.csv`.
    Imagefolder,
    /// Tar shards.
    Webdataset,
}

impl LayoutKind {
    /// All of them, the default first.
    pub const ALL: [Self; 7] = [
        Self::Basicsr,
        Self::Restormer,
        Self::Cdd11,
        Self::Promptir,
        Self::Reside,
        Self::Imagefolder,
        Self::Webdataset,
    ];

    /// What people call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Basicsr => "BasicSR",
            Self::Restormer => "Restormer",
            Self::Cdd11 => "CDD-11",
            Self::Promptir => "PromptIR, AirNet",
            Self::Reside => "RESIDE",
            Self::Imagefolder => "Hugging Face imagefolder",
            Self::Webdataset => "WebDataset",
        }
    }

    /// Its name in plans and recipes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Basicsr => "basicsr",
            Self::Restormer => "restormer",
            Self::Cdd11 => "cdd11",
            Self::Promptir => "promptir",
            Self::Reside => "reside",
            Self::Imagefolder => "imagefolder",
            Self::Webdataset => "webdataset",
        }
    }
}
