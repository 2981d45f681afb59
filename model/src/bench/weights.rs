//! Random weights of any shape, quickly: what a model computes in depends on its shapes, not on what it has learned.

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::VarBuilder;
use candle_nn::var_builder::SimpleBackend;

use crate::io::builder::Builder;
use crate::sampler::noise::gaussian;

/// Numbers that all tensors are cut from.
const POOL: usize = 1 << 18;

/// Gives every tensor that is asked for, except a clean path or low-rank updates that weren't wanted.
struct RandomWeights {
    pool: Vec<f32>,
    clean: bool,
}

/// A builder of random weights; `clean` says whether there is a clean path among them.
pub(super) fn random_weights(clean: bool, dtype: DType, device: &Device) -> Builder {
    let pool = gaussian(0, 0, 0, POOL);
    VarBuilder::from_backend(Box::new(RandomWeights { pool, clean }), dtype, device.clone()).into()
}

impl SimpleBackend for RandomWeights {
    fn get(&self, shape: Shape, name: &str, _: candle_nn::Init, dtype: DType, device: &Device) -> Result<Tensor> {
        let dims = shape.dims();
        // As a trained model has them: gains near 1, small biases, matrices that keep the scale of what they multiply.
        let inputs: usize = dims.iter().skip(1).product();
        let (mean, deviation) = match dims.len() {
            1 if name.ends_with("weight") => (1.0, 0.01),
            1 => (0.0, 0.01),
            _ => (0.0, 0.7 / (inputs as f32).sqrt()),
        };
        let start = name
            .bytes()
            .fold(7_usize, |n, b| n.wrapping_mul(31).wrapping_add(b.into()))
            % POOL;
        let period: Vec<f32> = self.pool[start..]
            .iter()
            .chain(&self.pool[..start])
            .map(|v| mean + deviation * v)
            .collect();
        let count = shape.elem_count();
        let mut values = Vec::with_capacity(count);
        while values.len() < count {
            values.extend_from_slice(&period[..period.len().min(count - values.len())]);
        }
        Tensor::from_vec(values, shape, &Device::Cpu)?
            .to_dtype(dtype)?
            .to_device(device)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        candle_core::bail!("the shape of {name} is for a checkpoint to say, and random weights have none")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        !name.contains("lora_") && (self.clean || !name.starts_with("pos_embed_clean"))
    }
}
