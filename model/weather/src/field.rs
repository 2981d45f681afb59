//! Smooth noise fields: how uneven air is.

use crate::stream::Stream;

/// Points of the lattice along each side; the field repeats beyond them, which no image is wide enough to show.
const SIDE: usize = 64;
/// Amplitude of the second octave, of half the size, over that of the first.
const SECOND_OCTAVE: f32 = 0.5;
/// Standard deviation of a cubic B-spline through independent values of unit variance, over that of the values, in two
/// dimensions: the integral of the spline's square, 151/315.
const SPLINE_SIGMA: f32 = 151.0 / 315.0;

/// Smooth noise without a preferred place, of mean 0 and standard deviation 1: a cubic B-spline (Unser 1999)
/// through random values on a lattice, two octaves of it.
pub(crate) struct Field {
    lattice: Vec<f32>,
}

impl Field {
    /// Draws the field.
    pub(crate) fn draw(stream: &mut Stream) -> Self {
        // Uniform between -sqrt(3) and sqrt(3): variance 1.
        let bound = 3.0_f32.sqrt();
        let lattice = (0..SIDE * SIDE).map(|_| stream.between(-bound, bound)).collect();
        Self { lattice }
    }

    /// The field's value at a place, in cells of the coarser octave.
    pub(crate) fn at(&self, x: f32, y: f32) -> f32 {
        let coarse = self.octave(x, y);
        // Shifted by a part of a cell, so that the octaves' lattices don't meet in the same points.
        let fine = self.octave(2.0 * x + 21.37, 2.0 * y + 9.71);
        (coarse + SECOND_OCTAVE * fine) / (SPLINE_SIGMA * (1.0 + SECOND_OCTAVE * SECOND_OCTAVE).sqrt())
    }

    fn octave(&self, x: f32, y: f32) -> f32 {
        let (column, across) = spline(x);
        let (row, down) = spline(y);
        let mut sum = 0.0;
        for (j, weight) in down.iter().enumerate() {
            let start = (row + j) % SIDE * SIDE;
            let values = &self.lattice[start..start + SIDE];
            let line: f32 = across
                .iter()
                .enumerate()
                .map(|(i, weight)| weight * values[(column + i) % SIDE])
                .sum();
            sum += weight * line;
        }
        sum
    }
}

/// The first of the four lattice points that a cubic B-spline at `x` reaches, and their weights.
fn spline(x: f32) -> (usize, [f32; 4]) {
    let cell = x.floor();
    let t = x - cell;
    let (t2, t3, rest) = (t * t, t * t * t, 1.0 - t);
    let weights = [
        rest * rest * rest / 6.0,
        (3.0 * t3 - 6.0 * t2 + 4.0) / 6.0,
        (-3.0 * t3 + 3.0 * t2 + 3.0 * t + 1.0) / 6.0,
        t3 / 6.0,
    ];
    ((cell as i64).rem_euclid(SIDE as i64) as usize, weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(values: impl Iterator<Item = f32>) -> (f64, f64) {
        let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for value in values.map(f64::from) {
            count += 1.0;
            sum += value;
            squares += value * value;
        }
        (sum / count, (squares / count - (sum / count).powi(2)).sqrt())
    }

    #[test]
    fn the_field_has_mean_0_and_standard_deviation_1() {
        let field = Field::draw(&mut Stream::new(3, 1, 1.0));
        let places = (0..256 * 256).map(|i| field.at((i % 256) as f32 / 4.0, (i / 256) as f32 / 4.0));
        let (mean, sigma) = moments(places);
        assert!(mean.abs() < 0.1 && (sigma - 1.0).abs() < 0.1, "{mean} {sigma}");
    }

    #[test]
    fn the_field_goes_on_below_zero_and_beyond_its_lattice() {
        let field = Field::draw(&mut Stream::new(4, 1, 1.0));
        for step in -400..400 {
            let (x, y) = (step as f32 * 0.37, 2.2 - step as f32 * 0.11);
            assert!((field.at(x + 1e-3, y) - field.at(x, y)).abs() < 0.02, "{x} {y}");
            assert!((field.at(x + SIDE as f32, y) - field.at(x, y)).abs() < 1e-3);
        }
    }
}
