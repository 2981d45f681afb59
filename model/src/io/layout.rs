//! Checkpoint layouts: what lies where, under which names, with which config. Nothing is read but headers and JSON.
//!
//! | file | what |
//! |---|---|
//! | `files` | finding weights and configs in folders |
//! | `family` | telling Stable Diffusion 3 from other models |
//! | `keys` | single-file names to diffusers' names |
//! | `infer` | configs from shapes |
//! | `parts` | autoencoders, text encoders, tokenizers |
//!
//! ```no_run
//! # use std::path::Path;
//! use mdsd3_model::io::layout::Sd3Checkpoint;
//! use mdsd3_words::ModelParts;
//! // A diffusers folder, with everything in it:
//! let folder = Sd3Checkpoint::open(Path::new("pipeline"), &ModelParts::default())?;
//! // The same weights as one file, text encoders and tokenizers from the folder:
//! let parts = ModelParts { text_encoder: Some("pipeline".into()), ..ModelParts::default() };
//! let file = Sd3Checkpoint::open(Path::new("single_file.safetensors"), &parts)?;
//! assert_eq!(folder.config, file.config);
//! # Ok::<(), mdsd3_model::error::ModelError>(())
//! ```

mod family;
mod files;
mod infer;
mod keys;
mod parts;

use std::fmt;
use std::path::{Path, PathBuf};

use mdsd3_words::ModelParts;
use serde_json::Value;

use crate::config::{MmditConfig, SHIFT_RANGE};
use crate::error::ModelError;
use crate::io::checkpoint::{Part, Weights};
use crate::ranges::within;
pub use family::Family;
use files::{bad, folder_of, json, text, weights_in};
pub use parts::{AutoencoderKind, AutoencoderSource, PartSource, TEXT_PARTS, TextSources};

/// Shift of SD3's noise levels, for checkpoints without a scheduler config.
const SD3_SHIFT: f64 = 3.0;
/// What a single file puts before the transformer's names.
const TRANSFORMER_PREFIX: &str = "model.diffusion_model.";

/// How a checkpoint is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Folders of parts, as diffusers saves a pipeline.
    DiffusersFolder,
    /// One file with all parts, as Stability AI publishes them.
    SingleFile,
    /// A transformer's file or folder alone.
    TransformerOnly,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::DiffusersFolder => "a diffusers folder",
            Self::SingleFile => "a single file",
            Self::TransformerOnly => "the transformer alone",
        })
    }
}

/// A Stable Diffusion 3 checkpoint on disk.
pub struct Sd3Checkpoint {
    /// The folder's or file's name.
    pub name: String,
    /// How it is laid out.
    pub layout: Layout,
    /// The transformer's tensors, under diffusers' names.
    pub transformer: Weights,
    /// The transformer's config.
    pub config: MmditConfig,
    /// The autoencoder, if any.
    pub autoencoder: Option<AutoencoderSource>,
    /// The tiny autoencoder for previews, if any.
    pub preview: Option<AutoencoderSource>,
    /// Text encoders and tokenizers.
    pub text: TextSources,
    /// Shift of the noise levels.
    pub shift: f64,
    /// Tensors of the file that belong to no part that is known.
    pub unknown: Vec<String>,
}

impl Sd3Checkpoint {
    /// Opens a diffusers folder, a single file, or a transformer alone; parts with paths of their own come from there.
    ///
    /// # Errors
    /// Bad input when nothing is there, it is another family (which is named), a file is damaged, or the config can't be
    /// told.
    pub fn open(path: &Path, parts: &ModelParts) -> Result<Self, ModelError> {
        let mut checkpoint = if path.is_dir() {
            Self::open_folder(path, parts)?
        } else if path.exists() {
            Self::open_file(path, parts)?
        } else {
            return Err(bad(path, "no such model folder or file"));
        };
        if let Some(vae) = &parts.vae {
            checkpoint.autoencoder = Some(parts::open_autoencoder(vae)?);
        }
        if let Some(vae) = &parts.preview_vae {
            checkpoint.preview = Some(parts::open_autoencoder(vae)?);
        }
        Ok(checkpoint)
    }

