//! Group norm of channels-last images, with `SiLU` where one follows.

use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::real::contiguous;
use super::timed;
use super::vector::{exp, widest};

/// Diffusers' epsilon in every group norm of its autoencoders.
const EPSILON: f64 = 1e-6;
/// Pixels that one task handles.
const PIXELS: usize = 1024;

/// Group norm (Wu and He 2018) with gain and bias, then `SiLU` if `silu`. No gradient on the CPU: the published
/// autoencoders are used as they are.
///
/// # Shapes
/// `x: [batch, height, width, channels]`, `gain`, `bias: [channels]`, result like `x`. Channels divide into `groups`.
///
/// # Errors
/// Tensors of other shapes; channels that don't divide.
pub fn group_norm(x: &Tensor, gain: &Tensor, bias: &Tensor, groups: usize, silu: bool) -> Result<Tensor> {
    timed(
        "group norm",
        x.device(),
        || 0,
        || {
            if x.device().is_cpu() && x.dtype() == DType::F32 {
                x.contiguous()?
                    .apply_op3_no_bwd(&gain.contiguous()?, &bias.contiguous()?, &GroupNorm { groups, silu })
            } else {
                plain_group_norm(x, gain, bias, groups, silu)
            }
        },
    )
}

/// The same out of candle's operations, with statistics in f32.
fn plain_group_norm(x: &Tensor, gain: &Tensor, bias: &Tensor, groups: usize, silu: bool) -> Result<Tensor> {
    let (batch, height, width, channels) = x.dims4()?;
    let grouped = x
        .to_dtype(DType::F32)?
        .reshape((batch, height * width, groups, channels / groups))?;
    let mean = |t: &Tensor| t.mean_keepdim(3)?.mean_keepdim(1);
    let centred = grouped.broadcast_sub(&mean(&grouped)?)?;
    let deviation = (mean(&centred.sqr()?)? + EPSILON)?.sqrt()?;
    let normal = centred
        .broadcast_div(&deviation)?
        .reshape(x.shape())?
        .to_dtype(x.dtype())?;
    let y = normal.broadcast_mul(gain)?.broadcast_add(bias)?;
    if silu { y.silu() } else { Ok(y) }
}

struct GroupNorm {
    groups: usize,
    silu: bool,
}

impl GroupNorm {
    #[inline(always)]
    fn apply(&self, affine: &[(f32, f32)], x: &[f32], out: &mut [f32]) {
        let channels = affine.len();
        for (out, x) in out.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
            for ((out, &x), &(factor, offset)) in out.iter_mut().zip(x).zip(affine) {
                *out = x * factor + offset;
            }
            if self.silu {
                for out in out {
                    *out /= 1.0 + exp(-*out);
                }
            }
        }
    }

    /// Per channel, the factor and the offset that the norm comes down to for one image.
    fn affine(&self, image: &[f32], gain: &[f32], bias: &[f32]) -> Vec<(f32, f32)> {
        let channels = gain.len();
        let (sums, squares) = moments(image, channels);
        let per_group = channels / self.groups;
        let count = (image.len() / self.groups) as f64;
        let mut affine = Vec::with_capacity(channels);
        for (group, sums) in sums.chunks_exact(per_group).enumerate() {
            let members = group * per_group..(group + 1) * per_group;
            let mean = sums.iter().sum::<f64>() / count;
            let variance = (squares[members.clone()].iter().sum::<f64>() / count - mean * mean).max(0.0);
            let inverse = 1.0 / (variance + EPSILON).sqrt();
            affine.extend(members.map(|c| {
                let factor = inverse * f64::from(gain[c]);
                (factor as f32, (f64::from(bias[c]) - mean * factor) as f32)
            }));
        }
        affine
    }
}

/// Sum and sum of squares per channel. In f64: an image has a million values per group, whose mean may be large against
/// their deviation.
fn moments(image: &[f32], channels: usize) -> (Vec<f64>, Vec<f64>) {
    let part = |pixels: &[f32]| {
        let (mut sums, mut squares) = (vec![0f64; channels], vec![0f64; channels]);
        for pixel in pixels.chunks_exact(channels) {
            for ((sum, square), &value) in sums.iter_mut().zip(&mut squares).zip(pixel) {
                let value = f64::from(value);
                *sum += value;
                *square += value * value;
            }
        }
        (sums, squares)
    };
    let parts: Vec<_> = image.par_chunks(PIXELS * channels).map(part).collect();
    let zeros = (vec![0f64; channels], vec![0f64; channels]);
    // In order, so that the same image gives the same bits however many threads there are.
    parts.into_iter().fold(zeros, |(mut sums, mut squares), (s, q)| {
        sums.iter_mut().zip(s).for_each(|(sum, s)| *sum += s);
        squares.iter_mut().zip(q).for_each(|(square, q)| *square += q);
        (sums, squares)
    })
}

impl CustomOp3 for GroupNorm {
    fn name(&self) -> &'static str {
        "group-norm"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, gain, bias) = (
            contiguous::<f32>(s1, l1)?,
            contiguous::<f32>(s2, l2)?,
            contiguous::<f32>(s3, l3)?,
        );
        let channels = gain.len();
        if self.groups == 0 || !channels.is_multiple_of(self.groups) {
            candle_core::bail!("{channels} channels don't divide into {} groups", self.groups)
        }
        let image = l1.dims()[1..].iter().product::<usize>().max(1);
        let mut out = vec![0f32; x.len()];
        for (out, x) in out.chunks_exact_mut(image).zip(x.chunks_exact(image)) {
            let affine = self.affine(x, gain, bias);
            let chunk = PIXELS * channels;
            out.par_chunks_mut(chunk).zip(x.par_chunks(chunk)).for_each(|(out, x)| {
                widest(
                    #[inline(always)]
                    || self.apply(&affine, x, out),
                );
            });
        }
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn the_fused_pass_matches_plain_operations() {
        let random = |seed: u64, shape: &[usize], mean: f64| {
            let values = crate::sampler::noise::gaussian(seed, 0, 0, shape.iter().product());
            (Tensor::from_vec(values, shape, &Device::Cpu).unwrap() + mean).unwrap()
        };
        let (x, gain, bias) = (
            random(1, &[2, 37, 41, 12], 5.0),
            random(2, &[12], 1.0),
            random(3, &[12], 0.0),
        );
        let largest = |t: &Tensor| t.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        for silu in [false, true] {
            let ours = group_norm(&x, &gain, &bias, 4, silu).unwrap();
            let plain = plain_group_norm(&x, &gain, &bias, 4, silu).unwrap();
            let worst = largest(&(ours - &plain).unwrap()) / largest(&plain);
            assert!(worst < 1e-5, "relative {worst}");
        }
    }
}
