//! Which part of a photo is sky.

use super::filters::{Colour, box_mean, zip};
use crate::plane::Plane;

/// The sky at working size, 0 to 1, if there is one.
pub(super) fn sky(colour: &Colour) -> Option<Plane> {
    let (width, height) = (colour[0].width, colour[0].height);
    if width < 8 || height < 8 {
        return None;
    }
    let edges = edges(colour);
    let borders = smoothed(&best_borders(colour, &edges)?, width / 16);
    let columns = Plane::from_rows(width, height, |y, row| {
        for (value, border) in row.iter_mut().zip(&borders) {
            *value = f32::from(u8::from(y < *border));
        }
    });
    let mut share = columns;
    let texture = box_mean(&edges, 1);
    for radius in [width.max(height) / 6, width.max(height) / 10] {
        share = like_sky(colour, &texture, &share, radius);
    }
    let share = connected(colour, share);
    plausible(colour, &edges, &share).then_some(share)
}

/// Largest gradient of the channels by Sobel's operator, in units of 1/255.
fn edges(colour: &Colour) -> Plane {
    let (width, height) = (colour[0].width, colour[0].height);
    Plane::from_rows(width, height, |y, row| {
        let (above, below) = (y.saturating_sub(1), (y + 1).min(height - 1));
        for (x, value) in row.iter_mut().enumerate() {
            let (left, right) = (x.saturating_sub(1), (x + 1).min(width - 1));
            for plane in colour {
                let (a, o, b) = (plane.row(above), plane.row(y), plane.row(below));
                let dx = (a[right] - a[left]) + 2.0 * (o[right] - o[left]) + (b[right] - b[left]);
                let dy = (b[left] - a[left]) + 2.0 * (b[x] - a[x]) + (b[right] - a[right]);
                *value = value.max(dx * dx + dy * dy);
            }
            *value = 255.0 * value.sqrt();
        }
    })
}

/// Sums that means and covariances of colours come from.
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

    fn combine(&mut self, other: &Self, sign: f64) {
        self.count += sign * other.count;
        self.first.iter_mut().zip(other.first).for_each(|(a, b)| *a += sign * b);
        self.second
            .iter_mut()
            .zip(other.second)
            .for_each(|(a, b)| *a += sign * b);
    }

    /// Determinant and largest eigenvalue of the covariance.
    fn spread(&self) -> (f64, f64) {
        let mean = self.first.map(|sum| sum / self.count);
        let mut c = [0.0; 6];
        for ((c, sum), (a, b)) in c.iter_mut().zip(self.second).zip(PAIRS) {
            *c = sum / self.count - mean[a] * mean[b];
        }
        let [rr, rg, rb, gg, gb, bb] = c;
        let determinant = rr * (gg * bb - gb * gb) - rg * (rg * bb - gb * rb) + rb * (rg * gb - gg * rb);
        let mut v = [1.0, 1.0, 1.0];
        let mut largest = 0.0;
        for _ in 0..12 {
            let w = [
                rr * v[0] + rg * v[1] + rb * v[2],
                rg * v[0] + gg * v[1] + gb * v[2],
                rb * v[0] + gb * v[1] + bb * v[2],
            ];
            largest = w.iter().map(|w: &f64| w * w).sum::<f64>().sqrt();
            if largest <= 0.0 {
                break;
            }
            v = w.map(|w| w / largest);
        }
        (determinant.max(0.0), largest)
    }
}

