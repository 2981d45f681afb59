//! One number per pixel.

use image::Rgb32FImage;
use rayon::prelude::*;

/// One number per pixel, row by row from the top left.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` numbers.
    pub values: Vec<f32>,
}

impl Plane {
    /// The same number everywhere.
    pub fn filled(width: usize, height: usize, value: f32) -> Self {
        Self {
            width,
            height,
            values: vec![value; width * height],
        }
    }

    /// Computes each row by itself, on all cores: `row(y, values)` fills the values of row `y`, and may depend on
    /// nothing that another row computes.
    pub fn from_rows(width: usize, height: usize, row: impl Fn(usize, &mut [f32]) + Sync) -> Self {
        let mut plane = Self::filled(width, height, 0.0);
        plane.change_rows(row);
        plane
    }

    /// Changes each row by itself, on all cores.
    pub(crate) fn change_rows(&mut self, row: impl Fn(usize, &mut [f32]) + Sync) {
        self.values
            .par_chunks_mut(self.width.max(1))
            .enumerate()
            .for_each(|(y, values)| row(y, values));
    }

    /// The values of row `y`.
    pub fn row(&self, y: usize) -> &[f32] {
        &self.values[y * self.width..(y + 1) * self.width]
    }

    /// Mean of all values; 0 for an empty plane. Summed row by row, so that it is the same on any number of cores.
    pub fn mean(&self) -> f32 {
        let rows = self.values.par_chunks(self.width.max(1));
        let sums: Vec<f64> = rows
            .map(|row| row.iter().map(|value| f64::from(*value)).sum())
            .collect();
        (sums.iter().sum::<f64>() / self.values.len().max(1) as f64) as f32
    }
}

/// Computes each row of an image by itself, on all cores: `row(y, values)` fills the values of row `y`, red, green,
/// blue from left to right, and may depend on nothing that another row computes.
pub(crate) fn image_from_rows(width: u32, height: u32, row: impl Fn(usize, &mut [f32]) + Sync) -> Rgb32FImage {
    let mut image = Rgb32FImage::new(width, height);
    image
        .as_mut()
        .par_chunks_mut((3 * width as usize).max(1))
        .enumerate()
        .for_each(|(y, values)| row(y, values));
    image
}
