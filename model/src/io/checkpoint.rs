//! Reading checkpoints: safetensors and GGUF, every tensor accounted for.
//!
//! Opening reads headers alone, so a file of gigabytes opens at once. When a model asks for a tensor it is mapped and checked
//! for NaN; then it is converted to the compute dtype, once, or, if it is a large matrix that products can read as it is,
//! left where it is.
//!
//! | file | what |
//! |---|---|
//! | `header`, `gguf` | the header, of which nothing is trusted |
//! | `format` | how numbers are stored |
//! | `scaled` | factors beside weights in 8 bits |
//! | `slot` | a tensor: where it is, which part of it is meant, how it is read |
//! | `source` | the bytes: a file mapped tensor by tensor, or memory |
//! | `convert` | bytes to a tensor of the compute dtype |
//! | `fresh` | memory for that, in large pages |
//! | `stored` | matrices that are not converted but read in place |
//! | `shards` | `*.index.json` |
//! | `error` | everything that can be wrong |

mod convert;
mod error;
mod format;
mod fresh;
mod gguf;
mod header;
mod scaled;
mod shards;
mod slot;
mod source;
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::VarBuilder;
use candle_nn::var_builder::SimpleBackend;

pub use error::CheckpointError;
use header::Entry;
pub use slot::Part;
use slot::Slot;
use source::Source;
pub use stored::StoredMatrix;

use super::builder::{Builder, StoredMatrices};
use super::progress;
use crate::error::ModelError;

/// Facts about a tensor, from its header alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorFacts {
    /// Its shape, as a model sees it.
    pub shape: Vec<usize>,
    /// Its dtype as the file writes it, such as `F16`.
    pub dtype: String,
}

impl TensorFacts {
    /// Number of values.
    pub fn values(&self) -> u64 {
        self.shape.iter().map(|&side| side as u64).product()
    }
}

/// Named tensors out of one or several files, with a record of which ones a model asked for.
#[derive(Clone)]
pub struct Weights {
    inner: Arc<Inner>,
}

struct Inner {
    /// The file, for messages.
    name: String,
    slots: BTreeMap<String, Slot>,
    metadata: BTreeMap<String, String>,
    used: Mutex<BTreeSet<String>>,
}

