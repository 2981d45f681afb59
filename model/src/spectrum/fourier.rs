//! The 2-D transform: rows, transposition, columns, each line on its own thread.

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

/// Power of every bin, zero frequency in the middle; `width * height` values in and out, at least one.
pub(super) fn power_of(luma: &[f32], width: usize, height: usize, window: Window) -> Vec<f32> {
    let (mean, row_weights, column_weights) = match window {
        Window::None => (0.0, vec![1.0; height], vec![1.0; width]),
        Window::Hann => (mean_of(luma), hann(height), hann(width)),
    };
    let mut values: Vec<Complex32> = Vec::with_capacity(luma.len());
    for (row, row_weight) in luma.chunks_exact(width).zip(&row_weights) {
        values.extend(
            row.iter()
                .zip(&column_weights)
                .map(|(x, w)| Complex32::new((x - mean) * row_weight * w, 0.0)),
        );
    }
    transform_lines(&mut values, width);
    let mut values = transposed(&values, width);
    transform_lines(&mut values, height);

    let scale = 1.0 / (width as f32 * height as f32 * mean_square(&row_weights) * mean_square(&column_weights));
    let mut power = centred_power(&values, width, height, scale);
    power[height / 2 * width + width / 2] += mean * mean * luma.len() as f32;
    power
}

/// Transforms every line of `length` values in place.
fn transform_lines(values: &mut [Complex32], length: usize) {
    let fft = plan(length);
    let scratch = || vec![Complex32::default(); fft.get_inplace_scratch_len()];
    values
        .par_chunks_exact_mut(length)
        .for_each_init(scratch, |scratch, line| fft.process_with_scratch(line, scratch));
}

/// Columns of `width` columns become rows.
fn transposed(values: &[Complex32], width: usize) -> Vec<Complex32> {
    let height = values.len() / width;
    let mut columns = vec![Complex32::default(); values.len()];
    columns
        .par_chunks_exact_mut(height)
        .enumerate()
        .for_each(|(x, column)| {
            for (y, value) in column.iter_mut().enumerate() {
                *value = values[y * width + x];
            }
        });
    columns
}

/// Scaled power, row major from column-major coefficients, with zero frequency moved to the middle.
fn centred_power(columns: &[Complex32], width: usize, height: usize, scale: f32) -> Vec<f32> {
    let mut power = vec![0.0; columns.len()];
    power.par_chunks_exact_mut(width).enumerate().for_each(|(row, line)| {
        let y = (row + height - height / 2) % height;
        for (column, value) in line.iter_mut().enumerate() {
            let x = (column + width - width / 2) % width;
            *value = columns[x * height + y].norm_sqr() * scale;
        }
    });
    power
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