    fn open_folder(path: &Path, parts: &ModelParts) -> Result<Self, ModelError> {
        refuse_other_pipelines(path)?;
        let whole = path.join("transformer").is_dir();
        let folder = if whole {
            path.join("transformer")
        } else {
            path.to_owned()
        };
        let (transformer, unknown) = diffusers_transformer(&weights_in(&folder)?, path)?;
        let config = transformer_config(&transformer, json(&folder.join("config.json"))?, parts.heads, &folder)?;
        let vae = Some(path.join("vae")).filter(|p| whole && p.is_dir() && parts.vae.is_none());
        let preview = ["vae_tiny", "taesd3"]
            .iter()
            .map(|n| path.join(n))
            .find(|p| whole && p.is_dir() && parts.preview_vae.is_none());
        Ok(Self {
            name: name_of(path),
            layout: if whole {
                Layout::DiffusersFolder
            } else {
                Layout::TransformerOnly
            },
            transformer,
            config,
            autoencoder: vae.map(|p| parts::open_autoencoder(&p)).transpose()?,
            preview: preview.map(|p| parts::open_autoencoder(&p)).transpose()?,
            text: parts::open_text(path, None, parts)?,
            shift: shift_of(path)?,
            unknown,
        })
    }

    fn open_file(path: &Path, parts: &ModelParts) -> Result<Self, ModelError> {
        let weights = Weights::open(path)?;
        let (transformer, _) = diffusers_transformer(&weights, path)?;
        let siblings = siblings(path);
        let beside = |part: &str| {
            siblings
                .iter()
                .find_map(|root| json(&root.join(part).join("config.json")).transpose())
                .transpose()
        };
        let config = match own_config(path)? {
            Some(config) => Some(config),
            None => beside("transformer")?,
        };
        let config = transformer_config(&transformer, config, parts.heads, path)?;
        let single = weights.keys().any(|k| k.starts_with(TRANSFORMER_PREFIX));
        let autoencoder = if parts.vae.is_none() {
            parts::autoencoder(&weights, "first_stage_model.", beside("vae")?)
        } else {
            None
        };
        let known = [TRANSFORMER_PREFIX, "first_stage_model.", "text_encoders."];
        let is_unknown = |k: &&str| single && !known.iter().any(|prefix| k.starts_with(prefix));
        Ok(Self {
            name: name_of(path),
            layout: if single {
                Layout::SingleFile
            } else {
                Layout::TransformerOnly
            },
            unknown: weights.keys().filter(is_unknown).map(str::to_owned).collect(),
            transformer,
            config,
            autoencoder: autoencoder.transpose()?,
            preview: None,
            text: parts::open_text(path, Some(&weights), parts)?,
            shift: siblings.first().map_or(Ok(SD3_SHIFT), |root| shift_of(root))?,
        })
    }

    /// Which release it is, as far as its shape tells.
    pub fn release(&self) -> &'static str {
        let c = &self.config;
        match (
            c.num_layers,
            c.width(),
            c.qk_norm.is_some(),
            c.dual_attention_layers.is_empty(),
        ) {
            (24, 1536, false, true) => "SD3-medium",
            (24, 1536, true, false) => "SD3.5-medium",
            (38, 2432, true, true) => "SD3.5-large",
            (_, _, true, _) => "SD3.5 in another size",
            _ => "SD3 in another size",
        }
    }
}

/// The files that hold a model's transformer, in order.
pub(crate) fn transformer_files(path: &Path) -> Result<Vec<PathBuf>, ModelError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let inner = path.join("transformer");
    let file = files::weights_path(if inner.is_dir() { &inner } else { path })?;
    crate::io::checkpoint::files_of(&file)
}