impl Weights {
    /// Opens a safetensors or GGUF file, or a sharded checkpoint by its `*.index.json` or one of its files; only headers are
    /// read.
    ///
    /// # Errors
    /// Bad input when it is missing, a pickle, or its header is damaged (see [`CheckpointError`]).
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        if path.to_string_lossy().ends_with(".json") {
            return Self::open_shards(path);
        }
        if let Some(index) = shards::index_of_shard(path)? {
            return Self::open_shards(&index);
        }
        Self::open_file(path)
    }

    fn open_file(path: &Path) -> Result<Self, ModelError> {
        let (source, header) = Source::open(path)?;
        Self::from_source(source, header)
    }

    /// Opens bytes in memory; `name` is for messages.
    ///
    /// # Errors
    /// Bad input that says what is wrong with the file.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self, ModelError> {
        let (source, header) = Source::parse(bytes, name)?;
        Self::from_source(source, header)
    }

    fn from_source(source: Source, header: header::Header) -> Result<Self, ModelError> {
        let (name, source) = (source.name.clone(), Arc::new(source));
        let slot = |(key, entry): (String, Entry)| {
            (
                key.clone(),
                Slot {
                    source: Arc::clone(&source),
                    stored_key: key,
                    entry,
                    part: Part::Whole,
                    scale: None,
                },
            )
        };
        let mut slots = header.entries.into_iter().map(slot).collect();
        scaled::apply(&mut slots, &name)?;
        Ok(Self::from_slots(name, slots, header.metadata))
    }

    fn from_slots(name: String, slots: BTreeMap<String, Slot>, metadata: BTreeMap<String, String>) -> Self {
        Self {
            inner: Arc::new(Inner {
                name,
                slots,
                metadata,
                used: Mutex::default(),
            }),
        }
    }

    fn open_shards(index: &Path) -> Result<Self, ModelError> {
        let name = index.display().to_string();
        let bad = |reason: String| CheckpointError::Index { reason }.at(&name);
        let (mut slots, mut metadata) = (BTreeMap::new(), BTreeMap::new());
        for (file, listed) in shards::files(index)? {
            let shard = Self::open_file(&file)?;
            if let Some(key) = listed.iter().find(|key| !shard.contains(key)) {
                return Err(bad(format!(
                    "{} lacks tensor {key}; copy or download it again",
                    file.display()
                )));
            }
            for (key, slot) in &shard.inner.slots {
                if slots.insert(key.clone(), slot.clone()).is_some() {
                    return Err(bad(format!("tensor {key} is in two of its files")));
                }
            }
            metadata.extend(shard.inner.metadata.clone());
        }
        Ok(Self::from_slots(name, slots, metadata))
    }

    /// The file (or name) that these tensors come from.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The `__metadata__` of the file.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.inner.metadata
    }

    /// Names of all tensors.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.inner.slots.keys().map(String::as_str)
    }

    /// Whether there is a tensor of that name; asking doesn't count as use.
    pub fn contains(&self, name: &str) -> bool {
        self.inner.slots.contains_key(name)
    }

    /// Shape and dtype of a tensor, without reading it.
    pub fn facts(&self, name: &str) -> Option<TensorFacts> {
        let slot = self.inner.slots.get(name)?;
        Some(TensorFacts {
            shape: slot.shape()?,
            dtype: slot.entry.dtype_name.clone(),
        })
    }

    /// Shape of a tensor, without reading it.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.inner.slots.get(name)?.shape()
    }

    /// The same tensors under other names. `rename` is asked for each name and says which names it serves, and by which
    /// part; none drops it.
    #[must_use]
    pub fn renamed(&self, mut rename: impl FnMut(&str) -> Vec<(String, Part)>) -> Self {
        let mut slots = BTreeMap::new();
        for (key, slot) in &self.inner.slots {
            for (name, part) in rename(key) {
                slots.insert(name, Slot { part, ..slot.clone() });
            }
        }
        Self::from_slots(self.inner.name.clone(), slots, self.inner.metadata.clone())
    }

    /// These tensors, those of `over` added or taking the place of others.
    #[must_use]
    pub fn layered(&self, over: &Self) -> Self {
        let mut slots = self.inner.slots.clone();
        slots.extend(over.inner.slots.clone());
        let mut metadata = self.inner.metadata.clone();
        metadata.extend(over.inner.metadata.clone());
        Self::from_slots(self.inner.name.clone(), slots, metadata)
    }

    /// Gives tensors a second name: each pair is (new, known). Names that are there already keep their own tensor.
    #[must_use]
    pub fn aliased(&self, pairs: &[(String, String)]) -> Self {
        let mut slots = self.inner.slots.clone();
        for (new, known) in pairs {
            if let (false, Some(slot)) = (slots.contains_key(new), self.inner.slots.get(known)) {
                slots.insert(new.clone(), slot.clone());
            }
        }
        Self::from_slots(self.inner.name.clone(), slots, self.inner.metadata.clone())
    }

    /// All tensors as stored, read now.
    ///
    /// # Errors
    /// Files that can't be read.
    pub fn tensors(&self) -> Result<BTreeMap<String, Tensor>, ModelError> {
        self.inner
            .slots
            .keys()
            .map(|key| Ok((key.clone(), self.get(key)?)))
            .collect()
    }

    /// A tensor that must be there, as stored.
    ///
    /// # Shapes
    /// As the file says.
    ///
    /// # Errors
    /// Bad input when it isn't there; files that can't be read.
    pub fn get(&self, name: &str) -> Result<Tensor, ModelError> {
        self.slot(name)?.load(None, &Device::Cpu)
    }

    /// A tensor that must be there, in `dtype` on `device`.
    ///
    /// # Shapes
    /// As the file says.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn load(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor, ModelError> {
        let tensor = self.slot(name)?.load(Some(dtype), device)?;
        self.report(tensor.elem_count())?;
        Ok(tensor)
    }

    /// A matrix that stays in its file, for products in `dtype`; `None` when it has to be converted or is small.
    ///
    /// # Errors
    /// Bad input when it isn't there.
    pub fn stored(&self, name: &str, dtype: DType) -> Result<Option<StoredMatrix>, ModelError> {
        let matrix = self.slot(name)?.stored(dtype)?;
        if let Some(matrix) = &matrix {
            self.report(matrix.dims().iter().product())?;
        }
        Ok(matrix)
    }

    fn report(&self, values: usize) -> Result<(), ModelError> {
        if progress::report(values as u64).is_break() {
            return Err(ModelError::BadInput(format!("{}: loading was stopped", self.name())));
        }
        Ok(())
    }

    /// Judged by the header, before a wrong tensor is read.
    fn check_shape(&self, shape: &[usize], name: &str) -> candle_core::Result<()> {
        match self.shape(name) {
            Some(found) if found != shape => {
                candle_core::bail!("tensor {name} has shape {found:?}, the config asks for {shape:?}")
            }
            _ => Ok(()),
        }
    }

    /// A builder over these tensors, converted to `dtype` on `device`.
    pub fn builder(&self, dtype: DType, device: &Device) -> Builder {
        let held = VarBuilder::from_backend(Box::new(self.clone()), dtype, device.clone());
        Builder::over(held, self.clone())
    }

    /// Tensors that nobody has asked for.
    pub fn unused(&self) -> Vec<String> {
        let used = self.inner.used.lock().unwrap_or_else(PoisonError::into_inner);
        self.inner
            .slots
            .keys()
            .filter(|k| !used.contains(*k))
            .cloned()
            .collect()
    }

    /// Refuses tensors that nobody asked for, so that a wrong or newer checkpoint is noticed.
    ///
    /// # Errors
    /// Bad input that names the tensors that nothing asked for.
    pub fn check_all_used(&self) -> Result<(), ModelError> {
        let extra = self.unused();
        if extra.is_empty() {
            return Ok(());
        }
        Err(ModelError::BadInput(format!(
            "unknown tensors in the checkpoint: {}; does it belong to this config?",
            shortened(&extra)
        )))
    }

    /// Number of values in all tensors.
    pub fn parameters(&self) -> u64 {
        let values = |slot: &Slot| {
            slot.shape()
                .map_or(0, |shape| shape.iter().map(|&side| side as u64).product())
        };
        self.inner.slots.values().map(values).sum()
    }

    /// Memory that all tensors take on a processor when they are used in `compute`, in bytes; matrices that stay in their
    /// file count with its format.
    pub fn resident_bytes(&self, compute: DType) -> u64 {
        self.inner.slots.values().map(|slot| slot.resident_bytes(compute)).sum()
    }

    fn slot(&self, name: &str) -> Result<&Slot, ModelError> {
        self.mark(name);
        let missing = || CheckpointError::Missing { key: name.to_owned() }.at(&self.inner.name);
        self.inner.slots.get(name).ok_or_else(missing)
    }

    /// Notes that a tensor has been used.
    pub(crate) fn mark(&self, name: &str) {
        self.inner
            .used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned());
    }
}

