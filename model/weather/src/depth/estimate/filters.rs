//! Filters over planes: reduction by area, means over boxes, and the guided filter.

use image::Rgb32FImage;
use rayon::prelude::*;

use crate::plane::Plane;

/// A colour image as one plane per channel.
pub(super) type Colour = [Plane; 3];

/// The scene reduced to `longer` pixels on its longer side (never enlarged), each pixel the mean of the area it covers.
///
/// Sums are the same to the last bit for a mirrored scene: rows first, then columns in `f64`.
pub(super) fn reduced(scene: &Rgb32FImage, longer: usize) -> Colour {
    let (width, height) = (scene.width() as usize, scene.height() as usize);
    let scale = (longer as f64 / width.max(height).max(1) as f64).min(1.0);
    let small = |side: usize| ((side as f64 * scale).round() as usize).clamp(side.min(1), longer.max(1));
    let (columns, rows) = (small(width), small(height));
    let cover = |index: usize, of: usize, side: usize| {
        let at = |index: usize| (index * side) as f64 / of as f64;
        (at(index), at(index + 1))
    };
    let mut pixels = vec![[0.0_f32; 3]; columns * rows];
    pixels.par_chunks_mut(columns.max(1)).enumerate().for_each(|(y, row)| {
        let (top, bottom) = cover(y, rows, height);
        let mut sums = vec![0.0_f32; 3 * width];
        for source in top as usize..(bottom.ceil() as usize).min(height) {
            let share = ((source as f64 + 1.0).min(bottom) - (source as f64).max(top)) / (bottom - top);
            let values = &scene.as_raw()[3 * source * width..3 * (source + 1) * width];
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += share as f32 * value.clamp(0.0, 1.0);
            }
        }
        for (x, pixel) in row.iter_mut().enumerate() {
            let (left, right) = cover(x, columns, width);
            let mut mean = [0.0_f64; 3];
            for source in left as usize..(right.ceil() as usize).min(width) {
                let share = ((source as f64 + 1.0).min(right) - (source as f64).max(left)) / (right - left);
                for (mean, sum) in mean.iter_mut().zip(&sums[3 * source..]) {
                    *mean += share * f64::from(*sum);
                }
            }
            *pixel = mean.map(|value| value as f32);
        }
    });
    [0, 1, 2].map(|channel| Plane {
        width: columns,
        height: rows,
        values: pixels.iter().map(|pixel| pixel[channel]).collect(),
    })
}

/// Mean over the square of `2 radius + 1` pixels around each pixel, of those pixels that lie inside the plane.
pub(super) fn box_mean(plane: &Plane, radius: usize) -> Plane {
    let (width, height) = (plane.width, plane.height);
    if width == 0 || height == 0 || radius == 0 {
        return plane.clone();
    }
    let mut across = vec![0.0_f32; width * height];
    for (row, out) in plane.values.chunks(width).zip(across.chunks_mut(width)) {
        let mut sum: f32 = row[..radius.min(width)].iter().sum();
        for x in 0..width {
            let enters = if x + radius < width { row[x + radius] } else { 0.0 };
            let leaves = if x > radius { row[x - radius - 1] } else { 0.0 };
            sum += enters - leaves;
            out[x] = sum;
        }
    }
    let inside = |at: usize, side: usize| ((at + radius).min(side - 1) - at.saturating_sub(radius) + 1) as f32;
    let per_column: Vec<f32> = (0..width).map(|x| 1.0 / inside(x, width)).collect();
    let mut sums = vec![0.0_f32; width];
    for row in across.chunks(width).take(radius.min(height)) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    let mut mean = Plane::filled(width, height, 0.0);
    for (y, out) in mean.values.chunks_mut(width).enumerate() {
        if y + radius < height {
            let row = &across[(y + radius) * width..(y + radius + 1) * width];
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        if y > radius {
            let row = &across[(y - radius - 1) * width..(y - radius) * width];
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum -= value);
        }
        let rows = 1.0 / inside(y, height);
        for ((out, sum), columns) in out.iter_mut().zip(&sums).zip(&per_column) {
            *out = sum * rows * columns;
        }
    }
    mean
}

