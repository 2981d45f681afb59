//! Resampling as PyTorch does it, whose conventions the weights were trained with.

use candle_core::{Device, Result, Tensor};

/// Coefficient of PyTorch's bicubic kernel (Keys 1981, with a = -0.75).
const CUBIC: f64 = -0.75;

/// Bilinear, corner pixels on corner pixels (`align_corners=True`).
///
/// # Shapes
/// `x: [1, rows, cols, channels]`, result `[1, height, width, channels]`.
pub(super) fn bilinear(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    bilinear_along(&bilinear_along(x, 1, height)?, 2, width)
}

fn bilinear_along(x: &Tensor, dim: usize, to: usize) -> Result<Tensor> {
    let from = x.dim(dim)?;
    if from == to {
        return Ok(x.clone());
    }
    let step = (from - 1) as f32 / (to.max(2) - 1) as f32;
    let places: Vec<f32> = (0..to).map(|i| i as f32 * step).collect();
    let index = |neighbour: usize| {
        let at = |place: &f32| (*place as usize + neighbour).min(from - 1) as u32;
        Tensor::from_vec(places.iter().map(at).collect(), to, x.device())
    };
    let (below, above) = (x.index_select(&index(0)?, dim)?, x.index_select(&index(1)?, dim)?);
    let mut shape = [1; 4];
    shape[dim] = to;
    let share = Tensor::from_vec(places.iter().map(|place| place.fract()).collect(), &shape, x.device())?;
    &below + (above - &below)?.broadcast_mul(&share)?
}

/// Bicubic, pixels as areas (`align_corners=False`), edges repeated.
///
/// # Shapes
/// `x: [rows, cols, channels]`, result `[height, width, channels]`.
pub(super) fn cubic(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (rows, cols, channels) = x.dims3()?;
    if (rows, cols) == (height, width) {
        return Ok(x.clone());
    }
    let weights = |from, to| cubic_weights(from, to, x.device())?.to_dtype(x.dtype());
    let x = weights(rows, height)?
        .matmul(&x.reshape((rows, cols * channels))?)?
        .reshape((height, cols, channels))?
        .transpose(0, 1)?
        .reshape((cols, height * channels))?;
    weights(cols, width)?
        .matmul(&x)?
        .reshape((width, height, channels))?
        .transpose(0, 1)?
        .contiguous()
}

/// # Shapes
/// `[to, from]`.
fn cubic_weights(from: usize, to: usize, device: &Device) -> Result<Tensor> {
    let mut weights = vec![0f32; to * from];
    for (i, row) in weights.chunks_exact_mut(from).enumerate() {
        let place = (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
        let first = place.floor() - 1.0;
        for tap in 0..4 {
            let at = first + f64::from(tap);
            row[at.clamp(0.0, (from - 1) as f64) as usize] += cubic_kernel((place - at).abs()) as f32;
        }
    }
    Tensor::from_vec(weights, (to, from), device)
}

/// Keys 1981, equation 4 with the coefficient left open.
fn cubic_kernel(x: f64) -> f64 {
    let a = CUBIC;
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}