/// The safetensors files behind a path: itself, or the shards of an index.
pub(crate) fn files_of(path: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let index = shards::index_of_shard(path)?.unwrap_or_else(|| path.to_owned());
    if index.to_string_lossy().ends_with(".json") {
        Ok(shards::files(&index)?.into_keys().collect())
    } else {
        Ok(vec![index])
    }
}

/// The first three of a list of names, and how many more there are.
pub(crate) fn shortened(names: &[String]) -> String {
    let shown = names[..names.len().min(3)].join(", ");
    if names.len() > 3 {
        format!("{shown} and {} more", names.len() - 3)
    } else {
        shown
    }
}

impl SimpleBackend for Weights {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: candle_nn::Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        self.check_shape(shape.dims(), name)?;
        self.get_unchecked(name, dtype, device)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        // The message alone: a wrapped error would carry a backtrace into it.
        self.load(name, dtype, device)
            .map_err(|e| candle_core::Error::Msg(e.to_string()))
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.contains(name)
    }
}

impl StoredMatrices for Weights {
    fn stored(&self, shape: (usize, usize), name: &str, dtype: DType) -> candle_core::Result<Option<StoredMatrix>> {
        self.check_shape(&[shape.0, shape.1], name)?;
        Weights::stored(self, name, dtype).map_err(|e| candle_core::Error::Msg(e.to_string()))
    }
}

#[cfg(test)]
mod tests;
