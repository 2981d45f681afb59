//! Latents to colours without a decoder: a linear map per latent pixel, found at run time.
//!
//! No table of published factors is used. When a scene has been encoded, its own pixels and latents give the map by least
//! squares ([`LatentProjection::fit`]), which shows roughly its colours at latent resolution. Without such a pair the
//! three strongest principal components stand for red, green and blue ([`LatentProjection::principal`]): structure
//! shows, colours mean nothing.

use candle_core::{DType, Device, Result, Tensor};

/// Share of the mean variance that is added to every variance, so that few or flat pixels give a map too.
const RIDGE: f64 = 1e-3;
/// Standard deviations of a principal component that fill the range of a colour.
const DEVIATIONS: f64 = 2.5;
/// Enough for previews: components that take longer to part are nearly equally strong.
const POWER_ITERATIONS: usize = 100;

/// `colour = weight * latent + bias` for every latent pixel.
#[derive(Debug, Clone)]
pub struct LatentProjection {
    /// `[3, channels]`
    weight: Vec<Vec<f64>>,
    bias: [f64; 3],
}

impl LatentProjection {
    /// The least-squares map from a scene's latents to its colours.
    ///
    /// # Shapes
    /// `latents: [1, channels, h, w]`, `rgb: [1, 3, factor * h, factor * w]` in -1..=1.
    ///
    /// # Errors
    /// Latents that an image of this size doesn't have.
    pub fn fit(latents: &Tensor, rgb: &Tensor) -> Result<Self> {
        let (_, _, height, width) = latents.dims4()?;
        let (_, _, rows, cols) = rgb.dims4()?;
        if height * width == 0 || rows % height != 0 || cols % width != 0 {
            candle_core::bail!("an image of {cols}x{rows} px doesn't go with latents of {width}x{height}")
        }
        let pixels = Pixels::new(latents)?;
        let rgb = rgb
            .to_dtype(DType::F32)?
            .to_device(&Device::Cpu)?
            .avg_pool2d((rows / height, cols / width))?;
        let colours = Pixels::new(&rgb)?;
        let mut covariance = pixels.covariance(&pixels);
        let ridge = RIDGE * covariance.iter().enumerate().map(|(i, row)| row[i]).sum::<f64>() / covariance.len() as f64;
        for (i, row) in covariance.iter_mut().enumerate() {
            row[i] += ridge + f64::MIN_POSITIVE;
        }
        let weight: Vec<Vec<f64>> = colours
            .covariance(&pixels)
            .into_iter()
            .map(|with| solve(covariance.clone(), with))
            .collect();
        let bias = [0, 1, 2].map(|c| colours.mean[c] - dot(&weight[c], &pixels.mean));
        Ok(Self { weight, bias })
    }

    /// The three strongest principal components of latents, each stretched over the range of a colour.
    ///
    /// # Shapes
    /// `latents: [batch, channels, h, w]`; the batch counts as more pixels.
    ///
    /// # Errors
    /// Tensors of other shapes.
    pub fn principal(latents: &Tensor) -> Result<Self> {
        let pixels = Pixels::new(latents)?;
        let mut covariance = pixels.covariance(&pixels);
        let weight: Vec<Vec<f64>> = (0..3).map(|_| take_component(&mut covariance)).collect();
        let bias = [0, 1, 2].map(|c| -dot(&weight[c], &pixels.mean));
        Ok(Self { weight, bias })
    }

    /// # Shapes
    /// `latents: [batch, channels, h, w]`, result `[batch, 3, h, w]`, clamped to -1..=1.
    ///
    /// # Errors
    /// Latents of another number of channels.
    pub fn rgb(&self, latents: &Tensor) -> Result<Tensor> {
        let channels = self.weight[0].len();
        let weight: Vec<f32> = self.weight.iter().flatten().map(|&w| w as f32).collect();
        let weight = Tensor::from_vec(weight, (3, channels, 1, 1), latents.device())?;
        let bias = Tensor::new(&self.bias.map(|b| b as f32), latents.device())?.reshape((1, 3, 1, 1))?;
        latents
            .to_dtype(DType::F32)?
            .conv2d(&weight, 0, 1, 1, 1)?
            .broadcast_add(&bias)?
            .clamp(-1f32, 1f32)
    }
}

/// Pixels as rows of centred channels.
struct Pixels {
    rows: Vec<Vec<f64>>,
    mean: Vec<f64>,
}

