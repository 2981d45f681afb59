//! The parts around the transformer: autoencoders, text encoders, tokenizers.

use std::path::{Path, PathBuf};

use mdsd3_words::ModelParts;
use serde_json::Value;

use super::files::{bad, folder_of, json, resolved, subfolders, text, weights_files, weights_in};
use super::{beside, infer, keys};
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

impl TextSources {
    /// Tensors of the encoders that there are.
    pub fn weights(&self) -> [Option<&Weights>; 3] {
        self.encoders
            .each_ref()
            .map(|part| part.as_ref().map(|part| &part.weights))
    }
}

/// Names of the text parts, in order.
pub const TEXT_PARTS: [&str; 3] = ["CLIP-L", "CLIP-G", "T5"];
const ENCODER_FOLDERS: [&str; 3] = ["text_encoder", "text_encoder_2", "text_encoder_3"];
const TOKENIZER_FOLDERS: [&str; 3] = ["tokenizer", "tokenizer_2", "tokenizer_3"];
/// How published files of encoders are called; others are told by their tensors alone.
pub const ENCODER_FILES: [&str; 3] = ["clip_l", "clip_g", "t5xxl"];
/// Prefixes of an autoencoder in a single file.
pub const AUTOENCODER_PREFIXES: [&str; 2] = ["first_stage_model.", "vae."];
/// A CLIP's vocabulary and T5's, whose places tell where in a file an encoder is.
const CLIP_VOCABULARY: &str = "text_model.embeddings.token_embedding.weight";
const T5_VOCABULARY: &str = "shared.weight";
/// The widest CLIP-L; CLIP-G is wider.
const CLIP_L_WIDTH: usize = 1024;

/// Opens an autoencoder: a folder with config and weights, a pipeline folder that has one, or a file in any layout.
pub fn open_autoencoder(path: &Path) -> Result<AutoencoderSource, ModelError> {
    let path = &resolved(path)?;
    let folder = if path.join("vae").is_dir() {
        path.join("vae")
    } else {
        path.clone()
    };
    let weights = if folder.is_dir() {
        weights_in(&folder)?
    } else {
        Weights::open(&folder)?
    };
    let config =
        json(&folder_of(&folder).join("config.json"))?.filter(|c| text(c, "_class_name").starts_with("Autoencoder"));
    let prefix = AUTOENCODER_PREFIXES
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

/// Finds text encoders and tokenizers: from their own paths when those are given, else from the model's file or folder, else
/// from beside it. The second result says what was found beside it.
pub fn open_text(
    model: &Path,
    single_file: Option<&Weights>,
    parts: &ModelParts,
) -> Result<(TextSources, Vec<String>), ModelError> {
    let mut encoders: Encoders = [None, None, None];
    for path in &parts.text_encoder {
        let given = encoders_at(path)?;
        if given.iter().all(Option::is_none) {
            return Err(bad(
                path,
                "no text encoder here: give a folder with text_encoder, text_encoder_2 (and text_encoder_3), or a file or folder of CLIP-L, CLIP-G or T5",
            ));
        }
        for (slot, given) in encoders.iter_mut().zip(given) {
            if slot.is_some() && given.is_some() {
                return Err(bad(
                    path,
                    "a second encoder of a kind that another --text-encoder gives already",
                ));
            }
            *slot = slot.take().or(given);
        }
    }
    let own = match single_file {
        Some(weights) => encoders_of(weights)?,
        None => encoders_at(model)?,
    };
    for (slot, own) in encoders.iter_mut().zip(own) {
        *slot = slot.take().or(own);
    }
    let found = match single_file {
        Some(_) => beside::add_encoders(model, &mut encoders),
        None => Vec::new(),
    };
    let tokenizers = open_tokenizers(model, parts)?;
    Ok((TextSources { encoders, tokenizers }, found))
}

fn open_tokenizers(model: &Path, parts: &ModelParts) -> Result<[Option<PathBuf>; 3], ModelError> {
    if let Some(path) = &parts.tokenizer {
        let found = tokenizers_at(&resolved(path)?);
        if found.iter().all(Option::is_none) {
            return Err(bad(
                path,
                "no tokenizer here: give a folder with tokenizer, tokenizer_2 (and tokenizer_3)",
            ));
        }
        return Ok(found);
    }
    let near = parts.text_encoder.iter().filter_map(|path| resolved(path).ok());
    let near = near.map(|path| folder_of(&path).to_owned());
    // Those of pipelines beside a file too, as their encoders may be the ones that are taken.
    let folder = folder_of(model);
    let mut places = near
        .chain(std::iter::once(folder.to_owned()).chain(subfolders(folder)))
        .map(|folder| tokenizers_at(&folder));
    Ok(places
        .find(|found| found.iter().any(Option::is_some))
        .unwrap_or_default())
}

fn tokenizers_at(folder: &Path) -> [Option<PathBuf>; 3] {
    TOKENIZER_FOLDERS.map(|name| Some(folder.join(name)).filter(|p| p.is_dir()))
}

/// Encoders in SD3's order.
pub type Encoders = [Option<PartSource>; 3];

/// Encoders in a pipeline folder, in a folder of files, in the folder of one, or in a file.
pub fn encoders_at(path: &Path) -> Result<Encoders, ModelError> {
    let path = &resolved(path)?;
    if !path.is_dir() {
        return encoders_of(&Weights::open(path)?);
    }
    let mut encoders = encoders_in_pipeline(path)?;
    if encoders.iter().all(Option::is_none) && path.join("config.json").is_file() {
        encoders = with_config(encoders_of(&weights_in(path)?)?, path)?;
    }
    if encoders.iter().all(Option::is_none) {
        encoders = encoders_among(&weights_files(path))?;
    }
    Ok(encoders)
}

/// Encoders in the folders of a pipeline.
pub fn encoders_in_pipeline(path: &Path) -> Result<Encoders, ModelError> {
    let mut encoders = [None, None, None];
    for (i, slot) in encoders.iter_mut().enumerate() {
        let folder = path.join(ENCODER_FOLDERS[i]);
        if folder.is_dir() {
            let config = json(&folder.join("config.json"))?;
            *slot = Some(encoder(encoder_weights(&weights_in(&folder)?), i, config)?);
        }
    }
    Ok(encoders)
}

/// Encoders with the config that lies beside their file.
fn with_config(encoders: Encoders, folder: &Path) -> Result<Encoders, ModelError> {
    let config = json(&folder.join("config.json"))?;
    Ok(encoders.map(|part| {
        part.map(|part| PartSource {
            config: config.clone().unwrap_or(part.config),
            ..part
        })
    }))
}

/// Encoders among files, told by their tensors. Of several of a kind the one that is called as published counts, then the
/// larger, which is the less rounded.
pub fn encoders_among(files: &[PathBuf]) -> Result<Encoders, ModelError> {
    let size = |file: &PathBuf| file.metadata().map_or(0, |facts| facts.len());
    let published = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        ENCODER_FILES.iter().any(|known| name.starts_with(known))
    };
    let mut files = files.to_vec();
    files.sort_by_key(|file| (!published(file), std::cmp::Reverse(size(file))));
    let mut encoders: Encoders = [None, None, None];
    for file in &files {
        for (slot, found) in encoders.iter_mut().zip(encoders_of(&Weights::open(file)?)?) {
            *slot = slot.take().or(found);
        }
    }
    Ok(encoders)
}

