//! Norms on a GPU: candle's own kernels, one pass each. They have no gradient, so training takes the plain form.
//!
//! Their variance is the mean square less the square of the mean, in f32: a row whose mean is a thousand times its deviation
//! loses its digits, which the hidden states of these transformers are far from.

use candle_core::{D, Result, Tensor};
use candle_nn::ops;

/// SD3's epsilon in every norm.
pub(super) const EPSILON: f32 = 1e-6;

/// Whether these operands are a GPU's and no gradient is asked for behind them: candle's kernels would lose it silently.
pub(super) fn serves(operands: &[&Tensor]) -> bool {
    operands
        .iter()
        .all(|operand| !operand.device().is_cpu() && !operand.track_op())
}

/// As [`super::layer_norm`].
pub(super) fn layer_norm(x: &Tensor) -> Result<Tensor> {
    let width = x.dim(D::Minus1)?;
    let (one, zero) = (
        Tensor::ones(width, x.dtype(), x.device())?,
        Tensor::zeros(width, x.dtype(), x.device())?,
    );
    ops::layer_norm(&x.contiguous()?, &one, &zero, EPSILON)
}

/// As [`super::modulated_layer_norm`]: the kernel takes one gain and one offset, so samples with their own go one by one.
pub(super) fn modulated_layer_norm(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let (x, gain) = (x.contiguous()?, (scale + 1.0)?);
    let norm = |x: &Tensor, sample: usize| ops::layer_norm(x, &gain.get(sample)?, &shift.get(sample)?, EPSILON);
    match gain.dim(0)? {
        1 => norm(&x, 0),
        samples => {
            let normed = (0..samples).map(|sample| norm(&x.narrow(0, sample, 1)?, sample));
            Tensor::cat(&normed.collect::<Result<Vec<_>>>()?, 0)
        }
    }
}

/// As [`super::rms_norm`].
pub(super) fn rms_norm(x: &Tensor, gain: &Tensor) -> Result<Tensor> {
    ops::rms_norm(&x.contiguous()?, &gain.contiguous()?, EPSILON)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::kernels::norm::{plain_layer_norm, plain_rms_norm};
    use crate::sampler::noise::gaussian;

    const TOLERANCE: f32 = 2e-6;

    fn random(seed: u64, shape: &[usize]) -> Tensor {
        let values = gaussian(seed, 0, 0, shape.iter().product());
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn assert_equal(ours: &Tensor, plain: &Tensor) {
        let difference = (ours - plain).unwrap().abs().unwrap().max_all().unwrap();
        let difference = difference.to_scalar::<f32>().unwrap();
        assert!(difference < TOLERANCE, "off by {difference}");
    }

    /// candle has the same operations on the processor, where they can be compared without a GPU.
    #[test]
    fn candles_norms_mean_the_same_as_the_plain_form() {
        let x = ((random(1, &[2, 5, 96]) * 3.0).unwrap() + 0.5).unwrap();
        assert_equal(&layer_norm(&x).unwrap(), &plain_layer_norm(&x).unwrap());
        let strided = x.transpose(0, 1).unwrap();
        let gain = random(2, &[96]);
        assert_equal(
            &rms_norm(&strided, &gain).unwrap(),
            &plain_rms_norm(&strided, &gain).unwrap(),
        );
        for samples in [1, 2] {
            let (scale, shift) = (random(3, &[samples, 96]), random(4, &[samples, 96]));
            let plain = plain_layer_norm(&x).unwrap();
            let plain = plain
                .broadcast_mul(&(scale.unsqueeze(1).unwrap() + 1.0).unwrap())
                .unwrap();
            let plain = plain.broadcast_add(&shift.unsqueeze(1).unwrap()).unwrap();
            assert_equal(&modulated_layer_norm(&x, &scale, &shift).unwrap(), &plain);
        }
    }

    #[test]
    fn what_a_gradient_is_asked_of_is_told_apart() {
        let variable = Var::from_tensor(&random(5, &[2, 8])).unwrap();
        let follows = (variable.as_tensor() * 2.0).unwrap();
        let plain = random(6, &[2, 8]).sum_keepdim(D::Minus1).unwrap();
        assert!(variable.track_op() && follows.track_op());
        assert!(!plain.track_op() && !follows.detach().track_op());
        assert!(!serves(&[&plain]), "the processor has its own kernels");
    }
}
