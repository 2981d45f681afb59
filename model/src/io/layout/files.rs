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
    let variant = |stem: &str, end: &str| {
        names.iter().find(|n| {
            n.strip_prefix(stem)
                .is_some_and(|rest| rest.starts_with('.') && rest.ends_with(end))
        })
    };
    let found = STEMS
        .iter()
        .find_map(|stem| variant(stem, ".index.json").or_else(|| variant(stem, ".safetensors")));
    if let Some(name) = found {
        return Ok(folder.join(name));
    }
    if let Some(pickle) = names
        .iter()
        .find(|n| [".bin", ".ckpt", ".pt", ".pth"].iter().any(|end| n.ends_with(end)))
    {
        return Err(CheckpointError::Pickle.at(&folder.join(pickle).display().to_string()));
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

/// Files of a folder whose names begin with `prefix` and end in `.safetensors`, the first by name.
pub fn first_safetensors(folder: &Path, prefix: &str) -> Option<PathBuf> {
    names_in(folder)
        .into_iter()
        .find(|n| n.starts_with(prefix) && n.ends_with(".safetensors"))
        .map(|n| folder.join(n))
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
