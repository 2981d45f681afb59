//! Power by radial frequency, direction averaged out.

use super::Spectrum;

/// Radially averaged power: pairs of (radius in cycles per pixel, mean power of the bins in that ring), by ascending
/// radius.
///
/// `bins` rings (at least 1) of equal width divide 0 to 0.5 cycles per pixel; the radius given is the mean of the
/// bins that fell into the ring. Left out are zero frequency (the mean of the image, which would drown the first
/// ring), the corners beyond 0.5 (only some directions are there) and rings that no bin falls into (there are some
/// when `bins` exceeds half of the shorter side).
pub fn radial_average(spectrum: &Spectrum, bins: usize) -> Vec<(f32, f32)> {
    const MAX_RADIUS: f32 = 0.5;
    let bins = bins.max(1);
    let mut rings = vec![Ring::default(); bins];
    for (row, line) in spectrum.power.chunks_exact(spectrum.width).enumerate() {
        for (column, power) in line.iter().enumerate() {
            let (x, y) = spectrum.frequency(column, row);
            let radius = x.hypot(y);
            if radius > 0.0 && radius <= MAX_RADIUS {
                let ring = (radius / MAX_RADIUS * bins as f32) as usize;
                rings[ring.min(bins - 1)].add(radius, *power);
            }
        }
    }
    rings.iter().filter(|ring| ring.count > 0).map(Ring::mean).collect()
}

#[derive(Clone, Default)]
struct Ring {
    count: u32,
    radius_sum: f64,
    power_sum: f64,
}

impl Ring {
    fn add(&mut self, radius: f32, power: f32) {
        self.count += 1;
        self.radius_sum += f64::from(radius);
        self.power_sum += f64::from(power);
    }

    fn mean(&self) -> (f32, f32) {
        let count = f64::from(self.count);
        ((self.radius_sum / count) as f32, (self.power_sum / count) as f32)
    }
}
