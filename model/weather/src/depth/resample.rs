//! Maps of other sizes than the scene's: brought to it along the scene's edges.
//!
//! Joint bilateral upsampling (Kopf et al. 2007, equation 3): a pixel takes from the map's pixels around it, weighted by how near
//! they are and how alike the scene's luma is there, so that an edge of the map lies where the scene has it.

use image::Rgb32FImage;
use rayon::prelude::*;

use super::map::Part;
use crate::plane::Plane;

/// Standard deviation of the weights over place, in pixels of the map.
const SIGMA_PLACE: f32 = 0.6;
/// Standard deviation of the weights over luma, sRGB-encoded.
const SIGMA_LUMA: f32 = 0.06;
/// Steps of the table of weights over luma, whose differences reach from 0 to 1.
const LUMA_STEPS: usize = 256;
/// Pixels of the map to either side that are looked at.
const REACH: isize = 2;
/// The least that a pixel weighs by luma, so that a colour which is nowhere around takes the mean.
const LEAST_WEIGHT: f32 = 1e-4;

/// How a scene's pixels lie on a map.
pub(super) struct Grid {
    /// The scene's luma.
    luma: Plane,
    /// Its mean over each pixel of the map; only those that the scene shows count.
    map_luma: Plane,
    part: Part,
    map: (usize, usize),
    weights: Vec<f32>,
}

impl Grid {
    /// `part` of a photo is `scene`, and `map` is the size of a map of the whole photo.
    pub(super) fn new(scene: &Rgb32FImage, part: Part, map: (usize, usize)) -> Self {
        let (width, height) = (scene.width() as usize, scene.height() as usize);
        let raw = scene.as_raw();
        let luma = Plane::from_rows(width, height, |y, row| {
            for (x, luma) in row.iter_mut().enumerate() {
                let at = 3 * (y * width + x);
                *luma = 0.2126 * raw[at] + 0.7152 * raw[at + 1] + 0.0722 * raw[at + 2];
            }
        });
        let weights = (0..=LUMA_STEPS).map(|step| {
            let difference = step as f32 / LUMA_STEPS as f32 / SIGMA_LUMA;
            libm::expf(-0.5 * difference * difference).max(LEAST_WEIGHT)
        });
        let mut grid = Self {
            map_luma: Plane::filled(map.0, map.1, 0.0),
            luma,
            part,
            map,
            weights: weights.collect(),
        };
        grid.map_luma = grid.mean_luma();
        grid
    }

    /// Where the middle of a scene's column lies on the map, in its pixels from the left edge.
    fn column(&self, x: f64) -> f64 {
        (self.part[0] + self.part[2] * x / self.luma.width as f64) * self.map.0 as f64
    }

    fn row(&self, y: f64) -> f64 {
        (self.part[1] + self.part[3] * y / self.luma.height as f64) * self.map.1 as f64
    }

    /// Whether the map is at least as fine as the scene.
    fn is_fine(&self) -> bool {
        self.column(1.0) - self.column(0.0) >= 0.999 && self.row(1.0) - self.row(0.0) >= 0.999
    }

    /// The scene's luma at the map's pixels.
    fn mean_luma(&self) -> Plane {
        let over = |at: f64, start: f64, share: f64, map: usize, scene: usize| {
            let place = (at / map as f64 - start) / share * scene as f64;
            place.clamp(0.0, scene as f64)
        };
        let (width, height) = (self.luma.width, self.luma.height);
        Plane::from_rows(self.map.0, self.map.1, |y, row| {
            let vertical = |at: usize| over(at as f64, self.part[1], self.part[3], self.map.1, height);
            for (x, value) in row.iter_mut().enumerate() {
                let horizontal = |at: usize| over(at as f64, self.part[0], self.part[2], self.map.0, width);
                *value = area_mean(
                    &self.luma,
                    (horizontal(x), horizontal(x + 1)),
                    (vertical(y), vertical(y + 1)),
                );
            }
        })
    }
}