/// The sky's lower border in each column (Shen and Wang 2013): the first edge stronger than a threshold, of thresholds the
/// one whose two regions vary least within themselves (equation 6).
fn best_borders(colour: &Colour, edges: &Plane) -> Option<Vec<usize>> {
    let (width, height) = (edges.width, edges.height);
    let mut down = vec![Moments::default(); width * (height + 1)];
    for y in 0..height {
        for x in 0..width {
            let mut moments = down[y * width + x];
            moments.add([0, 1, 2].map(|c: usize| colour[c].values[y * width + x]));
            down[(y + 1) * width + x] = moments;
        }
    }
    let mut all = Moments::default();
    down[height * width..]
        .iter()
        .for_each(|column| all.combine(column, 1.0));
    let mut borders = vec![1; width];
    let mut best = None;
    let mut most = 0.0;
    for step in 0..32 {
        let threshold = 5.0 + 600.0 * (step as f32 / 31.0) * (step as f32 / 31.0);
        let mut sky = Moments::default();
        for (x, border) in borders.iter_mut().enumerate() {
            while *border < height && edges.values[*border * width + x] <= threshold {
                *border += 1;
            }
            let above = if *border > 1 { *border } else { 0 };
            sky.combine(&down[above * width + x], 1.0);
        }
        let mut ground = all;
        ground.combine(&sky, -1.0);
        if sky.count < 0.01 * all.count || ground.count < 0.02 * all.count {
            continue;
        }
        let ((sky_volume, sky_length), (ground_volume, ground_length)) = (sky.spread(), ground.spread());
        let energy = 1.0 / (2.0 * sky_volume + ground_volume + 2.0 * sky_length + ground_length + 1e-9);
        if energy > most {
            most = energy;
            best = Some(borders.clone());
        }
    }
    best
}

/// Median over `2 reach + 1` columns.
fn smoothed(borders: &[usize], reach: usize) -> Vec<usize> {
    (0..borders.len())
        .map(|x| {
            let mut window = borders[x.saturating_sub(reach)..(x + reach + 1).min(borders.len())].to_vec();
            window.sort_unstable();
            window[window.len() / 2]
        })
        .collect()
}

/// Mean and variance of features around each pixel, of the pixels that `share` counts.
fn statistics(features: &[Plane], share: &Plane, radius: usize) -> (Vec<(Plane, Plane)>, Plane) {
    /// Weight of the whole picture's statistics beside the window's.
    const PRIOR: f32 = 0.02;
    let weight = box_mean(share, radius);
    let all = f64::from(share.mean()).max(1e-6);
    let statistics = features
        .iter()
        .map(|feature| {
            let firsts = zip(feature, share, |f, s| f * s);
            let seconds = zip(&firsts, feature, |fs, f| fs * f);
            let (first, second) = (f64::from(firsts.mean()) / all, f64::from(seconds.mean()) / all);
            let (mut means, squares) = (box_mean(&firsts, radius), box_mean(&seconds, radius));
            let mut variances = squares;
            for at in 0..means.values.len() {
                let total = weight.values[at].max(0.0) + PRIOR;
                let mean = (means.values[at] + PRIOR * first as f32) / total;
                let square = (variances.values[at] + PRIOR * second as f32) / total;
                means.values[at] = mean;
                variances.values[at] = (square - mean * mean).max(0.0);
            }
            (means, variances)
        })
        .collect();
    (statistics, weight)
}

/// How likely each pixel is sky, by the colours and texture of what is sky and what is not around it: two normal
/// distributions per window and the window's share as the prior.
fn like_sky(colour: &Colour, texture: &Plane, share: &Plane, radius: usize) -> Plane {
    let rough = Plane {
        values: texture.values.iter().map(|t| (t / 400.0).min(0.5)).collect(),
        ..*texture
    };
    let mut features = colour.to_vec();
    features.push(rough);
    let rest = Plane {
        values: share.values.iter().map(|s| 1.0 - s).collect(),
        ..*share
    };
    let (sky, weight) = statistics(&features, share, radius);
    let (ground, _) = statistics(&features, &rest, radius);
    let mut out = share.clone();
    for (at, out) in out.values.iter_mut().enumerate() {
        let misfit = |statistics: &[(Plane, Plane)], floor: f32| {
            let (mut distance, mut volume) = (0.0, 1.0);
            for ((mean, variance), feature) in statistics.iter().zip(&features) {
                let variance = variance.values[at] + floor * floor;
                let difference = feature.values[at] - mean.values[at];
                distance += difference * difference / variance;
                volume *= variance;
            }
            distance + libm::logf(volume)
        };
        let prior = weight.values[at].clamp(0.02, 0.98);
        let evidence = 0.5 * (misfit(&ground, 0.05) - misfit(&sky, 0.035)) + libm::logf(prior / (1.0 - prior));
        *out = 1.0 / (1.0 + libm::expf(-evidence.clamp(-20.0, 20.0)));
    }
    out
}

