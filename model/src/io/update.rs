//! An adapter's update of one layer, beside the layer's weight: its strength can be changed while the model is in use.
//!
//! | tensor that a layer's builder is asked for | shape | what |
//! |---|---|---|
//! | `lora_A.weight`, `lora_B.weight` | `[rank, inputs]`, `[outputs, rank]` | a low-rank update `B A` (Hu et al. 2021, arXiv:2106.09685) |
//! | `lora_dense` | `[outputs, inputs]` | an update of any rank, in place of those two |
//! | `lora_gain` | `[outputs]` | factor on the updated weight's rows: DoRA's magnitude over the norm (Liu et al. 2024, arXiv:2402.09353) |
//! | `lora_bias` | `[outputs]` | what is added to the bias |
//! | `lora_strength` | `[]` | factor on all of it, shared by the updates of an adapter |

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::kernels;

/// The update of one layer.
#[derive(Clone)]
pub struct Update {
    form: Form,
    gain: Option<Tensor>,
    bias: Option<Tensor>,
    strength: Tensor,
}

#[derive(Clone)]
enum Form {
    LowRank { down: Tensor, up: Tensor },
    Dense(Tensor),
}

impl Update {
    /// The update that `vb` holds of a layer of that many outputs and inputs, if any.
    ///
    /// # Errors
    /// An update of another shape than the layer's.
    pub(super) fn of((outputs, inputs): (usize, usize), vb: &VarBuilder) -> Result<Option<Self>> {
        let form = if vb.contains_tensor("lora_A.weight") {
            // The rank is the file's own.
            let down = vb.get_unchecked("lora_A.weight")?;
            let rank = down.dim(0)?;
            Form::LowRank {
                down: vb.get((rank, inputs), "lora_A.weight")?,
                up: vb.get((outputs, rank), "lora_B.weight")?,
            }
        } else if vb.contains_tensor("lora_dense") {
            Form::Dense(vb.get((outputs, inputs), "lora_dense")?)
        } else {
            return Ok(None);
        };
        let vector = |name: &str| vb.contains_tensor(name).then(|| vb.get(outputs, name)).transpose();
        Ok(Some(Self {
            form,
            gain: vector("lora_gain")?,
            bias: vector("lora_bias")?,
            strength: vb.get((), "lora_strength")?,
        }))
    }

    /// The layer's result with the update: `plain` computes `x weightᵀ + bias` with the bias it is given.
    ///
    /// # Shapes
    /// `x: [.., inputs]`, `bias: [outputs]`, result `[.., outputs]`.
    pub(super) fn linear(
        &self,
        x: &Tensor,
        bias: Option<&Tensor>,
        plain: impl Fn(Option<&Tensor>) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let mut delta = match &self.form {
            Form::LowRank { down, up } => kernels::linear(&kernels::linear(x, down, None)?, up, None)?,
            Form::Dense(dense) => kernels::linear(x, dense, None)?,
        };
        let Some(gain) = &self.gain else {
            if let Some(bias) = &self.bias {
                delta = delta.broadcast_add(bias)?;
            }
            return plain(bias)? + delta.broadcast_mul(&self.strength)?;
        };
        // The gain is on weight and update together, the bias stays out of it.
        let y = plain(None)?;
        let delta = ((&y + delta)?.broadcast_mul(gain)? - &y)?;
        let y = (y + delta.broadcast_mul(&self.strength)?)?;
        match bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}