/// Encoders in one file, wherever in it they are: those of a single-file checkpoint, or one alone.
pub fn encoders_of(weights: &Weights) -> Result<Encoders, ModelError> {
    let weights = &encoder_weights(weights);
    let prefixes = |vocabulary: &str| -> Vec<String> {
        weights
            .keys()
            .filter_map(|key| key.strip_suffix(vocabulary))
            .map(str::to_owned)
            .collect()
    };
    let own = |prefix: &str| {
        weights.renamed(|key| match key.strip_prefix(prefix) {
            // The logit scale belongs to CLIP's training alone.
            Some(rest) if rest != "logit_scale" => vec![(rest.to_owned(), Part::Whole)],
            _ => Vec::new(),
        })
    };
    let mut encoders: Encoders = [None, None, None];
    for prefix in prefixes(CLIP_VOCABULARY) {
        let width = weights
            .shape(&format!("{prefix}{CLIP_VOCABULARY}"))
            .and_then(|s| s.last().copied());
        let which = usize::from(width.unwrap_or_default() > CLIP_L_WIDTH);
        encoders[which] = Some(encoder(own(&prefix), which, None)?);
    }
    for prefix in prefixes(T5_VOCABULARY) {
        encoders[2] = Some(encoder(own(&prefix), 2, None)?);
    }
    Ok(encoders)
}

/// An encoder file's tensors under transformers' names: llama.cpp has its own for T5.
fn encoder_weights(weights: &Weights) -> Weights {
    if !weights.keys().any(|key| key.starts_with("enc.blk.")) {
        return weights.clone();
    }
    weights.renamed(|key| vec![(keys::t5_of_llama(key).unwrap_or_else(|| key.to_owned()), Part::Whole)])
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
