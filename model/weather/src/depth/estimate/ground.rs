//! The ground plane and what stands on it.

use super::filters::{Colour, box_mean};
use super::segments::Segments;
use crate::plane::Plane;

/// The ground seen from above it.
pub(super) struct Ground {
    /// Row of the horizon as a share of the height; above 0 where it lies over the photo.
    pub(super) horizon: f32,
    /// Distance at the bottom of the photo over that at the horizon is this over 1 more than this.
    pub(super) nearest: f32,
    /// How much what rises above the horizon stands on the ground, 0 (it recedes, as hills do) to 1.
    pub(super) upright: f32,
}

impl Ground {
    /// Natural logarithm of the distance at `v` (share of the height), over that at the bottom.
    pub(super) fn at(&self, v: f32) -> f32 {
        let below = ((v - self.horizon) / (1.0 - self.horizon)).max(0.0);
        -libm::logf((below + self.nearest) / (1.0 + self.nearest))
    }

    /// The ground below a sky.
    ///
    /// What the sky ends over says what kind of scene it is. Where it has little detail, it is far land that recedes up to the
    /// skyline. Where it is full of detail, it is buildings or trees that stand, on a ground that ends where the sky comes
    /// down lowest; and where they fill the photo, they are not deep.
    pub(super) fn below(sky: &Plane, green: &Plane) -> Self {
        let detail = detail_below(sky, green);
        let upright = smoothstep(0.07, 0.15, detail);
        let horizon = horizon(sky, 0.3 + 0.6 * upright);
        let high = 1.0 - smoothstep(0.35, 0.6, horizon);
        Self {
            horizon,
            nearest: NEAREST + 0.04 * upright + 0.2 * smoothstep(0.1, 0.2, detail) * high,
            upright,
        }
    }

    /// The ground where no sky is seen: its horizon lies over the photo.
    pub(super) fn without_sky() -> Self {
        Self {
            horizon: -0.07,
            nearest: NEAREST,
            upright: 0.0,
        }
    }

    /// The logarithm of the ground's distance in each row, times `strength`.
    pub(super) fn slope(&self, width: usize, height: usize, strength: f32) -> Plane {
        Plane::from_rows(width, height, |y, row| {
            row.fill(strength * self.at((y as f32 + 0.5) / height as f32));
        })
    }
}

/// How much a photo without sky recedes towards its top, 0.4 to 1: little where its texture is as coarse at the top as at the
/// bottom, or blurred there, and fully where it is finer (texture gradient, Gibson 1950).
pub(super) fn receding(green: &Plane) -> f32 {
    0.4 + 0.6 * smoothstep(1.0, 1.2, finer_at_top(green))
}

/// What [`Ground::nearest`] is over a plain.
const NEAREST: f32 = 0.06;

/// Row of the horizon as a share of the height: the sky ends above it in `share` of the columns.
fn horizon(sky: &Plane, share: f32) -> f32 {
    let mut lowest: Vec<usize> = (0..sky.width)
        .filter_map(|x| (0..sky.height).rev().find(|y| sky.values[y * sky.width + x] > 0.5))
        .collect();
    lowest.sort_unstable();
    let at = lowest.get((lowest.len() as f32 * share) as usize).map_or(0, |y| y + 1);
    (at as f32 / sky.height as f32).min(0.85)
}

/// Mean difference of neighbours in a band right below the sky.
fn detail_below(sky: &Plane, green: &Plane) -> f32 {
    let (width, height) = (sky.width, sky.height);
    let band = 2 + height / 8;
    let (mut sum, mut count) = (0.0, 0.0_f32);
    for x in (1..width.saturating_sub(1)).filter(|x| sky.values[*x] > 0.5) {
        let border = (0..height).find(|y| sky.values[y * width + x] <= 0.5).unwrap_or(height);
        for y in border + 2..(border + band).min(height - 1) {
            let at = y * width + x;
            if sky.values[at] > 0.5 {
                break;
            }
            let difference = |a: usize, b: usize| (green.values[a] - green.values[b]).abs();
            sum += difference(at - 1, at + 1) + difference(at - width, at + width);
            count += 1.0;
        }
    }
    sum / count.max(1.0)
}

