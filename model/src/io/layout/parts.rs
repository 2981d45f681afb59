//! The parts around the transformer: autoencoders, text encoders, tokenizers.

use std::path::{Path, PathBuf};

use mdsd3_words::ModelParts;
use serde_json::Value;

use super::files::{bad, first_safetensors, folder_of, json, text, weights_in};
use super::{infer, keys};
use crate::error::ModelError;
use crate::io::checkpoint::{Part, Weights};

/// A part with its config as diffusers or transformers writes it.
#[derive(Clone)]
pub struct PartSource {
    /// Its tensors under diffusers' or transformers' names.
    pub weights: Weights,
    /// Its config.
    pub config: Value,
}

/// Which architecture an autoencoder has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoencoderKind {
    /// SD3's KL autoencoder (diffusers' `AutoencoderKL`).
    Kl,
    /// TAESD3 (diffusers' `AutoencoderTiny`).
    Tiny,
}

/// An autoencoder on disk.
#[derive(Clone)]
pub struct AutoencoderSource {
    /// Its architecture.
    pub kind: AutoencoderKind,
    /// Its tensors and config.
    pub part: PartSource,
}

/// Text encoders and tokenizers in SD3's order: CLIP-L, CLIP-G, T5. Any may be absent.
#[derive(Clone, Default)]
pub struct TextSources {
    /// Encoders.
    pub encoders: [Option<PartSource>; 3],
    /// Folders with `tokenizer.json`, or `vocab.json` and `merges.txt`.
    pub tokenizers: [Option<PathBuf>; 3],
}

/// Names of the text parts, in order.
pub const TEXT_PARTS: [&str; 3] = ["CLIP-L", "CLIP-G", "T5"];
const ENCODER_FOLDERS: [&str; 3] = ["text_encoder", "text_encoder_2", "text_encoder_3"];
const TOKENIZER_FOLDERS: [&str; 3] = ["tokenizer", "tokenizer_2", "tokenizer_3"];
const ENCODER_PREFIXES: [&str; 3] = ["text_encoders.clip_l.", "text_encoders.clip_g.", "text_encoders.t5xxl."];
const ENCODER_FILES: [&str; 3] = ["clip_l", "clip_g", "t5xxl"];

/// Opens an autoencoder: a folder with config and weights, a pipeline folder that has one, or a file in any layout.
pub fn open_autoencoder(path: &Path) -> Result<AutoencoderSource, ModelError> {
    let folder = if path.join("vae").is_dir() {
        path.join("vae")
    } else {
        path.to_owned()
    };
    let weights = if folder.is_dir() {
        weights_in(&folder)?
    } else {
        Weights::open(&folder)?
    };
    let config =
        json(&folder_of(&folder).join("config.json"))?.filter(|c| text(c, "_class_name").starts_with("Autoencoder"));
    let prefix = ["first_stage_model.", "vae."]
        .into_iter()
        .find(|p| weights.keys().any(|k| k.starts_with(p)))
        .unwrap_or_default();
    autoencoder(&weights, prefix, config).ok_or_else(|| {
        bad(
            path,
            "no autoencoder that is known here: give SD3's AutoencoderKL, or TAESD3 as diffusers' AutoencoderTiny or its own taesd3_decoder.safetensors",
        )
    })?
}

/// The autoencoder among tensors whose names begin with `prefix`; `None` when there is none.
pub fn autoencoder(
    weights: &Weights,
    prefix: &str,
    config: Option<Value>,
) -> Option<Result<AutoencoderSource, ModelError>> {
    let own = |key: &str| key.strip_prefix(prefix).map(str::to_owned);
    let stripped: Vec<String> = weights.keys().filter_map(own).collect();
    let has = |piece: &str| stripped.iter().any(|k| k.starts_with(piece));
    let original = !stripped.is_empty() && stripped.iter().all(|key| keys::is_numbered(key));
    if has("decoder.layers.") || original {
        let decoder = stripped.iter().all(|key| !key.starts_with("0."));
        let named = |key: String| {
            if original {
                keys::tiny_autoencoder(&key, decoder)
            } else {
                Some(key)
            }
        };
        let weights = weights.renamed(|key| own(key).and_then(named).map(|k| (k, Part::Whole)).into_iter().collect());
        let config = config.map_or_else(|| infer::tiny_autoencoder(&weights), Ok);
        return Some(config.map(|config| AutoencoderSource {
            kind: AutoencoderKind::Tiny,
            part: PartSource { weights, config },
        }));
    }
    if !has("decoder.conv_in.") {
        return None;
    }
    let levels = keys::count(stripped.iter().map(String::as_str), "decoder.up.");
    // Names that the map doesn't know stay as they are, so that they are noticed as unused.
    let weights = weights.renamed(|key| match own(key) {
        Some(key) => Some(keys::autoencoder(&key, levels))
            .filter(|n| !n.is_empty())
            .unwrap_or_else(|| vec![(key, Part::Whole)]),
        None => Vec::new(),
    });
    let config = config.map_or_else(|| infer::kl_autoencoder(&weights), Ok);
    Some(config.map(|config| AutoencoderSource {
        kind: AutoencoderKind::Kl,
        part: PartSource { weights, config },
    }))
}

