//! Layers of the published autoencoders, on channels-last images, for inference.

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;

use crate::kernels::{Sampling, conv3x3, group_norm, linear};

/// A 3x3 convolution, read from a `[outputs, inputs, 3, 3]` weight.
pub(crate) struct Conv3 {
    weight: Tensor,
    bias: Tensor,
}

impl Conv3 {
    pub fn new(inputs: usize, outputs: usize, vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            bias: vb.get(outputs, "bias")?,
            ..Self::without_bias(inputs, outputs, vb)?
        })
    }

    pub fn without_bias(inputs: usize, outputs: usize, vb: &VarBuilder) -> Result<Self> {
        let weight = vb.get((outputs, inputs, 3, 3), "weight")?;
        Ok(Self {
            weight: weight.permute((0, 2, 3, 1))?.reshape((outputs, 9 * inputs))?,
            bias: Tensor::zeros(outputs, weight.dtype(), weight.device())?,
        })
    }

    /// Stride 1, zero padding 1.
    ///
    /// # Shapes
    /// `x: [batch, height, width, inputs]`, result `[batch, height, width, outputs]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        conv3x3(x, &self.weight, &self.bias, Sampling::Same)
    }

    /// Stride 2 on an image of even sides, with `before` zeros above and to the left (0 in the KL autoencoder, 1 in the
    /// tiny one) and as many as needed below and to the right.
    ///
    /// # Shapes
    /// `x: [batch, height, width, inputs]`, result `[batch, height / 2, width / 2, outputs]`.
    pub fn halve(&self, x: &Tensor, before: usize) -> Result<Tensor> {
        conv3x3(x, &self.weight, &self.bias, Sampling::Halve { before })
    }

    /// [`Self::forward`] on an image that is enlarged twice by its nearest neighbours first.
    ///
    /// # Shapes
    /// `x: [batch, height, width, inputs]`, result `[batch, 2 * height, 2 * width, outputs]`.
    pub fn double(&self, x: &Tensor) -> Result<Tensor> {
        conv3x3(x, &self.weight, &self.bias, Sampling::Double)
    }
}

/// A 1x1 convolution, or the linear layer that it is.
pub(crate) struct Pointwise {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Pointwise {
    /// From a `[outputs, inputs, 1, 1]` weight.
    pub fn conv(inputs: usize, outputs: usize, vb: &VarBuilder) -> Result<Self> {
        let weight = vb.get((outputs, inputs, 1, 1), "weight")?.reshape((outputs, inputs))?;
        Ok(Self {
            weight,
            bias: Some(vb.get(outputs, "bias")?),
        })
    }

    /// The same without a bias.
    pub fn conv_without_bias(inputs: usize, outputs: usize, vb: &VarBuilder) -> Result<Self> {
        let weight = vb.get((outputs, inputs, 1, 1), "weight")?.reshape((outputs, inputs))?;
        Ok(Self { weight, bias: None })
    }

    /// From a `[outputs, inputs]` weight.
    pub fn linear(inputs: usize, outputs: usize, vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            weight: vb.get((outputs, inputs), "weight")?,
            bias: Some(vb.get(outputs, "bias")?),
        })
    }

    /// # Shapes
    /// `x: [.., inputs]`, result `[.., outputs]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        linear(x, &self.weight, self.bias.as_ref())
    }
}

/// Group norm (Wu and He 2018) with gain and bias.
pub(super) struct GroupNorm {
    gain: Tensor,
    bias: Tensor,
    groups: usize,
}

impl GroupNorm {
    pub fn new(groups: usize, channels: usize, vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            gain: vb.get(channels, "weight")?,
            bias: vb.get(channels, "bias")?,
            groups,
        })
    }

    /// # Shapes
    /// `x: [batch, height, width, channels]`, kept.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        group_norm(x, &self.gain, &self.bias, self.groups, false)
    }

    /// The same, then `SiLU`.
    ///
    /// # Shapes
    /// As [`Self::forward`].
    pub fn forward_silu(&self, x: &Tensor) -> Result<Tensor> {
        group_norm(x, &self.gain, &self.bias, self.groups, true)
    }
}

/// `[batch, channels, height, width]` to channels-last, in the dtype of an autoencoder's weights.
pub(super) fn channels_last(x: &Tensor, dtype: DType) -> Result<Tensor> {
    x.to_dtype(dtype)?.permute((0, 2, 3, 1))?.contiguous()
}

/// Inverse of [`channels_last`], but for the dtype.
pub(super) fn channels_first(x: &Tensor) -> Result<Tensor> {
    x.permute((0, 3, 1, 2))?.contiguous()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn conv(inputs: usize, outputs: usize) -> (Tensor, Conv3) {
        let weight = crate::autoencoder::random(1, 1.0, (outputs, inputs, 3, 3));
        let tensors = [("weight".to_owned(), weight.clone())].into_iter().collect();
        let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        (weight, Conv3::without_bias(inputs, outputs, &vb).unwrap())
    }

    fn worst(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }

    #[test]
    fn both_paddings_of_a_halving_match_a_strided_convolution() {
        let (weight, conv) = conv(3, 5);
        let x = crate::autoencoder::random(3, 1.0, (2, 3, 8, 12));
        for (before, expected) in [
            (1, x.conv2d(&weight, 1, 2, 1, 1).unwrap()),
            (
                0,
                x.pad_with_zeros(2, 0, 1)
                    .unwrap()
                    .pad_with_zeros(3, 0, 1)
                    .unwrap()
                    .conv2d(&weight, 0, 2, 1, 1)
                    .unwrap(),
            ),
        ] {
            let ours = conv.halve(&channels_last(&x, DType::F32).unwrap(), before).unwrap();
            assert!(worst(&channels_first(&ours).unwrap(), &expected) < 1e-4);
        }
    }

    #[test]
    fn doubling_matches_a_convolution_of_the_enlarged_image() {
        let (weight, conv) = conv(3, 5);
        let x = crate::autoencoder::random(3, 1.0, (2, 3, 8, 12));
        let expected = x
            .upsample_nearest2d(16, 24)
            .unwrap()
            .conv2d(&weight, 1, 1, 1, 1)
            .unwrap();
        let ours = conv.double(&channels_last(&x, DType::F32).unwrap()).unwrap();
        assert!(worst(&channels_first(&ours).unwrap(), &expected) < 1e-4);
    }
}