/// How much of the texture is fine rather than coarse in the top third of the photo, over the same in the bottom third.
fn finer_at_top(green: &Plane) -> f32 {
    let [near, middle, far] = [1, 2, 6].map(|radius| box_mean(green, radius));
    let finer = |rows: std::ops::Range<usize>| {
        let (mut fine, mut coarse) = (0.0, 0.0_f32);
        for at in rows.start * green.width..rows.end * green.width {
            fine += (green.values[at] - near.values[at]).abs();
            coarse += (middle.values[at] - far.values[at]).abs();
        }
        fine / coarse.max(1e-3)
    };
    let third = green.height / 3;
    finer(0..third) / finer(green.height - third..green.height).max(1e-3)
}

/// 0 up to `from`, 1 from `to`, and smooth between.
fn smoothstep(from: f32, to: f32, value: f32) -> f32 {
    let share = ((value - from) / (to - from)).clamp(0.0, 1.0);
    share * share * (3.0 - 2.0 * share)
}

/// Logarithm of the depth where what rises above the horizon stands on the ground (Hoiem et al. 2005): a segment is as far
/// as its foot, and segments that touch are of one object the more, the longer their border and the more alike their colours.
pub(super) fn standing(ground: &Ground, segments: &Segments, colour: &Colour, sky: &Plane) -> Plane {
    let (width, height) = (sky.width, sky.height);
    let v = |row: usize| (row as f32 + 0.5) / height as f32;
    let extents = extents(segments, sky);
    let stands = stands(ground, segments, sky, &extents);
    let borders = Borders::new(segments, colour, sky, &stands);
    // Distance of the foot, and how sure it is: right below the horizon a row more or less is a big distance.
    let feet: Vec<(f32, f32)> = extents
        .iter()
        .zip(&borders.on_ground)
        .map(|(extent, border)| {
            let foot = extent.map_or(0.0, |extent| v(extent.foot));
            let below = (foot - ground.horizon) / (1.0 - ground.horizon);
            (ground.at(foot), border * (below / 0.2).clamp(0.02, 1.0))
        })
        .collect();
    let middle = ground.at(0.5 + 0.5 * ground.horizon);
    let mut depth = vec![middle; segments.count];
    for _ in 0..SWEEPS {
        for s in (0..segments.count).filter(|s| stands[*s]) {
            let (foot, sure) = feet[s];
            let (mut sum, mut weight) = (sure * foot + LOOSE * middle, sure + LOOSE);
            for &(other, bond) in &borders.bonds[s] {
                sum += bond * depth[other];
                weight += bond;
            }
            depth[s] = sum / weight;
        }
    }
    let upright: Vec<f32> = extents
        .iter()
        .map(|extent| {
            let slender = extent.map_or(0.0, |e| {
                1.0 - smoothstep(1.5, 3.5, e.width as f32 / (e.foot - e.top + 1) as f32)
            });
            ground.upright.max(slender)
        })
        .collect();
    Plane::from_rows(width, height, |y, row| {
        let level = ground.at(v(y));
        for (value, label) in row.iter_mut().zip(&segments.labels[y * width..]) {
            let segment = *label as usize;
            *value = if stands[segment] {
                level + (depth[segment] - level) * upright[segment]
            } else {
                level
            };
        }
    })
}

