//! Checkpoint layouts: what lies where, under which names, with which config. Nothing is read but headers and JSON.
//!
//! | file | what |
//! |---|---|
//! | `files` | finding weights and configs in folders |
//! | `family` | telling Stable Diffusion 3 from other models |
//! | `keys` | single-file names to diffusers' names |
//! | `infer` | configs from shapes |
//! | `parts` | autoencoders, text encoders, tokenizers |
//! | `beside` | parts that lie beside a checkpoint |
//! | `update_keys` | names of updates in adapter files |
//!
//! ```no_run
//! # use std::path::Path;
//! use mdsd3_model::io::layout::Sd3Checkpoint;
//! use mdsd3_words::ModelParts;
//! // A diffusers folder, with everything in it:
//! let folder = Sd3Checkpoint::open(Path::new("pipeline"), &ModelParts::default())?;
//! // The same weights as one file, text encoders and tokenizers from the folder:
//! let parts = ModelParts { text_encoder: vec!["pipeline".into()], ..ModelParts::default() };
//! let file = Sd3Checkpoint::open(Path::new("single_file.safetensors"), &parts)?;
//! assert_eq!(folder.config, file.config);
//! # Ok::<(), mdsd3_model::error::ModelError>(())
//! ```

mod beside;
mod family;
mod files;
mod infer;
mod keys;
mod parts;
mod update_keys;

use std::fmt;
use std::path::{Path, PathBuf};

use mdsd3_words::ModelParts;
use serde_json::Value;

use crate::config::{MmditConfig, SHIFT_RANGE};
use crate::error::ModelError;
use crate::io::checkpoint::{Part, Weights};
use crate::ranges::within;
pub use family::Family;
use files::{bad, folder_of, text, weights_in};
pub(crate) use files::{json, resolved, weights_path};
pub(crate) use keys::{transformer as transformer_names, transformer_modules};
use parts::AUTOENCODER_PREFIXES;
pub use parts::{AutoencoderKind, AutoencoderSource, PartSource, TEXT_PARTS, TextSources};
pub(crate) use update_keys::{Home, Piece, at_home, update_key};

/// Shift of SD3's noise levels, for checkpoints without a scheduler config.
const SD3_SHIFT: f64 = 3.0;
/// What files put before the transformer's names: Stability AI, ComfyUI, diffusers.
const TRANSFORMER_PREFIXES: [&str; 3] = ["model.diffusion_model.", "diffusion_model.", "transformer."];
/// What single files put before the names of other parts.
const OTHER_PREFIXES: [&str; 3] = [AUTOENCODER_PREFIXES[0], AUTOENCODER_PREFIXES[1], "text_encoders."];
/// Settings of a scheduler that make other noise levels than the shift alone.
const UNREAD_SCHEDULES: [&str; 5] = [
    "use_dynamic_shifting",
    "use_karras_sigmas",
    "use_exponential_sigmas",
    "use_beta_sigmas",
    "invert_sigmas",
];

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
    /// What was taken from beside a single file, one line each.
    pub found: Vec<String>,
}