/// The exponential of `-12..=12`, and of the nearer end beyond, within 5e-6 of its value: a power of 2 and the series of the
/// rest, in plain arithmetic that is the same everywhere and that compilers vectorise.
#[inline]
pub(super) fn exp(exponent: f32) -> f32 {
    const UP: f32 = 64.5;
    let turns = exponent.clamp(-12.0, 12.0) * std::f32::consts::LOG2_E;
    let whole = (turns + UP) as i32 - UP as i32;
    let rest = (turns - whole as f32) * std::f32::consts::LN_2;
    let mut series = 1.0;
    for share in [1.0 / 6.0, 1.0 / 5.0, 1.0 / 4.0, 1.0 / 3.0, 1.0 / 2.0, 1.0] {
        series = 1.0 + series * (rest * share);
    }
    series * f32::from_bits(((whole + 127) as u32) << 23)
}

/// Combines planes of one size pixel by pixel.
pub(super) fn zip(a: &Plane, b: &Plane, combine: impl Fn(f32, f32) -> f32) -> Plane {
    Plane {
        width: a.width,
        height: a.height,
        values: a.values.iter().zip(&b.values).map(|(a, b)| combine(*a, *b)).collect(),
    }
}

/// Least of the square of `2 radius + 1` pixels around each pixel.
pub(super) fn box_min(plane: &Plane, radius: usize) -> Plane {
    let (width, height) = (plane.width, plane.height);
    let across = Plane::from_rows(width, height, |y, row| {
        let source = plane.row(y);
        for (x, value) in row.iter_mut().enumerate() {
            let window = &source[x.saturating_sub(radius)..(x + radius + 1).min(width)];
            *value = window.iter().copied().fold(f32::INFINITY, f32::min);
        }
    });
    Plane::from_rows(width, height, |y, row| {
        row.fill(f32::INFINITY);
        for source in y.saturating_sub(radius)..(y + radius + 1).min(height) {
            for (value, other) in row.iter_mut().zip(across.row(source)) {
                *value = value.min(*other);
            }
        }
    })
}

/// The guided filter with a colour guide (He et al. 2010, equations 19 to 21), whose window statistics depend only on the
/// guide and are computed once for all inputs.
pub(super) struct Guide<'a> {
    colour: &'a Colour,
    radius: usize,
    means: Colour,
    /// The inverse of each window's covariance plus `eps` on its diagonal: rr, rg, rb, gg, gb, bb.
    inverse: Vec<[f32; 6]>,
}

/// Filtered input as a linear function of the guide around each pixel: `red, green, blue` factors and an offset.
pub(super) struct Linear {
    pub(super) planes: [Plane; 4],
}

const PAIRS: [(usize, usize); 6] = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)];

impl<'a> Guide<'a> {
    pub(super) fn new(colour: &'a Colour, radius: usize, eps: f32) -> Self {
        let means = [0, 1, 2].map(|c| box_mean(&colour[c], radius));
        let covariances: Vec<Plane> = PAIRS
            .par_iter()
            .map(|&(a, b)| {
                let products = box_mean(&zip(&colour[a], &colour[b], |a, b| a * b), radius);
                zip(&products, &zip(&means[a], &means[b], |a, b| a * b), |p, m| p - m)
            })
            .collect();
        let inverse = (0..means[0].values.len())
            .map(|at| inverted([0, 1, 2, 3, 4, 5].map(|pair| covariances[pair].values[at]), eps))
            .collect();
        Self {
            colour,
            radius,
            means,
            inverse,
        }
    }

    /// The linear functions of the guide that fit `input` best.
    pub(super) fn fit(&self, input: &Plane) -> Linear {
        let mean = box_mean(input, self.radius);
        let covariances = [0, 1, 2].map(|c| {
            let product = box_mean(&zip(&self.colour[c], input, |a, b| a * b), self.radius);
            zip(&product, &zip(&self.means[c], &mean, |a, b| a * b), |p, m| p - m)
        });
        let mut planes = [(); 4].map(|()| Plane::filled(mean.width, mean.height, 0.0));
        for at in 0..mean.values.len() {
            let [rr, rg, rb, gg, gb, bb] = self.inverse[at];
            let [r, g, b] = [0, 1, 2].map(|c: usize| covariances[c].values[at]);
            let factors = [
                rr * r + rg * g + rb * b,
                rg * r + gg * g + gb * b,
                rb * r + gb * g + bb * b,
            ];
            let mut offset = mean.values[at];
            for c in 0..3 {
                planes[c].values[at] = factors[c];
                offset -= factors[c] * self.means[c].values[at];
            }
            planes[3].values[at] = offset;
        }
        Linear {
            planes: planes.map(|plane| box_mean(&plane, self.radius)),
        }
    }
}

