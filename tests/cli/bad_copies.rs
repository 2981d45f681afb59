//! Broken checkpoints, made from the bundled one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::program::repository;

/// A tensor that can be changed.
#[derive(Clone)]
pub struct OwnedTensor {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub data: Vec<u8>,
}

pub type Tensors = BTreeMap<String, OwnedTensor>;

/// Copies the bundled model into `folder` with its tensors changed.
pub fn model_with(folder: &Path, change: impl FnOnce(&mut Tensors)) -> PathBuf {
    let original = repository().join("assets/models/mini");
    let copy = folder.join("model");
    fs::create_dir_all(&copy).expect("a folder");
    fs::copy(original.join("config.json"), copy.join("config.json")).expect("the bundled configuration");
    change_file(
        &original.join("model.safetensors"),
        &copy.join("model.safetensors"),
        change,
    );
    copy
}

/// Copies a safetensors file with its tensors changed.
pub fn change_file(from: &Path, to: &Path, change: impl FnOnce(&mut Tensors)) {
    let bytes = fs::read(from).expect("a readable file");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("a safetensors file");
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let owned = |view: TensorView<'_>| OwnedTensor {
        dtype: view.dtype(),
        shape: view.shape().to_vec(),
        data: view.data().to_vec(),
    };
    let mut tensors: Tensors = file
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, owned(view)))
        .collect();
    change(&mut tensors);
    let views = tensors.iter().map(|(name, tensor)| {
        let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.data);
        (name, view.expect("data fit the shape"))
    });
    let bytes = safetensors::serialize(views, header.metadata().clone()).expect("serializable");
    fs::write(to, bytes).expect("written");
}

/// The largest tensor's name: surely one the model needs.
pub fn largest(tensors: &Tensors) -> String {
    let (name, _) = tensors
        .iter()
        .max_by_key(|(_, tensor)| tensor.data.len())
        .expect("a tensor");
    name.clone()
}
