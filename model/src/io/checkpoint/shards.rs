//! Sharded checkpoints: a `*.index.json` that says which file beside it holds which tensor.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use mdsd3_words::regular::{self, MOST_TEXT_BYTES};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::error::{CheckpointError, opening};
use crate::error::ModelError;

/// An index as Hugging Face writes it; `metadata` is of no use here.
#[derive(Deserialize)]
struct Index {
    weight_map: WeightMap,
}

/// File by tensor name, a name that is there twice being refused.
struct WeightMap(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapVisitor;
        impl<'de> Visitor<'de> for MapVisitor {
            type Value = WeightMap;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map from tensor names to file names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WeightMap, A::Error> {
                let mut files = BTreeMap::new();
                while let Some((key, file)) = map.next_entry::<String, String>()? {
                    if files.contains_key(&key) {
                        return Err(serde::de::Error::custom(format!("tensor {key} is listed twice")));
                    }
                    files.insert(key, file);
                }
                Ok(WeightMap(files))
            }
        }
        deserializer.deserialize_map(MapVisitor)
    }
}

/// The files of an index and the tensors that each should hold.
pub(super) fn files(index: &Path) -> Result<BTreeMap<PathBuf, Vec<String>>, ModelError> {
    let bad = |reason: String| CheckpointError::Index { reason }.at(&index.display().to_string());
    let json = regular::read_regular(index, MOST_TEXT_BYTES).map_err(|e| opening(index.to_owned(), e))?;
    let Index {
        weight_map: WeightMap(map),
    } = serde_json::from_slice(&json).map_err(|e| bad(e.to_string()))?;
    if map.is_empty() {
        return Err(bad("it lists no tensors".to_owned()));
    }
    let folder = index.parent().unwrap_or(Path::new("."));
    let mut files: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for (key, file) in map {
        // A checkpoint from the network must not point outside of its folder.
        if !Path::new(&file).components().all(|c| matches!(c, Component::Normal(_))) {
            return Err(bad(format!("{file} is not a file beside it")));
        }
        files.entry(folder.join(file)).or_default().push(key);
    }
    Ok(files)
}

/// The index beside a file that is one of a set, by its name (`model-00001-of-00002.safetensors`): a shard is never taken for the
/// whole. `None` for other files.
pub(super) fn index_of_shard(file: &Path) -> Result<Option<PathBuf>, ModelError> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    if !is_shard(&name) || !file.is_file() {
        return Ok(None);
    }
    let folder = file
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut indices: Vec<PathBuf> = entries
        .filter(|p| p.to_string_lossy().contains(".safetensors.index."))
        .collect();
    indices.sort();
    for index in indices {
        if files(&index)?
            .keys()
            .any(|listed| listed.file_name() == file.file_name())
        {
            return Ok(Some(index));
        }
    }
    let reason =
        "this is one file of a set, and no index beside it (*.safetensors.index.json) lists it; download the index too";
    Err(ModelError::BadInput(format!("{}: {reason}", file.display())))
}

/// Whether a name has a part's number and the number of parts in it.
fn is_shard(name: &str) -> bool {
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    let before = |text: &str| text.rsplit_once('-').is_some_and(|(_, number)| is_number(number));
    let after = |text: &str| text.split_once('.').is_some_and(|(number, _)| is_number(number));
    name.split_once("-of-")
        .is_some_and(|(first, rest)| before(first) && after(rest))
}
