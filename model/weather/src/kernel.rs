//! Blur kernels.

use image::Rgb32FImage;
use rayon::prelude::*;

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
    /// The image under the kernel; beyond the border its edge pixels continue.
    pub fn convolve(&self, image: &Rgb32FImage) -> Rgb32FImage {
        let (columns, rows) = (image.width() as usize, image.height() as usize);
        let taps: Vec<(isize, isize, f32)> = (0..self.weights.len())
            .filter(|i| self.weights[*i] != 0.0)
            .map(|i| {
                let (x, y) = (i % self.width, i / self.width);
                let from_middle = |at: usize, length: usize| at as isize - (length / 2) as isize;
                (from_middle(x, self.width), from_middle(y, self.height), self.weights[i])
            })
            .collect();
        let mut out = image.clone();
        let clamped = |at: isize, length: usize| at.clamp(0, length as isize - 1) as usize;
        let source = image.as_raw();
        out.as_mut()
            .par_chunks_mut((3 * columns).max(1))
            .enumerate()
            .for_each(|(y, row)| {
                row.fill(0.0);
                for (dx, dy, weight) in &taps {
                    // A kernel is applied turned round, as the mathematics has it.
                    let from = clamped(y as isize - dy, rows) * columns;
                    for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
                        let at = 3 * (from + clamped(x as isize - dx, columns));
                        pixel
                            .iter_mut()
                            .zip(&source[at..at + 3])
                            .for_each(|(sum, value)| *sum += weight * value);
                    }
                }
            });
        out
    }
}
