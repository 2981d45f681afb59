//! Overlap between patches: a filter across patch boundaries turns the patch-wise cosine transform into a lapped one.
//!
//! A patch-wise transform shows every error of its coefficients as a square. Filtered before analysis, and by the inverse
//! after synthesis, each coefficient becomes a smooth hump over two patches, and errors fade into their neighbours. The
//! filter is the pre-filter of a lapped biorthogonal transform: Tran, Liang and Tu, "Lapped transform via time-domain
//! pre- and post-filtering" (IEEE Transactions on Signal Processing 51, 2003), with the scaling 8/5 of that paper.

use candle_core::{D, Result, Tensor};
use std::f64::consts::PI;

/// What the lowest odd coefficient is scaled by; 1 would make the transform orthogonal, and its humps less smooth.
const SCALING: f64 = 1.6;

/// The filter across one boundary and its inverse, for patches of one size.
pub struct Lap {
    /// Pixels per patch side, even.
    size: usize,
    /// `[size, size]`, to be multiplied from the right.
    before: Tensor,
    /// Its inverse.
    after: Tensor,
}

impl Lap {
    /// # Errors
    /// A patch side that is odd or below 2.
    pub fn new(size: usize, device: &candle_core::Device) -> Result<Self> {
        if size < 2 || !size.is_multiple_of(2) {
            candle_core::bail!("patches of {size} pixels can't overlap; an even number can");
        }
        let tensor = |scaling: f64| {
            let rows = boundary_filter(size, scaling);
            Tensor::from_vec(rows.into_iter().map(|w| w as f32).collect(), (size, size), device)
        };
        // The filter is orthogonal but for its scaling: the transpose with the scaling inverted undoes it.
        Ok(Self {
            size,
            before: tensor(SCALING)?.t()?.contiguous()?,
            after: tensor(1.0 / SCALING)?,
        })
    }

    /// What the analysis sees of an image.
    ///
    /// # Shapes
    /// `rgb: [batch, 3, height, width]`, sides multiples of the patch; result alike.
    pub fn before_analysis(&self, rgb: &Tensor) -> Result<Tensor> {
        both_ways(rgb, &self.before, self.size)
    }

    /// The inverse of [`Self::before_analysis`].
    ///
    /// # Shapes
    /// As [`Self::before_analysis`].
    pub fn after_synthesis(&self, rgb: &Tensor) -> Result<Tensor> {
        both_ways(rgb, &self.after, self.size)
    }
}

fn both_ways(image: &Tensor, filter: &Tensor, size: usize) -> Result<Tensor> {
    let along_width = along_last(image, filter, size)?;
    along_last(&along_width.transpose(2, 3)?.contiguous()?, filter, size)?
        .transpose(2, 3)?
        .contiguous()
}

/// Filters the `size` values around every boundary between patches; half a patch at either end stays as it is.
fn along_last(image: &Tensor, filter: &Tensor, size: usize) -> Result<Tensor> {
    let (batch, planes, height, width) = image.dims4()?;
    if width <= size {
        return Ok(image.clone());
    }
    let half = size / 2;
    let inner = image.narrow(D::Minus1, half, width - size)?.contiguous()?;
    let filtered = inner
        .reshape(((), size))?
        .matmul(&filter.to_dtype(image.dtype())?)?
        .reshape((batch, planes, height, width - size))?;
    let begin = image.narrow(D::Minus1, 0, half)?;
    let end = image.narrow(D::Minus1, width - half, half)?;
    Tensor::cat(&[&begin, &filtered, &end], D::Minus1)
}

/// `B diag(I, V) B` with `B = [I J; J -I] / sqrt(2)` and `V = J C2' diag(scaling, 1, ..) C4 J`, rows of a square matrix; `J`
/// reverses, `C2` and `C4` are the cosine transforms of half the size.
fn boundary_filter(size: usize, scaling: f64) -> Vec<f64> {
    let half = size / 2;
    let n = half as f64;
    let c2 = |k: usize, m: usize| {
        let scale = if k == 0 { (1.0 / n).sqrt() } else { (2.0 / n).sqrt() };
        scale * (PI * (m as f64 + 0.5) * k as f64 / n).cos()
    };
    let c4 = |k: usize, m: usize| (2.0 / n).sqrt() * (PI * (m as f64 + 0.5) * (k as f64 + 0.5) / n).cos();
    let scale = |k: usize| if k == 0 { scaling } else { 1.0 };
    let v = |row: usize, col: usize| -> f64 {
        let (row, col) = (half - 1 - row, half - 1 - col);
        (0..half).map(|k| c2(k, row) * scale(k) * c4(k, col)).sum()
    };
    let butterfly = |row: usize, col: usize| -> f64 {
        let sign = if row == col && row >= half { -1.0 } else { 1.0 };
        f64::from(u8::from(row == col || row + col == size - 1)) * sign * 0.5f64.sqrt()
    };
    let middle = |row: usize, col: usize| match (row < half, col < half) {
        (true, true) => f64::from(u8::from(row == col)),
        (false, false) => v(row - half, col - half),
        _ => 0.0,
    };
    let product = |row: usize, col: usize| -> f64 {
        (0..size * size)
            .map(|i| butterfly(row, i / size) * middle(i / size, i % size) * butterfly(i % size, col))
            .sum()
    };
    (0..size * size).map(|i| product(i / size, i % size)).collect()
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn ramp(height: usize, width: usize) -> Tensor {
        let values = (0..3 * height * width).map(|i| ((i * 37 % 101) as f32 / 50.0) - 1.0);
        Tensor::from_vec(values.collect(), (1, 3, height, width), &Device::Cpu).unwrap()
    }

    fn largest(t: &Tensor) -> f32 {
        t.abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }

    #[test]
    fn synthesis_undoes_analysis() {
        for (size, height, width) in [(4, 16, 24), (4, 4, 8), (8, 8, 8), (2, 6, 4)] {
            let lap = Lap::new(size, &Device::Cpu).unwrap();
            let image = ramp(height, width);
            let back = lap.after_synthesis(&lap.before_analysis(&image).unwrap()).unwrap();
            assert!(largest(&(back - image).unwrap()) < 1e-5, "patches of {size}");
        }
    }

    #[test]
    fn an_even_image_stays_as_it_is() {
        let lap = Lap::new(4, &Device::Cpu).unwrap();
        let grey = Tensor::full(0.3f32, (1, 3, 8, 12), &Device::Cpu).unwrap();
        assert!(largest(&(lap.before_analysis(&grey).unwrap() - grey).unwrap()) < 1e-6);
    }

    // One brightened patch is a hump without a step at the patch's edge: the values that this module's paper gives for
    // four samples and a scaling of 8/5.
    #[test]
    fn a_patch_of_light_fades_into_its_neighbours() {
        let lap = Lap::new(4, &Device::Cpu).unwrap();
        let mut row = vec![0f32; 12];
        row[4..8].fill(0.5);
        let lit = Tensor::from_vec(row, (1, 1, 1, 12), &Device::Cpu).unwrap();
        let hump = along_last(&lit, &lap.after, 4).unwrap().to_dtype(DType::F32).unwrap();
        let hump: Vec<f32> = hump.flatten_all().unwrap().to_vec1().unwrap();
        let expected = [0.046, 0.165, 0.335, 0.454, 0.454, 0.335, 0.165, 0.046];
        for (ours, expected) in hump[2..10].iter().zip(expected) {
            assert!((ours - expected).abs() < 1e-3, "{hump:?}");
        }
    }
}
