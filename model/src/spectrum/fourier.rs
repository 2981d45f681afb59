//! The two-dimensional discrete Fourier transform of real images: rows two at a time, transposition, half of the columns.
//!
//! Two real rows are packed into one complex line, since the transform of a real line is its own mirror image and the two
//! can be told apart afterwards; for the same reason the columns beyond the middle need no transform at all.

use std::f32::consts::TAU;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rayon::prelude::*;
use rustfft::num_complex::Complex32;
use rustfft::{Fft, FftPlanner};

use super::Window;

/// Plans by length. Planning costs more than a transform and every preview of a run has the same size.
static PLANNER: LazyLock<Mutex<FftPlanner<f32>>> = LazyLock::new(|| Mutex::new(FftPlanner::new()));

fn plan(length: usize) -> Arc<dyn Fft<f32>> {
    // A panic elsewhere can at worst have kept a plan from being cached.
    PLANNER
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .plan_fft_forward(length)
}

/// Coefficients of a real image, of which the other half are mirror images: `F(-k) = conj(F(k))`.
pub(super) struct HalfPlane {
    /// Width of the image.
    pub width: usize,
    /// Height of the image.
    pub height: usize,
    /// Columns `0..=width / 2`, each of `height` values, zero frequency first in both directions.
    pub columns: Vec<Complex32>,
    /// `sqrt` of what a coefficient is scaled by so that its square is power: 1 over pixels and window.
    pub scale: f32,
    /// What was taken out before the window; it stands at zero frequency in place of what leaked there.
    mean: Option<f32>,
}

impl HalfPlane {
    /// Transforms an image of `width * height` values, at least one.
    pub fn new(luma: &[f32], width: usize, height: usize, window: Window) -> Self {
        let (mean, row_weights, column_weights) = match window {
            Window::None => (None, vec![1.0; height], vec![1.0; width]),
            Window::Hann => (Some(mean_of(luma)), hann(height), hann(width)),
        };
        let packed = transformed_row_pairs(luma, mean.unwrap_or(0.0), &row_weights, &column_weights);
        let mut columns = half_columns(&packed, width, height);
        transform_lines(&mut columns, height);
        let pixels = width as f32 * height as f32;
        let scale = (pixels * mean_square(&row_weights) * mean_square(&column_weights))
            .sqrt()
            .recip();
        Self {
            width,
            height,
            columns,
            scale,
            mean,
        }
    }

    /// The scaled coefficient of a stored bin; the mean that the window took out is put back at zero frequency.
    pub fn coefficient(&self, column: usize, row: usize) -> Complex32 {
        match self.mean {
            Some(mean) if column == 0 && row == 0 => Complex32::new(mean * self.pixels().sqrt(), 0.0),
            _ => self.columns[column * self.height + row] * self.scale,
        }
    }

    fn pixels(&self) -> f32 {
        self.width as f32 * self.height as f32
    }

    /// How many bins of the whole plane a stored column stands for: 2, but 1 for those that are their own mirror image.
    pub fn multiplicity(&self, column: usize) -> usize {
        if column == 0 || 2 * column == self.width { 1 } else { 2 }
    }

    /// Frequencies of a stored bin, cycles per sample, across and down.
    pub fn frequency(&self, column: usize, row: usize) -> (f32, f32) {
        let down = if 2 * row < self.height {
            row as f32
        } else {
            row as f32 - self.height as f32
        };
        (column as f32 / self.width as f32, down / self.height as f32)
    }

    /// Power of the whole plane, row major, zero frequency in the middle.
    pub fn centred_power(&self) -> Vec<f32> {
        let (width, height, power_scale) = (self.width, self.height, self.scale * self.scale);
        let mut power = vec![0.0; width * height];
        power
            .par_chunks_exact_mut(width)
            .enumerate()
            .for_each(|(line_index, line)| {
                let row = (line_index + height - height / 2) % height;
                let mirrored = (height - row) % height;
                for (index, value) in line.iter_mut().enumerate() {
                    let column = (index + width - width / 2) % width;
                    let (column, row) = if 2 * column <= width {
                        (column, row)
                    } else {
                        (width - column, mirrored)
                    };
                    *value = self.columns[column * height + row].norm_sqr() * power_scale;
                }
            });
        power[height / 2 * width + width / 2] = self.coefficient(0, 0).norm_sqr();
        power
    }
}

/// Windowed rows, rows `2i` and `2i + 1` as real and imaginary part of line `i`, transformed.
fn transformed_row_pairs(luma: &[f32], mean: f32, row_weights: &[f32], column_weights: &[f32]) -> Vec<Complex32> {
    let width = column_weights.len();
    let mut packed = vec![Complex32::default(); row_weights.len().div_ceil(2) * width];
    packed.par_chunks_exact_mut(width).enumerate().for_each(|(pair, line)| {
        let row = |index: usize| luma.get(index * width..(index + 1) * width).zip(row_weights.get(index));
        for (part, found) in [row(2 * pair), row(2 * pair + 1)].into_iter().enumerate() {
            let Some((pixels, row_weight)) = found else { continue };
            for ((value, pixel), weight) in line.iter_mut().zip(pixels).zip(column_weights) {
                let weighted = (pixel - mean) * row_weight * weight;
                if part == 0 {
                    value.re = weighted;
                } else {
                    value.im = weighted;
                }
            }
        }
    });
    transform_lines(&mut packed, width);
    packed
}

/// Takes the packed rows apart and makes columns of them, as far as the middle one.
fn half_columns(packed: &[Complex32], width: usize, height: usize) -> Vec<Complex32> {
    /// Columns that are written together, so that a cache line of a row is read once.
    const STRIP: usize = 8;
    let kept = width / 2 + 1;
    let mut columns = vec![Complex32::default(); kept * height];
    columns
        .par_chunks_mut(STRIP * height)
        .enumerate()
        .for_each(|(strip, out)| {
            for (pair, line) in packed.chunks_exact(width).enumerate() {
                for (offset, column) in out.chunks_exact_mut(height).enumerate() {
                    let k = strip * STRIP + offset;
                    let (here, mirror) = (line[k], line[(width - k) % width].conj());
                    column[2 * pair] = (here + mirror) * 0.5;
                    if let Some(value) = column.get_mut(2 * pair + 1) {
                        let difference = (here - mirror) * 0.5;
                        *value = Complex32::new(difference.im, -difference.re);
                    }
                }
            }
        });
    columns
}

/// Transforms every line of `length` values in place.
fn transform_lines(values: &mut [Complex32], length: usize) {
    let fft = plan(length);
    let scratch = || vec![Complex32::default(); fft.get_inplace_scratch_len()];
    values
        .par_chunks_exact_mut(length)
        .for_each_init(scratch, |scratch, line| fft.process_with_scratch(line, scratch));
}

/// The periodic Hann window, whose transform has three non-zero bins exactly. Lengths below 3 would be all zero, so
/// they get no window.
fn hann(length: usize) -> Vec<f32> {
    let weight = |index: usize| {
        if length < 3 {
            1.0
        } else {
            0.5 - 0.5 * (TAU * index as f32 / length as f32).cos()
        }
    };
    (0..length).map(weight).collect()
}

fn mean_square(weights: &[f32]) -> f32 {
    weights.iter().map(|weight| weight * weight).sum::<f32>() / weights.len() as f32
}

/// Summed in double precision: single loses the last digits of a megapixel's mean.
fn mean_of(values: &[f32]) -> f32 {
    (values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64) as f32
}
