//! Focal frequency loss (Jiang et al., ICCV 2021, arXiv:2012.12821, equations 5 to 9).
//!
//! The discrete Fourier transform is written as two matrix products, which are differentiable, run on every device and
//! are exact enough: training images in latents are 8 to 64 wide.

use candle_core::{DType, Device, Result, Tensor};

/// Options of the loss; defaults are the paper's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FocalFrequency {
    /// Exponent of the spectrum weight: how sharply hard frequencies are focused on.
    pub alpha: f64,
    /// The image is cut into `patch_factor²` patches, each with its own spectrum.
    pub patch_factor: usize,
    /// Take the logarithm of the weights first.
    pub log_matrix: bool,
    /// Scale the weights to a maximum of 1 over the whole batch instead of per image, channel and patch.
    pub batch_matrix: bool,
}

impl Default for FocalFrequency {
    fn default() -> Self {
        Self {
            alpha: 1.0,
            patch_factor: 1,
            log_matrix: false,
            batch_matrix: false,
        }
    }
}

/// The loss per sample: mean over channels and frequencies of `w |F(prediction) - F(target)|²`, F orthonormal and the
/// weight w, detached, `|F(prediction) - F(target)|^alpha` scaled to a maximum of 1 per channel and patch.
///
/// # Shapes
/// `prediction`, `target: [batch, channels, height, width]`, result `[batch]`.
///
/// # Errors
/// Sides that the patch factor does not divide.
pub fn focal_frequency_loss(prediction: &Tensor, target: &Tensor, options: FocalFrequency) -> Result<Tensor> {
    let (batch, _, _, _) = prediction.dims4()?;
    let energy = energy(&patches(&(prediction - target)?, options.patch_factor)?)?;
    let weight = weights(&energy, options)?;
    (weight * energy)?.mean((1, 2, 3))?.reshape(((), batch))?.mean(0)
}

/// The weight of each frequency, mean over batch, channels and patches: what the loss looks at. Zero frequency is first.
///
/// # Shapes
/// `prediction`, `target: [batch, channels, height, width]`, result `[height / patch_factor, width / patch_factor]`.
///
/// # Errors
/// As [`focal_frequency_loss`].
pub fn focal_frequency_weights(prediction: &Tensor, target: &Tensor, options: FocalFrequency) -> Result<Tensor> {
    let energy = energy(&patches(&(prediction - target)?.detach(), options.patch_factor)?)?;
    weights(&energy, options)?.mean((0, 1))
}

/// Patches of all images, those of a place together: `[patch_factor² * batch, channels, rows, cols]`.
fn patches(x: &Tensor, factor: usize) -> Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    if factor == 0 || height % factor != 0 || width % factor != 0 {
        candle_core::bail!("focal frequency loss: {height}x{width} does not divide into {factor}x{factor} patches");
    }
    if factor == 1 {
        return Ok(x.clone());
    }
    let (rows, cols) = (height / factor, width / factor);
    let patch = |i: usize| x.narrow(2, i / factor * rows, rows)?.narrow(3, i % factor * cols, cols);
    Tensor::cat(&(0..factor * factor).map(patch).collect::<Result<Vec<_>>>()?, 0)
}

/// The detached weights of patches' energies, at most 1.
fn weights(energy: &Tensor, options: FocalFrequency) -> Result<Tensor> {
    let mut weight = energy.detach().sqrt()?;
    if (options.alpha - 1.0).abs() > f64::EPSILON {
        weight = weight.powf(options.alpha)?;
    }
    if options.log_matrix {
        weight = (weight + 1.0)?.log()?;
    }
    let peak = if options.batch_matrix {
        weight.max_all()?.reshape((1, 1, 1, 1))?
    } else {
        weight.max_keepdim(2)?.max_keepdim(3)?
    };
    // A patch without any difference has maximum 0; the smallest divisor keeps its weight at 0 instead of NaN.
    let peak = peak.maximum(f64::from(f32::MIN_POSITIVE))?;
    weight.broadcast_div(&peak)?.clamp(0f32, 1f32)
}

