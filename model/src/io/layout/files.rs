//! Finding and reading the files of a layout.

use std::path::{Path, PathBuf};

use mdsd3_words::regular::{self, MOST_TEXT_BYTES};
use serde_json::Value;

use crate::error::ModelError;
use crate::io::checkpoint::{CheckpointError, Weights};

/// Names that weights have in a diffusers or transformers folder, without extension.
const STEMS: [&str; 3] = ["diffusion_pytorch_model", "model", "weights"];

pub fn bad(path: &Path, what: impl std::fmt::Display) -> ModelError {
    ModelError::BadInput(format!("{}: {what}", path.display()))
}

/// Reads a JSON file; `None` when there is none.
pub fn json(path: &Path) -> Result<Option<Value>, ModelError> {
    match regular::read_regular(path, MOST_TEXT_BYTES) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| bad(path, format_args!("can't be read as JSON ({e})"))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(bad(path, format_args!("can't be read ({e})"))),
    }
}

/// A string field of a JSON object.
pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The names of the files in a folder, sorted.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The weights file of a folder: plain, sharded, or a variant such as `model.fp16.safetensors`.
pub fn weights_path(folder: &Path) -> Result<PathBuf, ModelError> {
    let names = names_in(folder);
    for stem in STEMS {
        for name in [format!("{stem}.safetensors"), format!("{stem}.safetensors.index.json")] {
            if names.contains(&name) {
                return Ok(folder.join(name));
            }
        }
    }
    // `model.safetensors.index.fp16.json` and `model.fp16.safetensors.index.json`: both spellings are published.
    let is_index = |rest: &str| has_extension(rest, "json") && rest.contains(".safetensors.index.");
    let is_whole = |rest: &str| rest.ends_with(".safetensors") && !rest.contains("-of-");
    let variant = |stem: &str, is_wanted: &dyn Fn(&str) -> bool| {
        let rest = |n: &String| {
            n.strip_prefix(stem)
                .is_some_and(|rest| rest.starts_with('.') && is_wanted(rest))
        };
        names.iter().find(|n| rest(n))
    };
    let found = STEMS
        .iter()
        .find_map(|stem| variant(stem, &is_index).or_else(|| variant(stem, &is_whole)));
    if let Some(name) = found {
        return Ok(folder.join(name));
    }
    if let Some(pickle) = names
        .iter()
        .find(|n| [".bin", ".ckpt", ".pt", ".pth"].iter().any(|end| n.ends_with(end)))
    {
        return Err(CheckpointError::Pickle.at(&folder.join(pickle).display().to_string()));
    }
    if let Some(shard) = names.iter().find(|n| n.contains("-of-") && n.ends_with(".safetensors")) {
        return Err(bad(
            folder,
            format_args!(
                "{shard} is one part of a set whose index (model.safetensors.index.json) is missing; download it too"
            ),
        ));
    }
    Err(bad(
        folder,
        "no model.safetensors or diffusion_pytorch_model.safetensors in this folder; is the download complete?",
    ))
}

/// The weights of a folder.
pub fn weights_in(folder: &Path) -> Result<Weights, ModelError> {
    Weights::open(&weights_path(folder)?)
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|own| own == extension)
}

/// Files in a folder that hold weights as they are, sorted by name.
pub fn weights_files(folder: &Path) -> Vec<PathBuf> {
    let is_weights = |n: &String| has_extension(n, "safetensors") && !n.contains("-of-") || has_extension(n, "gguf");
    names_in(folder)
        .into_iter()
        .filter(is_weights)
        .map(|n| folder.join(n))
        .collect()
}

/// The folder or file that a path stands for: a Hugging Face cache folder stands for its snapshot, anything else for itself.
///
/// # Errors
/// Bad input when nothing is there, or the cache holds several snapshots and none that counts.
pub fn resolved(path: &Path) -> Result<PathBuf, ModelError> {
    if !path.exists() {
        return Err(missing(path));
    }
    let snapshots = path.join("snapshots");
    if !snapshots.is_dir() {
        return Ok(path.to_owned());
    }
    let main = std::fs::read_to_string(path.join("refs/main")).unwrap_or_default();
    let named = snapshots.join(main.trim());
    if !main.trim().is_empty() && named.is_dir() {
        return Ok(named);
    }
    match subfolders(&snapshots).as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(bad(
            path,
            "this Hugging Face cache folder holds no snapshot; is the download complete?",
        )),
        several => Err(bad(
            path,
            format_args!(
                "this Hugging Face cache folder holds {} snapshots; name one in {}",
                several.len(),
                snapshots.display()
            ),
        )),
    }
}

/// Nothing at a path, which may have been meant for the name of a repository.
fn missing(path: &Path) -> ModelError {
    let text = path.to_string_lossy();
    let is_name = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(char::is_whitespace);
    match text.split_once('/') {
        Some((owner, name))
            if is_name(owner)
                && is_name(name)
                && !name.contains('/')
                && path.extension().is_none_or(|e| e.len() < 3) =>
        {
            bad(
                path,
                format_args!(
                    "no such model folder or file; if it is a Hugging Face repository, fetch it with `hf download {text}` and give the folder that this prints"
                ),
            )
        }
        _ => bad(path, "no such model folder or file"),
    }
}

/// Subfolders of a folder, sorted by name.
pub fn subfolders(folder: &Path) -> Vec<PathBuf> {
    names_in(folder)
        .into_iter()
        .map(|n| folder.join(n))
        .filter(|p| p.is_dir())
        .collect()
}

/// The folder that a path is, or that a file lies in.
pub fn folder_of(path: &Path) -> &Path {
    if path.is_dir() {
        return path;
    }
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}
