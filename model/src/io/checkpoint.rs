//! Reading checkpoints: safetensors only, every tensor accounted for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::VarBuilder;
use candle_nn::var_builder::SimpleBackend;
use safetensors::SafeTensors;

use crate::error::ModelError;

/// The tensors of a safetensors file, with a record of which ones a model asked for.
#[derive(Clone)]
pub struct Weights {
    inner: Arc<Inner>,
}

struct Inner {
    tensors: BTreeMap<String, Tensor>,
    used: Mutex<BTreeSet<String>>,
}

impl Weights {
    /// Reads a file; `name` in messages is its path.
    ///
    /// # Errors
    /// Bad input when it is missing, a pickle, truncated or otherwise damaged, holds an unsupported dtype or NaN.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let bytes = std::fs::read(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => ModelError::BadInput(format!("{}: no such checkpoint file", path.display())),
            _ => ModelError::Io { path: path.to_owned(), source: e },
        })?;
        Self::parse(&bytes, &path.display().to_string())
    }

    /// Parses the bytes of a safetensors file; `name` is for messages.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self, ModelError> {
        refuse_pickle(bytes, name)?;
        let file = SafeTensors::deserialize(bytes)
            .map_err(|e| ModelError::BadInput(format!("{name}: not a complete safetensors file ({e}); copy or download it again")))?;
        let mut tensors = BTreeMap::new();
        for (key, view) in file.tensors() {
            tensors.insert(key.clone(), tensor_from_view(&key, &view, name)?);
        }
        Ok(Self { inner: Arc::new(Inner { tensors, used: Mutex::default() }) })
    }

    /// Tensors by name, as stored.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.inner.tensors
    }

    /// A tensor that must be there.
    pub fn get(&self, name: &str) -> Result<&Tensor, ModelError> {
        self.mark(name);
        self.inner.tensors.get(name).ok_or_else(|| ModelError::BadInput(format!("tensor {name} is missing")))
    }

    /// A builder over these tensors, converted to `dtype` on `device`.
    pub fn builder(&self, dtype: DType, device: &Device) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(self.clone()), dtype, device.clone())
    }

    /// Refuses tensors that nobody asked for, so that a wrong or newer checkpoint is noticed.
    pub fn check_all_used(&self) -> Result<(), ModelError> {
        let used = self.inner.used.lock().unwrap_or_else(PoisonError::into_inner);
        let extra: Vec<&str> = self.inner.tensors.keys().filter(|k| !used.contains(*k)).map(String::as_str).collect();
        if extra.is_empty() {
            return Ok(());
        }
        let shown = extra[..extra.len().min(3)].join(", ");
        let more = if extra.len() > 3 { format!(" and {} more", extra.len() - 3) } else { String::new() };
        Err(ModelError::BadInput(format!("unknown tensors in the checkpoint: {shown}{more}; does it belong to this config?")))
    }

    /// Number of values in all tensors.
    pub fn parameters(&self) -> u64 {
        self.inner.tensors.values().map(|t| t.elem_count() as u64).sum()
    }

    fn mark(&self, name: &str) {
        self.inner.used.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }
}

impl SimpleBackend for Weights {
    fn get(&self, shape: Shape, name: &str, _: candle_nn::Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let tensor = self.get_unchecked(name, dtype, device)?;
        if tensor.shape() != &shape {
            candle_core::bail!("tensor {name} has shape {:?}, the config asks for {:?}", tensor.dims(), shape.dims());
        }
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let Ok(tensor) = Self::get(self, name) else { candle_core::bail!("tensor {name} is missing") };
        tensor.to_device(device)?.to_dtype(dtype)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.inner.tensors.contains_key(name)
    }
}

/// Pickles can run any program when they are read, so they are never opened.
fn refuse_pickle(bytes: &[u8], name: &str) -> Result<(), ModelError> {
    let zip = bytes.starts_with(b"PK\x03\x04");
    let protocol = bytes.first() == Some(&0x80) && bytes.get(1).is_some_and(|v| (2..=5).contains(v));
    // A safetensors file begins with its header's length, which may look like a pickle's mark, and then `{`.
    let safetensors = bytes.get(8) == Some(&b'{');
    if (zip || protocol) && !safetensors {
        return Err(ModelError::BadInput(format!(
            "{name}: this is a PyTorch pickle, which can run programs when read; convert it to safetensors first"
        )));
    }
    Ok(())
}

fn tensor_from_view(key: &str, view: &safetensors::tensor::TensorView, name: &str) -> Result<Tensor, ModelError> {
    let dtype = match view.dtype() {
        safetensors::Dtype::F32 => DType::F32,
        safetensors::Dtype::F16 => DType::F16,
        safetensors::Dtype::BF16 => DType::BF16,
        safetensors::Dtype::F64 => DType::F64,
        safetensors::Dtype::I64 => DType::I64,
        other => {
            return Err(ModelError::BadInput(format!("{name}: tensor {key} has dtype {other:?}; f32, f16 and bf16 are supported")));
        }
    };
    let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)?;
    if dtype != DType::I64 && view.data().iter().any(|&b| b != 0) {
        let sum = tensor.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()?;
        if sum.is_nan() || sum.is_infinite() {
            return Err(ModelError::BadInput(format!("{name}: tensor {key} holds NaN or infinite values")));
        }
    }
    Ok(tensor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> String {
        Weights::parse(bytes, "x").err().unwrap().to_string()
    }

    #[test]
    fn pickles_are_refused_with_the_reason() {
        assert!(message(b"PK\x03\x04rest").contains("pickle"));
        assert!(message(b"\x80\x02}q\x00.").contains("pickle"));
    }

    #[test]
    fn a_header_of_640_bytes_is_no_pickle() {
        let header = format!("{:<640}", r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#);
        let bytes = [&640u64.to_le_bytes()[..], header.as_bytes(), &1f32.to_le_bytes()].concat();
        assert_eq!(bytes[..2], [0x80, 2]);
        assert_eq!(Weights::parse(&bytes, "x").unwrap().tensors().len(), 1);
    }

    #[test]
    fn damaged_files_are_bad_input() {
        for bytes in [&b""[..], b"\xff\xff\xff\xff\xff\xff\xff\xff", b"\x08\0\0\0\0\0\0\0{\"a\":1}}"] {
            assert!(message(bytes).contains("safetensors"), "{}", message(bytes));
        }
    }

    #[test]
    fn nan_weights_are_named() {
        let tensor = Tensor::new(&[1f32, f32::NAN], &Device::Cpu).unwrap();
        let bytes = safetensors::serialize([("blocks.3.weight", tensor)], None).unwrap();
        assert!(message(&bytes).contains("blocks.3.weight"));
    }
}