impl Pixels {
    fn new(x: &Tensor) -> Result<Self> {
        let channels = x.dim(1)?;
        let x = x.to_dtype(DType::F64)?.permute((0, 2, 3, 1))?.reshape(((), channels))?;
        let mut rows: Vec<Vec<f64>> = x.to_vec2()?;
        let count = rows.len().max(1) as f64;
        let mean: Vec<f64> = (0..channels)
            .map(|c| rows.iter().map(|row| row[c]).sum::<f64>() / count)
            .collect();
        for row in &mut rows {
            row.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= mean);
        }
        Ok(Self { rows, mean })
    }

    /// `[own channels][other's channels]`
    fn covariance(&self, other: &Self) -> Vec<Vec<f64>> {
        let mut covariance = vec![vec![0.0; other.mean.len()]; self.mean.len()];
        let share = 1.0 / self.rows.len().max(1) as f64;
        for (a, b) in self.rows.iter().zip(&other.rows) {
            for (row, a) in covariance.iter_mut().zip(a) {
                row.iter_mut().zip(b).for_each(|(sum, b)| *sum += share * a * b);
            }
        }
        covariance
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Solves `matrix * x = right` for a symmetric positive definite matrix by elimination, which needs no pivots then.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let size = right.len();
    for i in 0..size {
        let (done, below) = matrix.split_at_mut(i + 1);
        for (offset, row) in below.iter_mut().enumerate() {
            let factor = row[i] / done[i][i];
            row.iter_mut()
                .zip(&done[i])
                .for_each(|(value, above)| *value -= factor * above);
            right[i + 1 + offset] -= factor * right[i];
        }
    }
    for i in (0..size).rev() {
        let known = dot(&matrix[i][i + 1..], &right[i + 1..]);
        right[i] = (right[i] - known) / matrix[i][i];
    }
    right
}

/// The strongest principal component, stretched so that [`DEVIATIONS`] of it make 1, by power iteration; it is taken out
/// of the covariance. Its largest entry is positive, so that a run's steps don't turn to their negatives.
fn take_component(covariance: &mut [Vec<f64>]) -> Vec<f64> {
    let size = covariance.len();
    // Any start but one at a right angle to the component; these entries have no pattern in common with channels.
    let mut vector: Vec<f64> = (0..size).map(|i| 1.0 + 0.1 * ((i * i % 7) as f64)).collect();
    let mut variance = 0.0;
    for _ in 0..POWER_ITERATIONS {
        let next: Vec<f64> = covariance.iter().map(|row| dot(row, &vector)).collect();
        variance = dot(&next, &next).sqrt();
        if variance <= f64::EPSILON {
            return vec![0.0; size];
        }
        vector = next.into_iter().map(|v| v / variance).collect();
    }
    let largest = vector
        .iter()
        .copied()
        .fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a });
    let sign = largest.signum();
    for (row, a) in covariance.iter_mut().zip(&vector) {
        row.iter_mut()
            .zip(&vector)
            .for_each(|(value, b)| *value -= variance * a * b);
    }
    let stretch = sign / (DEVIATIONS * variance.sqrt());
    vector.into_iter().map(|v| v * stretch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }

    #[test]
    fn a_linear_relation_is_found_again() {
        let latents = crate::autoencoder::random(4, 1.0, (1, 16, 12, 20));
        let weight = crate::autoencoder::random(5, 0.05, (3, 16, 1, 1));
        let small = (latents.conv2d(&weight, 0, 1, 1, 1).unwrap() + 0.1).unwrap();
        let rgb = small.upsample_nearest2d(96, 160).unwrap();
        let found = LatentProjection::fit(&latents, &rgb).unwrap().rgb(&latents).unwrap();
        let error = worst(&found, &small);
        assert!(error < 1e-2, "{error}");
    }

    #[test]
    fn principal_components_are_ordered_and_in_range() {
        // Three channels of standard deviation 8, 4 and 2 behind noise of 0.1.
        let noise = crate::autoencoder::random(6, 1.0, (1, 16, 32, 32));
        let scale = Tensor::from_iter(
            (0..16).map(|c| [4f32, 0.1, 8.0, 0.1, 2.0].get(c).copied().unwrap_or(0.1)),
            &Device::Cpu,
        );
        let latents = noise
            .broadcast_mul(&scale.unwrap().reshape((1, 16, 1, 1)).unwrap())
            .unwrap();
        let projection = LatentProjection::principal(&latents).unwrap();
        let strongest = |c: usize| {
            projection.weight[c]
                .iter()
                .enumerate()
                .max_by(|a, b| a.1.total_cmp(b.1))
                .unwrap()
                .0
        };
        assert_eq!([strongest(0), strongest(1), strongest(2)], [2, 0, 4]);
        let rgb = projection.rgb(&latents).unwrap().flatten_all().unwrap();
        let deviation = (rgb.sqr().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap()).sqrt();
        assert!((0.3..0.5).contains(&deviation), "{deviation}");
    }

    #[test]
    fn flat_latents_give_grey() {
        let flat = Tensor::full(2f32, (1, 16, 4, 4), &Device::Cpu).unwrap();
        let grey = LatentProjection::principal(&flat).unwrap().rgb(&flat).unwrap();
        assert_eq!(
            grey.abs()
                .unwrap()
                .max_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap()
                .to_bits(),
            0
        );
        let rgb = Tensor::full(0.5f32, (1, 3, 32, 32), &Device::Cpu).unwrap();
        let fitted = LatentProjection::fit(&flat, &rgb).unwrap().rgb(&flat).unwrap();
        assert!(worst(&fitted, &Tensor::full(0.5f32, (1, 3, 4, 4), &Device::Cpu).unwrap()) < 1e-6);
    }
}