/// Renames a transformer's tensors to diffusers' names. Names that the map doesn't know stay, so that they are noticed as
/// unused.
fn diffusers_transformer(weights: &Weights, path: &Path) -> Result<(Weights, Vec<String>), ModelError> {
    let family = Family::of_keys(weights.keys());
    if family != Family::Sd3 {
        return Err(bad(path, family.refusal()));
    }
    let prefix = [TRANSFORMER_PREFIX, "transformer."]
        .into_iter()
        .find(|p| weights.keys().any(|k| k.starts_with(p)))
        .unwrap_or_default();
    let own: Vec<&str> = weights.keys().filter_map(|k| k.strip_prefix(prefix)).collect();
    let blocks = keys::count(own.into_iter(), "joint_blocks.");
    let renamed = weights.renamed(|key| match key.strip_prefix(prefix) {
        Some(key) => Some(keys::transformer(key, blocks))
            .filter(|n| !n.is_empty())
            .unwrap_or_else(|| vec![(key.to_owned(), Part::Whole)]),
        None => Vec::new(),
    });
    let unknown = weights
        .keys()
        .filter(|k| !k.starts_with(prefix))
        .map(str::to_owned)
        .collect();
    Ok((renamed, unknown))
}

/// The config out of its JSON, or from the shapes; classes also from the file's metadata.
fn transformer_config(
    weights: &Weights,
    config: Option<Value>,
    heads: Option<usize>,
    path: &Path,
) -> Result<MmditConfig, ModelError> {
    let from_json = |value: Value| -> Result<MmditConfig, ModelError> {
        let config: MmditConfig =
            serde_json::from_value(value).map_err(|e| bad(path, format_args!("the transformer's config.json: {e}")))?;
        config.check().map_err(|e| bad(path, e))?;
        Ok(config)
    };
    // A config beside a single file may be another model's: it must fit the file's width.
    let width = weights.shape("context_embedder.bias").and_then(|s| s.first().copied());
    let mut config = match config.filter(|_| heads.is_none()).map(from_json).transpose()? {
        Some(config) if Some(config.width()) == width => config,
        _ => infer::transformer(weights, heads)?,
    };
    if let Some(classes) = weights.metadata().get("classes") {
        config.classes = crate::config::classes_from_metadata(classes)?;
        config.check().map_err(|e| bad(path, e))?;
    }
    Ok(config)
}

/// A pipeline folder of another family is named, by its index or its parts.
fn refuse_other_pipelines(path: &Path) -> Result<(), ModelError> {
    if let Some(index) = json(&path.join("model_index.json"))? {
        let class = text(&index, "_class_name");
        let family = Family::of_class(class);
        if family == Family::Unknown {
            return Err(bad(
                path,
                format_args!("a pipeline of the class {class:?}, and only Stable Diffusion 3 can be masked here"),
            ));
        }
        if family != Family::Sd3 {
            return Err(bad(path, family.refusal()));
        }
    }
    if path.join("transformer").is_dir() {
        return Ok(());
    }
    if path.join("unet").is_dir() {
        return Err(bad(path, Family::Sd1.refusal()));
    }
    match json(&path.join("config.json"))? {
        Some(_) => Ok(()),
        None => Err(bad(
            path,
            "no model here: give a folder with config.json and model.safetensors, a diffusers folder with transformer/, or a safetensors file",
        )),
    }
}

/// `NAME.json` beside a file, or a transformer's `config.json`.
fn own_config(path: &Path) -> Result<Option<Value>, ModelError> {
    let candidates = [path.with_extension("json"), folder_of(path).join("config.json")];
    for candidate in candidates {
        if let Some(config) = json(&candidate)?
            && config.get("num_attention_heads").is_some()
            && config.get("num_layers").is_some()
        {
            return Ok(Some(config));
        }
    }
    Ok(None)
}

/// Pipeline folders that may describe a file: the one it lies in, and those beside it.
fn siblings(path: &Path) -> Vec<PathBuf> {
    let folder = folder_of(path);
    let candidates = std::iter::once(folder.to_owned()).chain(files::subfolders(folder));
    candidates
        .filter(|p| p.join("transformer").join("config.json").is_file())
        .collect()
}

fn shift_of(pipeline: &Path) -> Result<f64, ModelError> {
    let path = pipeline.join("scheduler").join("scheduler_config.json");
    let shift = json(&path)?.and_then(|config| config.get("shift")?.as_f64());
    let shift = shift.unwrap_or(SD3_SHIFT);
    within("shift", shift, SHIFT_RANGE).map_err(|what| bad(&path, what))?;
    Ok(shift)
}

fn name_of(path: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    full.file_stem()
        .unwrap_or(full.as_os_str())
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests;