impl Sd3Checkpoint {
    /// Opens a diffusers folder, a single file, or a transformer alone; parts with paths of their own come from there.
    ///
    /// # Errors
    /// Bad input when nothing is there, it is another family (which is named), a file is damaged, or the config can't be
    /// told.
    pub fn open(path: &Path, parts: &ModelParts) -> Result<Self, ModelError> {
        let path = &resolved(path)?;
        let mut checkpoint = if path.is_dir() {
            Self::open_folder(path, parts)?
        } else {
            Self::open_file(path, parts)?
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
            text: parts::open_text(path, None, parts)?.0,
            shift: shift_of(path)?,
            unknown,
            found: Vec::new(),
        })
    }

    fn open_file(path: &Path, parts: &ModelParts) -> Result<Self, ModelError> {
        let weights = Weights::open(path)?;
        let (transformer, unknown) = diffusers_transformer(&weights, path)?;
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
        let (text, mut found) = parts::open_text(path, Some(&weights), parts)?;
        let own = |prefix: &&str| weights.keys().any(|k| k.starts_with(prefix));
        let mut autoencoder = None;
        if parts.vae.is_none() {
            let prefix = AUTOENCODER_PREFIXES.iter().find(|prefix| own(prefix));
            let config = beside("vae")?;
            autoencoder = prefix
                .and_then(|prefix| parts::autoencoder(&weights, prefix, config))
                .transpose()?;
            if autoencoder.is_none() {
                autoencoder = beside::autoencoder(path);
                found.extend(
                    autoencoder
                        .iter()
                        .map(|vae| format!("the autoencoder is taken from {}", vae.part.weights.name())),
                );
            }
        }
        let layout = if OTHER_PREFIXES.iter().any(own) {
            Layout::SingleFile
        } else {
            Layout::TransformerOnly
        };
        Ok(Self {
            name: name_of(path),
            layout,
            unknown,
            transformer,
            config,
            autoencoder,
            preview: None,
            text,
            shift: siblings.first().map_or(Ok(SD3_SHIFT), |root| shift_of(root))?,
            found,
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
    let path = &resolved(path)?;
    if !path.is_dir() {
        return crate::io::checkpoint::files_of(path);
    }
    let inner = path.join("transformer");
    let file = weights_path(if inner.is_dir() { &inner } else { path })?;
    crate::io::checkpoint::files_of(&file)
}

/// Renames a transformer's tensors to diffusers' names. Names that the map doesn't know stay, so that they are noticed as
/// unused.
fn diffusers_transformer(weights: &Weights, path: &Path) -> Result<(Weights, Vec<String>), ModelError> {
    let family = Family::of_keys(weights.keys());
    if family != Family::Sd3 {
        return Err(bad(path, family.refusal()));
    }
    let is_other = |key: &str| OTHER_PREFIXES.iter().any(|prefix| key.starts_with(prefix));
    let prefix = TRANSFORMER_PREFIXES
        .into_iter()
        .find(|p| weights.keys().any(|k| k.starts_with(p)));
    let prefix = prefix.unwrap_or_default();
    let own = |key: &str| key.strip_prefix(prefix).filter(|_| !is_other(key)).map(str::to_owned);
    let blocks = keys::count(
        weights
            .keys()
            .filter_map(own)
            .collect::<Vec<_>>()
            .iter()
            .map(String::as_str),
        "joint_blocks.",
    );
    let renamed = weights.renamed(|stored| {
        let Some(key) = own(stored) else { return Vec::new() };
        // GGUF files may have lost the table's first dimension.
        if key == "pos_embed" && weights.shape(stored).is_some_and(|shape| shape.len() == 2) {
            return vec![("pos_embed.pos_embed".to_owned(), Part::Batch)];
        }
        Some(keys::transformer(&key, blocks))
            .filter(|n| !n.is_empty())
            .unwrap_or_else(|| vec![(key, Part::Whole)])
    });
    let unknown = weights
        .keys()
        .filter(|key| own(key).is_none() && !is_other(key))
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
    // A config beside a single file may be another model's, of the same width even: the shapes decide.
    let mut config = match config.filter(|_| heads.is_none()).map(from_json).transpose()? {
        Some(config) if infer::fits(weights, &config) => config,
        Some(own) if path.is_dir() => own,
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
    if path.join("adapter_config.json").is_file() {
        return Err(bad(path, Family::Adapter.refusal()));
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
    let config = json(&path)?;
    let is_set = |field: &&&str| {
        config
            .as_ref()
            .is_some_and(|c| c.get(**field).is_some_and(|v| v.as_bool() == Some(true)))
    };
    if let Some(field) = UNREAD_SCHEDULES.iter().find(is_set) {
        return Err(bad(
            &path,
            format_args!(
                "it sets {field}, which isn't computed here; set it to false, and shift to a number such as 3"
            ),
        ));
    }
    let shift = config
        .as_ref()
        .and_then(|c| c.get("shift")?.as_f64())
        .unwrap_or(SD3_SHIFT);
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