/// A map of the whole photo at the scene's pixels.
pub(super) fn resampled(map: &Plane, grid: &Grid) -> Plane {
    let (width, height) = (grid.luma.width, grid.luma.height);
    let is_fine = grid.is_fine();
    Plane::from_rows(width, height, |y, row| {
        for (x, value) in row.iter_mut().enumerate() {
            let (left, top) = (grid.column(x as f64), grid.row(y as f64));
            let (right, bottom) = (grid.column(x as f64 + 1.0), grid.row(y as f64 + 1.0));
            *value = if is_fine {
                area_mean(map, (left, right), (top, bottom))
            } else {
                let middle = (0.5 * (left + right) - 0.5, 0.5 * (top + bottom) - 0.5);
                along_edges(map, grid, middle, grid.luma.row(y)[x])
            };
        }
    })
}

/// Mean of a rectangle, in pixels from the corner; pixels at its edges count by the part of them that is inside.
fn area_mean(plane: &Plane, (left, right): (f64, f64), (top, bottom): (f64, f64)) -> f32 {
    let within = |at: f64, length: usize| (at.max(0.0) as usize).min(length - 1);
    // An edge that is a rounding error inside a pixel doesn't reach into it.
    let (rows, columns) = (
        within(top + 1e-9, plane.height)..=within(bottom - 1e-9, plane.height),
        within(left + 1e-9, plane.width)..=within(right - 1e-9, plane.width),
    );
    let inside = |at: usize, (from, to): (f64, f64)| ((at as f64 + 1.0).min(to) - (at as f64).max(from)).max(1e-6);
    let (mut sum, mut weight) = (0.0, 0.0);
    for y in rows {
        for x in columns.clone() {
            let share = inside(y, (top, bottom)) * inside(x, (left, right));
            sum += share * f64::from(plane.row(y)[x]);
            weight += share;
        }
    }
    (sum / weight) as f32
}

fn along_edges(map: &Plane, grid: &Grid, (x, y): (f64, f64), luma: f32) -> f32 {
    let (near_x, near_y) = (x.round() as isize, y.round() as isize);
    let held = |at: isize, length: usize| at.clamp(0, length as isize - 1) as usize;
    let (mut sum, mut weight) = (0.0, 0.0);
    for dy in -REACH..=REACH {
        let row = held(near_y + dy, map.height);
        let away_y = (near_y + dy) as f32 - y as f32;
        for dx in -REACH..=REACH {
            let column = held(near_x + dx, map.width);
            let away_x = (near_x + dx) as f32 - x as f32;
            let distance = (away_x * away_x + away_y * away_y) / (SIGMA_PLACE * SIGMA_PLACE);
            let unlike = (grid.map_luma.row(row)[column] - luma).abs().min(1.0);
            // The rational form of a Gaussian's first terms: cheap, and the same bits everywhere.
            let by_place = 1.0 / (1.0 + distance * (0.5 + distance * 0.25));
            let share = by_place * grid.weights[(unlike * LUMA_STEPS as f32) as usize];
            sum += share * map.row(row)[column];
            weight += share;
        }
    }
    sum / weight
}

/// A plane whose invalid values are the means of valid ones around them, from as near as there are any (pull and push, Gortler et
/// al. 1996, section 3.4, with whole pixels).
pub(super) fn filled(plane: &Plane, valid: &[bool]) -> Plane {
    if valid.iter().all(|valid| *valid) || !valid.iter().any(|valid| *valid) {
        return plane.clone();
    }
    let (width, height) = (plane.width.div_ceil(2), plane.height.div_ceil(2));
    let mut coarse = Plane::filled(width, height, 0.0);
    let mut known = vec![false; width * height];
    for y in 0..height {
        for x in 0..width {
            let (mut sum, mut count) = (0.0, 0.0);
            for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                let (from_x, from_y) = (2 * x + dx, 2 * y + dy);
                if from_x < plane.width && from_y < plane.height && valid[from_y * plane.width + from_x] {
                    sum += plane.row(from_y)[from_x];
                    count += 1.0;
                }
            }
            known[y * width + x] = count > 0.0;
            coarse.values[y * width + x] = sum / f32::max(count, 1.0);
        }
    }
    let coarse = filled(&coarse, &known);
    let mut out = plane.clone();
    out.values.par_iter_mut().enumerate().for_each(|(at, value)| {
        if !valid[at] {
            *value = coarse.row(at / plane.width / 2)[at % plane.width / 2];
        }
    });
    out
}