/// Inverse of a symmetric 3 x 3 matrix with `eps` added to its diagonal, by cofactors.
fn inverted([rr, rg, rb, gg, gb, bb]: [f32; 6], eps: f32) -> [f32; 6] {
    let (rr, gg, bb) = (rr + eps, gg + eps, bb + eps);
    let cofactors = [
        gg * bb - gb * gb,
        rb * gb - rg * bb,
        rg * gb - rb * gg,
        rr * bb - rb * rb,
        rg * rb - rr * gb,
        rr * gg - rg * rg,
    ];
    let determinant = rr * cofactors[0] + rg * cofactors[1] + rb * cofactors[2];
    cofactors.map(|cofactor| cofactor / determinant.max(eps * eps * eps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn plane(value: impl Fn(usize, usize) -> f32 + Sync) -> Plane {
        Plane::from_rows(7, 6, |y, row| {
            for (x, out) in row.iter_mut().enumerate() {
                *out = value(x, y);
            }
        })
    }

    /// By numpy, with windows clipped at the border: per window `a = solve(cov(I) + eps, cov(I, p))`, `b = mean(p) - a mean(I)`,
    /// then `mean(a) I + mean(b)`.
    #[test]
    fn the_guided_filter_is_that_of_the_paper() {
        let guide = [0, 1, 2].map(|c| plane(|x, y| ((x * 7 + y * 3 + c * 5) % 11) as f32 / 10.0));
        let input = plane(|x, y| ((x * y + 2 * x) % 5) as f32 / 4.0);
        let linear = Guide::new(&guide, 1, 0.01).fit(&input);
        for (y, x, expected) in [(0, 0, 0.04569), (2, 3, 0.43261), (5, 6, 0.21182), (3, 1, 0.27073)] {
            let [a, b, c, offset] = linear.planes.each_ref().map(|plane| plane.row(y)[x]);
            let [red, green, blue] = guide.each_ref().map(|plane| plane.row(y)[x]);
            let value = a * red + b * green + c * blue + offset;
            assert!((value - expected).abs() < 1e-4, "row {y}, column {x}: {value}");
        }
    }

    /// By numpy: `np.exp([-12, -3.3, 0, 0.1234, 7.7, 12])`; it is held beyond 12.
    #[test]
    fn the_exponential_is_near_the_exact_one() {
        for (exponent, expected) in [
            (-13.0, 6.144_212e-6),
            (-3.3, 0.036_883_17),
            (0.0, 1.0),
            (0.1234, 1.131_336_9),
            (7.7, 2_208.348),
            (20.0, 162_754.8),
        ] {
            let value = exp(exponent);
            assert!((value / expected - 1.0).abs() < 5e-6, "{exponent}: {value}");
        }
    }

    #[test]
    fn a_reduced_pixel_is_the_mean_of_what_it_covers() {
        let image = Rgb32FImage::from_fn(3, 2, |x, y| Rgb([x as f32 / 2.0, y as f32, 0.5]));
        let [red, green, blue] = reduced(&image, 2);
        assert_eq!((red.width, red.height), (2, 1));
        // The first column covers all of 0 and half of 1/2, the second half of 1/2 and all of 1.
        let expected = [[1.0 / 6.0, 5.0 / 6.0], [0.5; 2], [0.5; 2]];
        for (plane, expected) in [red, green, blue].iter().zip(expected) {
            for (value, expected) in plane.values.iter().zip(expected) {
                assert!((value - expected).abs() < 1e-6, "{value} and {expected}");
            }
        }
    }
}