/// Squared magnitude of the orthonormal 2-D transform of real images.
///
/// # Shapes
/// `x: [batch, channels, height, width]`, kept.
fn energy(x: &Tensor) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    let (cos_w, sin_w) = fourier_matrices(width, x.dtype(), x.device())?;
    let (cos_h, sin_h) = fourier_matrices(height, x.dtype(), x.device())?;
    // Rows first, then columns; transposing in between keeps every product a single large one.
    let along = |x: &Tensor, m: &Tensor, inner: usize| x.reshape(((), inner))?.matmul(m);
    let swap = |x: &Tensor| {
        x.reshape((batch * channels, height, width))?
            .transpose(1, 2)?
            .contiguous()
    };
    let x = x.contiguous()?;
    let (re, im) = (swap(&along(&x, &cos_w, width)?)?, swap(&along(&x, &sin_w, width)?)?);
    let real = (along(&re, &cos_h, height)? - along(&im, &sin_h, height)?)?;
    let imaginary = (along(&re, &sin_h, height)? + along(&im, &cos_h, height)?)?;
    (real.sqr()? + imaginary.sqr()?)?
        .reshape((batch, channels, width, height))?
        .transpose(2, 3)
}

/// `cos(2 pi j k / n) / sqrt(n)` and minus the sine, the parts of the orthonormal transform: `[n, n]` each.
fn fourier_matrices(n: usize, dtype: DType, device: &Device) -> Result<(Tensor, Tensor)> {
    let scale = 1.0 / (n as f64).sqrt();
    let angle = |i: usize| std::f64::consts::TAU * ((i / n * (i % n)) % n) as f64 / n as f64;
    let cos: Vec<f32> = (0..n * n).map(|i| (angle(i).cos() * scale) as f32).collect();
    let sin: Vec<f32> = (0..n * n).map(|i| (-angle(i).sin() * scale) as f32).collect();
    Ok((
        Tensor::from_vec(cos, (n, n), device)?.to_dtype(dtype)?,
        Tensor::from_vec(sin, (n, n), device)?.to_dtype(dtype)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::noise::gaussian;

    fn image(seed: u64) -> Tensor {
        Tensor::from_vec(gaussian(seed, 0, 0, 2 * 3 * 8 * 12), (2, 3, 8, 12), &Device::Cpu).unwrap()
    }

    #[test]
    fn equal_images_have_no_loss() {
        let loss = focal_frequency_loss(&image(1), &image(1), FocalFrequency::default()).unwrap();
        assert_eq!(loss.to_vec1::<f32>().unwrap(), [0.0, 0.0]);
    }

    #[test]
    fn one_maximum_for_the_batch_never_weighs_more_than_one_per_channel() {
        let (x, y) = (image(3), image(4));
        let whole = FocalFrequency {
            batch_matrix: true,
            patch_factor: 2,
            ..FocalFrequency::default()
        };
        let each = FocalFrequency {
            batch_matrix: false,
            ..whole
        };
        let loss = |options| focal_frequency_loss(&x, &y, options).unwrap().to_vec1::<f32>().unwrap();
        assert!(loss(whole).iter().zip(loss(each)).all(|(whole, each)| *whole <= each));
        let peak = |options| {
            let energy = energy(&patches(&(&x - &y).unwrap(), 2).unwrap()).unwrap();
            let ones = weights(&energy, options).unwrap().ge(1f32).unwrap();
            ones.to_dtype(DType::F32)
                .unwrap()
                .sum_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap()
        };
        // 2 images, 3 channels, 4 patches: a maximum in each of them, or one.
        assert_eq!((peak(whole), peak(each) >= 24.0), (1.0, true));
    }

    #[test]
    fn parseval_holds_for_the_matrix_transform() {
        let x = image(2);
        let sum = |t: &Tensor| t.sum_all().unwrap().to_scalar::<f32>().unwrap();
        let (space, frequency) = (sum(&x.sqr().unwrap()), sum(&energy(&x).unwrap()));
        assert!((space - frequency).abs() < 1e-3 * space, "{space} against {frequency}");
    }
}
