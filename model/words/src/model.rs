//! Which model, where it runs and in which precision; and what a loaded model is.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::calibration::Calibration;
use crate::device::{ComputeDevice, ComputeDtype};
use crate::error::WordsError;

settings! {
    /// Parts of a model that come from their own paths, and what its files don't tell.
    #[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
    pub struct ModelParts {
        /// Autoencoder of a Stable Diffusion 3 checkpoint, in place of its own
        #[arg(long, value_name = "DIR|FILE")]
        pub vae: Option<PathBuf>, "model", path;
        /// Tiny autoencoder (TAESD3) for previews
        #[arg(long, value_name = "DIR|FILE")]
        pub preview_vae: Option<PathBuf>, "model", path;
        /// Text encoders, in place of the checkpoint's own; again for each file or folder
        #[arg(long, value_name = "DIR|FILE")]
        pub text_encoder: Vec<PathBuf>, "model", paths;
        /// Folder with `tokenizer`, `tokenizer_2` and `tokenizer_3`
        #[arg(long, value_name = "DIR")]
        pub tokenizer: Option<PathBuf>, "model", path;
        /// MDSD3 adapter over the checkpoint
        #[arg(long, value_name = "FILE")]
        pub adapter: Option<PathBuf>, "model", path;
        /// Attention heads, for a file whose shapes do not tell them
        #[arg(long, value_name = "N")]
        pub heads: Option<usize>, "model";
    }
}

settings! {
    /// Which model, where it runs and in which precision: two requests that agree on it share one loaded model.
    #[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
    pub struct ModelSettings {
        groups {
            /// Parts that come from their own paths.
            #[command(flatten)]
            pub parts: ModelParts;
        }
        /// Model folder or safetensors file; the bundled model when absent
        #[arg(id = "model", long = "model", value_name = "DIR|FILE")]
        pub path as "model": Option<PathBuf>, "model", path;
        /// Compute device: cpu, cuda, cuda:N or metal
        #[arg(long)]
        pub device: String = "cpu".to_owned(), "model";
        /// Compute dtype: f32, bf16 or f16; on a processor f32, or bf16 where it has AVX-512 with bf16
        #[arg(long)]
        pub dtype: String = "f32".to_owned(), "model";
    }
}

/// A path of a model, in the order in which people think of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModelPath {
    /// The checkpoint.
    Model,
    /// The adapter.
    Adapter,
    /// The autoencoder.
    Vae,
    /// The tiny autoencoder for previews.
    PreviewVae,
    /// The text encoders.
    TextEncoder,
    /// The tokenizers.
    Tokenizer,
}

impl ModelPath {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Model,
        Self::Adapter,
        Self::Vae,
        Self::PreviewVae,
        Self::TextEncoder,
        Self::Tokenizer,
    ];

    /// Whether there can be several.
    pub fn is_list(self) -> bool {
        self == Self::TextEncoder
    }

    /// What the studio calls it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Model => "Checkpoint",
            Self::Adapter => "Adapter",
            Self::Vae => "Autoencoder",
            Self::PreviewVae => "Preview decoder",
            Self::TextEncoder => "Text encoders",
            Self::Tokenizer => "Tokenizers",
        }
    }
}

impl ModelSettings {
    /// Its paths of a kind: one at most, or several text encoders.
    pub fn paths(&self, kind: ModelPath) -> Vec<&PathBuf> {
        let parts = &self.parts;
        let one = match kind {
            ModelPath::Model => &self.path,
            ModelPath::Adapter => &parts.adapter,
            ModelPath::Vae => &parts.vae,
            ModelPath::PreviewVae => &parts.preview_vae,
            ModelPath::TextEncoder => return parts.text_encoder.iter().collect(),
            ModelPath::Tokenizer => &parts.tokenizer,
        };
        one.iter().collect()
    }

    /// Sets its paths of a kind; of a kind that has one at most, the first counts.
    pub fn set_paths(&mut self, kind: ModelPath, paths: Vec<PathBuf>) {
        let parts = &mut self.parts;
        let one = match kind {
            ModelPath::Model => &mut self.path,
            ModelPath::Adapter => &mut parts.adapter,
            ModelPath::Vae => &mut parts.vae,
            ModelPath::PreviewVae => &mut parts.preview_vae,
            ModelPath::TextEncoder => {
                parts.text_encoder = paths;
                return;
            }
            ModelPath::Tokenizer => &mut parts.tokenizer,
        };
        *one = paths.into_iter().next();
    }

    /// Every path of it, to be led elsewhere.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let parts = &mut self.parts;
        let single = [
            &mut self.path,
            &mut parts.adapter,
            &mut parts.vae,
            &mut parts.preview_vae,
            &mut parts.tokenizer,
        ];
        single.into_iter().flatten().chain(&mut parts.text_encoder)
    }

    /// Refuses devices and dtypes that no model could be loaded with.
    ///
    /// # Errors
    /// [`WordsError::BadInput`] that names what would be right.
    pub fn check(&self) -> Result<(), WordsError> {
        self.device.parse::<ComputeDevice>()?.check_built_in()?;
        self.dtype.parse::<ComputeDtype>()?;
        Ok(())
    }
}

/// What a loaded model is, for the Model pane, the sliders, and the check of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelSummary {
    /// Human-readable name, such as "bundled mini model".
    pub name: String,
    /// Where it came from; `None` for the bundled model.
    pub path: Option<PathBuf>,
    /// Degradation classes in checkpoint order.
    pub classes: Vec<String>,
    /// Indices of the attention heads each class owns, same order.
    pub class_heads: Vec<Vec<usize>>,
    /// Attention heads per block.
    pub heads: usize,
    /// Transformer blocks.
    pub blocks: usize,
    /// Token width.
    pub width: usize,
    /// Parameters of all parts.
    pub parameters: u64,
    /// Image sides must be multiples of this many pixels.
    pub size_multiple: u32,
    /// Largest image side the model covers, in pixels.
    pub max_size: u32,
    /// Compute dtype in words, such as "f32".
    pub dtype: String,
    /// Device in words, such as "cpu".
    pub device: String,
    /// What a user should know about a checkpoint that works all the same, one line each.
    pub notes: Vec<String>,
    /// What ratios amount to, as measured: one entry per class, or none at all when nothing was measured.
    pub calibration: Vec<Option<Calibration>>,
}

/// Which model made an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelIdentity {
    /// Human-readable name.
    pub name: String,
    /// SHA-256 in hexadecimal digits: of the weights file, or over the hashes of several files; a model of this program is two,
    /// as its `config.json` says how the weights are sampled.
    pub sha256: String,
}
