//! A first guess of the sky: in each column what lies above an edge.

use super::filters::Colour;
use crate::plane::Plane;

/// Largest gradient of the channels by Sobel's operator, in units of 1/255.
pub(super) fn edges(colour: &Colour) -> Plane {
    let (width, height) = (colour[0].width, colour[0].height);
    Plane::from_rows(width, height, |y, row| {
        let (above, below) = (y.saturating_sub(1), (y + 1).min(height - 1));
        for plane in colour {
            let (a, o, b) = (plane.row(above), plane.row(y), plane.row(below));
            for (x, value) in row.iter_mut().enumerate() {
                let (left, right) = (x.saturating_sub(1), (x + 1).min(width - 1));
                let dx = (a[right] - a[left]) + 2.0 * (o[right] - o[left]) + (b[right] - b[left]);
                let dy = (b[left] - a[left]) + 2.0 * (b[x] - a[x]) + (b[right] - a[right]);
                *value = value.max(dx * dx + dy * dy);
            }
        }
        for value in row {
            *value = 255.0 * value.sqrt();
        }
    })
}

/// 1 where the sky may be, by its lower border in each column: the first edge from the top that is stronger than a threshold
/// (Shen and Wang 2013).
///
/// Of all thresholds that one is taken whose two regions are described in the fewest bits by a normal distribution each
/// (region competition, Zhu and Yuille 1996), where the paper compares determinants and eigenvalues of their covariances: its
/// energy doesn't count pixels, so that a strip of a few even rows at the top can win over the whole sky.
pub(super) fn above_edges(colour: &Colour, edges: &Plane) -> Option<Plane> {
    const THRESHOLDS: usize = 32;
    let (width, height) = (edges.width, edges.height);
    let at = |x: usize, y: usize| colour.each_ref().map(|plane| plane.values[y * width + x]);
    let mut all = Moments::default();
    for y in 0..height {
        for x in 0..width {
            all.add(at(x, y));
        }
    }
    let mut sky = Moments::default();
    let mut borders = vec![1; width];
    let mut best = None;
    let mut least = f64::INFINITY;
    for step in 0..THRESHOLDS {
        let share = step as f32 / (THRESHOLDS - 1) as f32;
        let threshold = 5.0 + 600.0 * share * share;
        for (x, border) in borders.iter_mut().enumerate() {
            while *border < height && edges.values[*border * width + x] <= threshold {
                sky.add(at(x, *border));
                *border += 1;
            }
        }
        let ground = all.without(&sky);
        if sky.count < 0.01 * all.count || ground.count < 0.02 * all.count {
            continue;
        }
        let bits = sky.bits() + ground.bits();
        if bits < least {
            least = bits;
            best = Some(borders.clone());
        }
    }
    let borders = medians(&best?, width / 16);
    Some(Plane::from_rows(width, height, |y, row| {
        for (value, border) in row.iter_mut().zip(&borders) {
            *value = f32::from(u8::from(y < *border));
        }
    }))
}

/// Median over `2 reach + 1` columns.
fn medians(borders: &[usize], reach: usize) -> Vec<usize> {
    (0..borders.len())
        .map(|x| {
            let mut window = borders[x.saturating_sub(reach)..(x + reach + 1).min(borders.len())].to_vec();
            window.sort_unstable();
            window[window.len() / 2]
        })
        .collect()
}

/// Sums that the mean and covariance of colours (in 1/255) come from.
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    first: [f64; 3],
    second: [f64; 6],
}

const PAIRS: [(usize, usize); 6] = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)];

impl Moments {
    fn add(&mut self, colour: [f32; 3]) {
        let colour = colour.map(|value| 255.0 * f64::from(value));
        self.count += 1.0;
        self.first.iter_mut().zip(colour).for_each(|(sum, value)| *sum += value);
        for (sum, (a, b)) in self.second.iter_mut().zip(PAIRS) {
            *sum += colour[a] * colour[b];
        }
    }

    fn without(&self, part: &Self) -> Self {
        let mut rest = *self;
        rest.count -= part.count;
        rest.first.iter_mut().zip(part.first).for_each(|(a, b)| *a -= b);
        rest.second.iter_mut().zip(part.second).for_each(|(a, b)| *a -= b);
        rest
    }

    /// Twice the nats that a normal distribution takes for these colours, up to a constant per pixel: `count ln |covariance|`.
    fn bits(&self) -> f64 {
        /// Spread of a colour that is noise, in 1/255.
        const NOISE: f64 = 4.0;
        let mean = self.first.map(|sum| sum / self.count);
        let mut c = [0.0; 6];
        for ((c, sum), (a, b)) in c.iter_mut().zip(self.second).zip(PAIRS) {
            *c = sum / self.count - mean[a] * mean[b] + if a == b { NOISE * NOISE } else { 0.0 };
        }
        let [rr, rg, rb, gg, gb, bb] = c;
        let determinant = rr * (gg * bb - gb * gb) - rg * (rg * bb - gb * rb) + rb * (rg * gb - gg * rb);
        self.count * libm::log(determinant.max(1.0))
    }
}
