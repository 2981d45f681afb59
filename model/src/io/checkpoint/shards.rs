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