/// Finds text encoders and tokenizers: each from its own path when one is given, else from the model's folder or file.
pub fn open_text(model: &Path, single_file: Option<&Weights>, parts: &ModelParts) -> Result<TextSources, ModelError> {
    let encoders = match (&parts.text_encoder, single_file) {
        (Some(path), _) => {
            let encoders = encoders_at(path)?;
            if encoders.iter().all(Option::is_none) {
                return Err(bad(
                    path,
                    "no text encoder here: give a folder with text_encoder, text_encoder_2 (and text_encoder_3), or a safetensors file of one",
                ));
            }
            encoders
        }
        (None, Some(weights)) => encoders_of(weights)?,
        (None, None) => encoders_at(model)?,
    };
    let near = parts.text_encoder.as_deref().map(folder_of);
    let tokenizers = match &parts.tokenizer {
        Some(path) => {
            let found = tokenizers_at(path);
            if found.iter().all(Option::is_none) {
                return Err(bad(
                    path,
                    "no tokenizer here: give a folder with tokenizer, tokenizer_2 (and tokenizer_3)",
                ));
            }
            found
        }
        None => near
            .map(tokenizers_at)
            .filter(|t| t.iter().any(Option::is_some))
            .unwrap_or_else(|| tokenizers_at(folder_of(model))),
    };
    Ok(TextSources { encoders, tokenizers })
}

fn tokenizers_at(folder: &Path) -> [Option<PathBuf>; 3] {
    TOKENIZER_FOLDERS.map(|name| Some(folder.join(name)).filter(|p| p.is_dir()))
}

/// Encoders in a pipeline folder, in a folder of single encoders, or in a file.
fn encoders_at(path: &Path) -> Result<[Option<PartSource>; 3], ModelError> {
    let mut encoders = [None, None, None];
    if !path.is_dir() {
        return encoders_of(&Weights::open(path)?);
    }
    for (i, slot) in encoders.iter_mut().enumerate() {
        let folder = path.join(ENCODER_FOLDERS[i]);
        if folder.is_dir() {
            let weights = weights_in(&folder)?;
            let config = json(&folder.join("config.json"))?;
            *slot = Some(encoder(weights, i, config)?);
        } else if let Some(file) = first_safetensors(path, ENCODER_FILES[i]) {
            *slot = Some(encoder(Weights::open(&file)?, i, None)?);
        }
    }
    Ok(encoders)
}

/// Encoders in one file: those of a single-file checkpoint, or one alone.
fn encoders_of(weights: &Weights) -> Result<[Option<PartSource>; 3], ModelError> {
    let mut encoders = [None, None, None];
    for (i, slot) in encoders.iter_mut().enumerate() {
        let prefix = ENCODER_PREFIXES[i];
        if weights.keys().any(|k| k.starts_with(prefix)) {
            *slot = Some(encoder(weights.renamed(|key| encoder_names(key, prefix)), i, None)?);
        }
    }
    let token_width = weights
        .shape("text_model.embeddings.token_embedding.weight")
        .and_then(|s| s.last().copied());
    if weights.contains("shared.weight") {
        encoders[2] = Some(encoder(weights.clone(), 2, None)?);
    } else if let Some(width) = token_width {
        let which = usize::from(width > 1024);
        encoders[which] = Some(encoder(weights.clone(), which, None)?);
    }
    Ok(encoders)
}

/// A single file's name without its prefix; the logit scale belongs to CLIP's training alone.
fn encoder_names(key: &str, prefix: &str) -> Vec<(String, Part)> {
    let Some(rest) = key.strip_prefix(prefix) else {
        return Vec::new();
    };
    if rest == "logit_scale" {
        return Vec::new();
    }
    vec![(
        rest.strip_prefix("transformer.").unwrap_or(rest).to_owned(),
        Part::Whole,
    )]
}

fn encoder(weights: Weights, index: usize, config: Option<Value>) -> Result<PartSource, ModelError> {
    let inferred = || {
        if index == 2 {
            infer::t5(&weights)
        } else {
            infer::clip(&weights)
        }
    };
    let config = config.map_or_else(inferred, Ok)?;
    Ok(PartSource { weights, config })
}