/// Groups of neighbouring pixels that are alike: the label of each pixel, and for each label its pixels.
fn groups(alike: &[bool], width: usize) -> (Vec<u32>, Vec<Vec<u32>>) {
    let mut labels = vec![u32::MAX; alike.len()];
    let mut members = Vec::new();
    for start in 0..alike.len() {
        if labels[start] != u32::MAX {
            continue;
        }
        let label = members.len() as u32;
        let mut group = vec![start as u32];
        labels[start] = label;
        let mut next = 0;
        while next < group.len() {
            let at = group[next] as usize;
            next += 1;
            let x = at % width;
            let mut visit = |other: usize| {
                if labels[other] == u32::MAX && alike[other] == alike[start] {
                    labels[other] = label;
                    group.push(other as u32);
                }
            };
            if x > 0 {
                visit(at - 1);
            }
            if x + 1 < width {
                visit(at + 1);
            }
            if at >= width {
                visit(at - width);
            }
            if at + width < alike.len() {
                visit(at + width);
            }
        }
        members.push(group);
    }
    (labels, members)
}

/// Keeps the sky that reaches the top and what is seen of it through holes, and fills clouds in.
fn connected(colour: &Colour, mut share: Plane) -> Plane {
    let width = share.width;
    let is_sky: Vec<bool> = share.values.iter().map(|s| *s > 0.5).collect();
    let (_, members) = groups(&is_sky, width);
    let luma = |at: u32| colour.iter().map(|plane| plane.values[at as usize]).sum::<f32>() / 3.0;
    let reaches_top = |group: &[u32]| group.iter().any(|at| (*at as usize) < width);
    let mut lowest = 0;
    let (mut bright, mut count) = (0.0, 0.0);
    for group in members.iter().filter(|g| is_sky[g[0] as usize] && reaches_top(g)) {
        for at in group {
            lowest = lowest.max(*at as usize / width);
            bright += luma(*at);
            count += 1.0;
        }
    }
    let mean = bright / f32::max(count, 1.0);
    for group in &members {
        let sky = is_sky[group[0] as usize];
        if sky && !reaches_top(group) {
            let below = group.iter().any(|at| *at as usize / width > lowest);
            if below {
                for at in group {
                    share.values[*at as usize] = 0.0;
                }
            }
        } else if !sky {
            let touches = group.iter().any(|at| {
                let (x, y) = (*at as usize % width, *at as usize / width);
                x == 0 || y == 0 || x + 1 == width || y + 1 == share.height
            });
            let group_mean = group.iter().map(|at| luma(*at)).sum::<f32>() / group.len() as f32;
            if !touches && group_mean > mean - 0.12 {
                for at in group {
                    share.values[*at as usize] = 1.0;
                }
            }
        }
    }
    share
}

/// Whether what was found can be a sky at all: big enough, at the top, smooth, and of a colour that skies have.
fn plausible(colour: &Colour, edges: &Plane, share: &Plane) -> bool {
    let (width, height) = (share.width, share.height);
    let area = share.mean();
    if area < 0.01 {
        return false;
    }
    let top = share.row(1).iter().sum::<f32>() / width as f32;
    if top < 0.2 {
        return false;
    }
    let weighted = |plane: &Plane| {
        let sum: f32 = plane.values.iter().zip(&share.values).map(|(v, s)| v * s).sum();
        sum / (area * (width * height) as f32)
    };
    let [red, green, blue] = [0, 1, 2].map(|c: usize| weighted(&colour[c]));
    let luma = 0.3 * red + 0.59 * green + 0.11 * blue;
    let all = 0.3 * colour[0].mean() + 0.59 * colour[1].mean() + 0.11 * colour[2].mean();
    let rest = (all - luma * area) / (1.0 - area).max(0.02);
    let rough = weighted(edges);
    let greenish = green > blue + 0.02 && green > red - 0.02;
    let bluish = blue > red + 0.03 && blue > green - 0.03;
    let bright = luma > rest + 0.05 && luma > 0.4;
    let bottom = share.row(height - 1).iter().sum::<f32>() / width as f32;
    rough < 60.0 && !greenish && (bluish || (bright && bottom < 0.3))
}
