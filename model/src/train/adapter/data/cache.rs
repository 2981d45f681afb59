//! Latents and encoded prompts on disk, under names that say what they were made from.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use mdsd3_words::hash::hex;
use sha2::{Digest, Sha256};

use crate::error::ModelError;
use crate::io::atomic::write_atomically;
use crate::io::checkpoint::Weights;

/// Tensors of more values than this count with their name and shape alone.
const LARGEST_HASHED: usize = 1 << 20;

/// A folder of tensors by key.
#[derive(Clone)]
pub struct Cache {
    folder: PathBuf,
}

/// A hexadecimal SHA-256 of parts, each preceded by its length.
pub fn key(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// What tells one network's weights from another's: all names and shapes, and the values of all but the largest tensors.
pub fn weights_key(weights: &Weights) -> Result<String, ModelError> {
    let mut hash = Sha256::new();
    for name in weights.keys() {
        let shape = weights.shape(name).unwrap_or_default();
        hash.update(format!("{name}{shape:?}").as_bytes());
        if shape.iter().product::<usize>() <= LARGEST_HASHED {
            let values: Vec<f32> = weights.load(name, DType::F32, &Device::Cpu)?.flatten_all()?.to_vec1()?;
            for value in values {
                hash.update(value.to_le_bytes());
            }
        }
    }
    Ok(hex(&hash.finalize()))
}

impl Cache {
    /// A cache in a folder, which is made.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        std::fs::create_dir_all(folder).map_err(|source| ModelError::Io {
            path: folder.to_owned(),
            source,
        })?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.safetensors"))
    }

    /// Whether there is an entry that can be read.
    pub fn has(&self, key: &str) -> bool {
        Weights::open(&self.path(key)).is_ok()
    }

    /// Reads a tensor of an entry.
    ///
    /// # Shapes
    /// As stored.
    pub fn get(&self, key: &str, name: &str) -> Result<Tensor, ModelError> {
        Weights::open(&self.path(key))?.get(name)
    }

    /// Writes an entry, atomically.
    pub fn put(&self, key: &str, tensors: &HashMap<String, Tensor>) -> Result<(), ModelError> {
        let path = self.path(key);
        let bytes = safetensors::serialize(tensors, None).map_err(|e| ModelError::Io {
            path: path.clone(),
            source: std::io::Error::other(e),
        })?;
        write_atomically(&path, |file| file.write_all(&bytes))
    }
}

/// The key of an encoded prompt.
pub fn prompt_key(encoders: &str, prompt: &str) -> String {
    key(&[b"prompt 1", encoders.as_bytes(), prompt.as_bytes()])
}
