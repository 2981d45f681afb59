//! Blur kernels.

use image::Rgb32FImage;
use rayon::prelude::*;

/// Values of a row that are summed at once, small enough for them and their sources to stay in the fastest cache.
const BLOCK: usize = 1536;

/// A blur kernel with an odd number of columns and rows; its weights sum to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Kernel {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` weights, row by row.
    pub weights: Vec<f32>,
}

impl Kernel {
    /// A disc of this radius in pixels, antialiased at its edge.
    pub fn disc(radius: f32) -> Self {
        let half = (radius + 0.5).ceil() as usize;
        let side = 2 * half + 1;
        let covered = |i: usize| {
            let from_middle = |at: usize| at as f32 - half as f32;
            let (x, y) = (from_middle(i % side), from_middle(i / side));
            (radius + 0.5 - (x * x + y * y).sqrt()).clamp(0.0, 1.0)
        };
        let weights: Vec<f32> = (0..side * side).map(covered).collect();
        let sum: f32 = weights.iter().sum();
        Self {
            width: side,
            height: side,
            weights: weights.iter().map(|weight| weight / sum).collect(),
        }
    }

    /// The image under the kernel; beyond the border its edge pixels continue. Weights of 0 cost nothing.
    pub fn convolve(&self, image: &Rgb32FImage) -> Rgb32FImage {
        let mut out = Rgb32FImage::new(image.width(), image.height());
        let size = (image.width() as usize, image.height() as usize);
        self.convolve_values(image.as_raw(), size, &mut out);
        out
    }

    /// The same for any number of values per pixel; `size` is in columns and rows.
    pub(crate) fn convolve_values(&self, values: &[f32], size: (usize, usize), out: &mut [f32]) {
        if values.is_empty() {
            return;
        }
        let channels = values.len() / (size.0 * size.1);
        let (padded, stride) = self.padded(values, size, channels);
        // A kernel is applied turned round, as the mathematics has it: its last weight meets the first source.
        let taps: Vec<(usize, f32)> = (0..self.weights.len())
            .rev()
            .filter(|i| self.weights[*i] != 0.0)
            .map(|i| {
                let (x, y) = (self.width - 1 - i % self.width, self.height - 1 - i / self.width);
                (y * stride + channels * x, self.weights[i])
            })
            .collect();
        out.par_chunks_mut(channels * size.0).enumerate().for_each(|(y, row)| {
            for (block, sums) in row.chunks_mut(BLOCK).enumerate() {
                add_taps(sums, &padded[y * stride + block * BLOCK..], &taps);
            }
        });
    }

    /// Values with the edge pixels continued by half a kernel on every side, and how many of them are in a row.
    fn padded(&self, values: &[f32], (columns, rows): (usize, usize), channels: usize) -> (Vec<f32>, usize) {
        let (beside, above) = (self.width / 2, self.height / 2);
        let stride = channels * (columns + 2 * beside);
        let mut padded = vec![0.0; stride * (rows + 2 * above)];
        padded.par_chunks_mut(stride).enumerate().for_each(|(y, row)| {
            let from = y.saturating_sub(above).min(rows - 1) * channels * columns;
            let source = &values[from..from + channels * columns];
            let (left, rest) = row.split_at_mut(channels * beside);
            let (middle, right) = rest.split_at_mut(channels * columns);
            middle.copy_from_slice(source);
            let (first, last) = (&source[..channels], &source[source.len() - channels..]);
            left.chunks_exact_mut(channels)
                .for_each(|pixel| pixel.copy_from_slice(first));
            right
                .chunks_exact_mut(channels)
                .for_each(|pixel| pixel.copy_from_slice(last));
        });
        (padded, stride)
    }
}

/// Adds `weight * source[offset..]` for each tap, four at a time: sums are then read and written a quarter as often.
fn add_taps(sums: &mut [f32], source: &[f32], taps: &[(usize, f32)]) {
    let from = |offset: usize| &source[offset..offset + sums.len()];
    let fours = taps.chunks_exact(4);
    let rest = fours.remainder();
    let mut out = [0.0; BLOCK];
    let out = &mut out[..sums.len()];
    for four in fours {
        let sources = [0, 1, 2, 3].map(|i| from(four[i].0));
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| four[i].1);
        for (i, sum) in out.iter_mut().enumerate() {
            *sum += (a * sources[0][i] + b * sources[1][i]) + (c * sources[2][i] + d * sources[3][i]);
        }
    }
    for (offset, weight) in rest {
        out.iter_mut()
            .zip(from(*offset))
            .for_each(|(sum, value)| *sum += weight * value);
    }
    sums.copy_from_slice(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    /// `scipy.ndimage.convolve(channel, kernel, mode="nearest")`, the kernel being
    /// `[[0.1, 0, 0.2], [0, 0.3, 0], [0, 0.4, 0]]` and the channel `arange(12).reshape(3, 4) ** 1.5 / 40`.
    #[test]
    fn convolves_as_scipy_does() {
        let kernel = Kernel {
            width: 3,
            height: 3,
            weights: vec![0.1, 0.0, 0.2, 0.0, 0.3, 0.0, 0.0, 0.4, 0.0],
        };
        let image = Rgb32FImage::from_fn(4, 3, |x, y| {
            let value = ((4 * y + x) as f32).powf(1.5) / 40.0;
            Rgb([value, 2.0 * value, 0.0])
        });
        let expected = [
            0.067_951, 0.094_242, 0.151_700, 0.210_718, 0.240_637, 0.286_047, 0.364_718, 0.440_185, 0.430_343,
            0.506_497, 0.610_347, 0.708_145,
        ];
        let found = kernel.convolve(&image);
        for (pixel, expected) in found.pixels().zip(expected) {
            assert!((pixel.0[0] - expected).abs() < 1e-5, "{pixel:?}, expected {expected}");
            assert!((pixel.0[1] - 2.0 * expected).abs() < 2e-5 && pixel.0[2] == 0.0);
        }
    }

    /// Wider than a block and with taps that four doesn't divide.
    #[test]
    fn a_constant_stays_itself_whatever_the_width() {
        let kernel = Kernel {
            width: 5,
            height: 1,
            weights: vec![0.1, 0.2, 0.3, 0.25, 0.15],
        };
        for width in [1, 511, 512, 513, 1100] {
            let image = Rgb32FImage::from_pixel(width, 2, Rgb([0.25, 0.5, 1.0]));
            let found = kernel.convolve(&image);
            let largest = found
                .iter()
                .zip(image.iter())
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(largest < 1e-6, "{width}: {largest}");
        }
        assert!(kernel.convolve(&Rgb32FImage::new(0, 0)).is_empty());
    }
}