/// Which segments stand: what rises above the horizon, and, right below it, the doors and arches of what does.
fn stands(ground: &Ground, segments: &Segments, sky: &Plane, extents: &[Option<Extent>]) -> Vec<bool> {
    let (width, height) = (sky.width, sky.height);
    let begins = |s: usize, row: f32| extents[s].is_some_and(|e| (e.top as f32 + 0.5) / (height as f32) < row);
    let rises: Vec<bool> = (0..segments.count).map(|s| begins(s, ground.horizon - 0.02)).collect();
    // Of the pixels right above each segment: those of what rises, less all others.
    let mut overhang = vec![0_i32; segments.count];
    for at in width..width * height {
        let (above, here) = (segments.labels[at - width], segments.labels[at]);
        if above != here {
            let is_under = sky.values[at - width] < 0.5 && rises[above as usize];
            overhang[here as usize] += if is_under { 1 } else { -1 };
        }
    }
    let is_opening = |s: usize| {
        let is_small = extents[s].is_some_and(|e| 8 * e.width < width && 20 * e.foot < 19 * height);
        ground.upright > 0.5 && is_small && overhang[s] > 0 && begins(s, ground.horizon + 0.06)
    };
    (0..segments.count).map(|s| rises[s] || is_opening(s)).collect()
}

/// How often the depths of segments are drawn towards each other.
const SWEEPS: usize = 40;
/// How strongly what touches neither ground nor anything else is drawn to the middle distance, beside a border's pixels.
const LOOSE: f32 = 0.5;

/// Where 90 % of a segment lies.
#[derive(Clone, Copy)]
struct Extent {
    top: usize,
    foot: usize,
    width: usize,
}

/// The extent of each segment, of its pixels that aren't sky.
fn extents(segments: &Segments, sky: &Plane) -> Vec<Option<Extent>> {
    let (width, height) = (sky.width, sky.height);
    let mut rows = vec![0_u32; segments.count * height];
    let mut columns = vec![0_u32; segments.count * width];
    for (at, label) in segments.labels.iter().enumerate() {
        if sky.values[at] < 0.5 {
            rows[*label as usize * height + at / width] += 1;
            columns[*label as usize * width + at % width] += 1;
        }
    }
    let middle = |counts: &[u32]| {
        let all: u32 = counts.iter().sum();
        let place = |share: f32| {
            let mut before = 0;
            counts.iter().position(|count| {
                before += count;
                before as f32 > share * all as f32
            })
        };
        Some((place(0.05)?, place(0.95)?))
    };
    rows.chunks(height)
        .zip(columns.chunks(width))
        .map(|(rows, columns)| {
            let ((top, foot), (left, right)) = (middle(rows)?, middle(columns)?);
            Some(Extent {
                top,
                foot,
                width: right - left + 1,
            })
        })
        .collect()
}

/// Where segments that stand touch each other and the ground.
struct Borders {
    /// Length of each segment's border with the ground beneath it, in pixels.
    on_ground: Vec<f32>,
    /// What each segment touches, and how strongly that says they are one.
    bonds: Vec<Vec<(usize, f32)>>,
}

impl Borders {
    fn new(segments: &Segments, colour: &Colour, sky: &Plane, stands: &[bool]) -> Self {
        let (width, height) = (sky.width, sky.height);
        let mut on_ground = vec![0.0; segments.count];
        let mut lengths = std::collections::BTreeMap::<(usize, usize), f32>::new();
        for at in 0..width * height {
            let here = segments.labels[at] as usize;
            if sky.values[at] > 0.5 || !stands[here] {
                continue;
            }
            if at + width >= width * height {
                on_ground[here] += 1.0;
            }
            for (there, is_below) in [(at + 1, false), (at + width, true)] {
                if there >= width * height || (!is_below && there % width == 0) || sky.values[there] > 0.5 {
                    continue;
                }
                let other = segments.labels[there] as usize;
                if is_below && !stands[other] {
                    on_ground[here] += 1.0;
                } else if stands[other] && other != here {
                    *lengths.entry((here.min(other), here.max(other))).or_default() += 1.0;
                }
            }
        }
        let means = colour.each_ref().map(|plane| segments.means(plane));
        let mut bonds = vec![Vec::new(); segments.count];
        for ((a, b), length) in lengths {
            let distance: f32 = means
                .iter()
                .map(|means| (means[a] - means[b]) * (means[a] - means[b]))
                .sum();
            let bond = length * (0.1 + libm::expf(-distance / (2.0 * 0.2 * 0.2)));
            bonds[a].push((b, bond));
            bonds[b].push((a, bond));
        }
        Self { on_ground, bonds }
    }
}
