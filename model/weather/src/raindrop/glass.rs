//! The glass with its drops before the scene, out of focus.

use image::Rgb32FImage;
use rayon::prelude::*;

use super::{Drop, Met};
use crate::plane::Plane;

/// Circles of confusion in pixels of the layer of drops, which needs no more of them than that.
const LAYER_CONFUSION_PX: f32 = 4.0;
/// Pixels along the longer side of the view that is seen through drops: they show it smaller than this.
const VIEW_SIDE: usize = 160;

/// The scene made small, as drops show it.
pub(super) struct View {
    image: Rgb32FImage,
    /// Pixels of the scene per pixel of the view.
    scale: (f32, f32),
}

impl View {
    pub(super) fn of(scene: &Rgb32FImage) -> Self {
        let (width, height) = scene.dimensions();
        let longer = width.max(height).max(1) as usize;
        let small = |size: u32| (size as usize * VIEW_SIDE.min(longer)).div_ceil(longer) as u32;
        let (columns, rows) = (small(width), small(height));
        let mut image = Rgb32FImage::new(columns, rows);
        let edge = |i: usize, size: u32, count: u32| i * size as usize / count as usize;
        let row_values = 3 * columns as usize;
        image
            .as_mut()
            .par_chunks_mut(row_values.max(1))
            .enumerate()
            .for_each(|(y, row)| {
                let lines = edge(y, height, rows)..edge(y + 1, height, rows).max(edge(y, height, rows) + 1);
                for (x, mean) in row.chunks_exact_mut(3).enumerate() {
                    let places = edge(x, width, columns)..edge(x + 1, width, columns).max(edge(x, width, columns) + 1);
                    let count = (lines.len() * places.len()) as f32;
                    for line in lines.clone() {
                        let start = line * width as usize;
                        let pixels = &scene.as_raw()[3 * (start + places.start)..3 * (start + places.end)];
                        for pixel in pixels.chunks_exact(3) {
                            mean.iter_mut()
                                .zip(pixel)
                                .for_each(|(mean, value)| *mean += value / count);
                        }
                    }
                }
            });
        let scale = (width as f32 / columns.max(1) as f32, height as f32 / rows.max(1) as f32);
        Self { image, scale }
    }

    /// Light from a place of the scene in pixels, which is mirrored at its borders.
    fn at(&self, x: f32, y: f32) -> [f32; 3] {
        let (columns, rows) = self.image.dimensions();
        let place = |at: f32, scale: f32, size: u32| {
            let size = size as f32;
            let at = mirrored(at / scale, size) - 0.5;
            let at = at.clamp(0.0, size - 1.0);
            let low = at as u32;
            (low, (low + 1).min(size as u32 - 1), at - low as f32)
        };
        let (left, right, across) = place(x, self.scale.0, columns);
        let (top, bottom, down) = place(y, self.scale.1, rows);
        let pixel = |x, y| self.image.get_pixel(x, y).0;
        let corners = [
            pixel(left, top),
            pixel(right, top),
            pixel(left, bottom),
            pixel(right, bottom),
        ];
        std::array::from_fn(|c| {
            let upper = corners[0][c] + across * (corners[1][c] - corners[0][c]);
            let lower = corners[2][c] + across * (corners[3][c] - corners[2][c]);
            upper + down * (lower - upper)
        })
    }
}

/// A place in `0..size`, what lies beyond being mirrored at the borders.
fn mirrored(at: f32, size: f32) -> f32 {
    let round = at - (at / (2.0 * size)).floor() * 2.0 * size;
    round.min(2.0 * size - round)
}

/// The glass with its drops before the scene.
pub(super) struct Glass<'a> {
    pub(super) drops: &'a [Drop],
    pub(super) view: View,
    pub(super) focal_px: f32,
    pub(super) glint: f32,
}

impl Glass<'_> {
    /// Calls `meet` with the column and what is met there, drop by drop, for each pixel of row `y` that a drop touches; pixels
    /// are `pixel` pixels of the scene wide, and `width` of them are in a row.
    fn along_row(&self, y: usize, width: usize, pixel: f32, mut meet: impl FnMut(usize, &Met)) {
        let middle = (y as f32 + 0.5) * pixel;
        for drop in self.drops {
            let (reach, below) = (drop.reach() + pixel, middle - drop.centre.1);
            if below.abs() > reach {
                continue;
            }
            let first = ((drop.centre.0 - reach) / pixel).max(0.0) as usize;
            let end = (((drop.centre.0 + reach) / pixel).max(0.0) as usize + 1).min(width);
            for x in first..end {
                if let Some(met) = drop.at((x as f32 + 0.5) * pixel - drop.centre.0, below, pixel) {
                    meet(x, &met);
                }
            }
        }
    }

    /// Light from what is met at a place of the scene in pixels.
    fn light(&self, x: f32, y: f32, met: &Met) -> [f32; 3] {
        let bent = met.bend * self.focal_px;
        let through = self.view.at(x + bent * met.towards.0, y + bent * met.towards.1);
        through.map(|through| through * met.passes + self.glint * met.glint)
    }

    /// How far away from each pixel lies what is seen there through the drops, to the right and down, and how much drops cover
    /// it; all as if the glass were in focus.
    pub(super) fn maps(&self, width: usize, height: usize) -> Vec<(&'static str, Plane)> {
        let map = |of: fn(f32, &Met) -> f32| {
            Plane::from_rows(width, height, |y, row| {
                self.along_row(y, width, 1.0, |x, met| {
                    row[x] += met.cover * (of(met.bend * self.focal_px, met) - row[x]);
                });
            })
        };
        vec![
            ("coverage", map(|_, _| 1.0)),
            ("displacement_x_px", map(|bent, met| bent * met.towards.0)),
            ("displacement_y_px", map(|bent, met| bent * met.towards.1)),
        ]
    }
}

/// Light and cover of all drops, out of focus: red, green, blue times cover, and cover.
pub(super) struct Layer {
    columns: usize,
    rows: usize,
    /// Pixels of the scene per pixel of the layer.
    scale: f32,
    values: Vec<[f32; 4]>,
}

impl Layer {
    pub(super) fn of(glass: &Glass<'_>, (width, height): (usize, usize), confusion_px: f32) -> Self {
        let scale = (confusion_px / LAYER_CONFUSION_PX).floor().max(1.0);
        let along = |size: usize| (size as f32 / scale).ceil() as usize;
        let (columns, rows) = (along(width), along(height));
        let mut values = vec![[0.0; 4]; columns * rows];
        values.par_chunks_mut(columns.max(1)).enumerate().for_each(|(y, row)| {
            glass.along_row(y, columns, scale, |x, met| {
                let [red, green, blue] = glass.light((x as f32 + 0.5) * scale, (y as f32 + 0.5) * scale, met);
                for (value, own) in row[x].iter_mut().zip([red, green, blue, 1.0]) {
                    *value += met.cover * (own - *value);
                }
            });
        });
        let sharp = Self {
            columns,
            rows,
            scale,
            values,
        };
        sharp.defocused(0.5 * confusion_px / scale)
    }

    /// The layer under a disc of a radius in its pixels; beyond the border its edge continues.
    fn defocused(&self, radius: f32) -> Self {
        let reach = radius.ceil() as isize;
        let weight = |x: isize, y: isize| (radius + 0.5 - ((x * x + y * y) as f32).sqrt()).clamp(0.0, 1.0);
        let side = -reach..=reach;
        let taps: Vec<_> = side
            .clone()
            .flat_map(|y| side.clone().map(move |x| (x, y, weight(x, y))))
            .collect();
        let sum: f32 = taps.iter().map(|tap| tap.2).sum();
        let clamped = |at: isize, size: usize| at.clamp(0, size as isize - 1) as usize;
        let mut values = vec![[0.0; 4]; self.values.len()];
        values
            .par_chunks_mut(self.columns.max(1))
            .enumerate()
            .for_each(|(y, row)| {
                for (dx, dy, weight) in taps.iter().filter(|tap| tap.2 > 0.0) {
                    let from = clamped(y as isize + dy, self.rows) * self.columns;
                    for (x, value) in row.iter_mut().enumerate() {
                        let other = self.values[from + clamped(x as isize + dx, self.columns)];
                        value
                            .iter_mut()
                            .zip(other)
                            .for_each(|(value, other)| *value += weight / sum * other);
                    }
                }
            });
        Self { values, ..*self }
    }

    /// What each pixel of the scene keeps of its light, and the light of drops.
    pub(super) fn enlarged(&self, width: usize, height: usize) -> (Plane, Rgb32FImage) {
        let mut keep = Plane::filled(width, height, 1.0);
        let mut light = Rgb32FImage::new(width as u32, height as u32);
        let place = |at: usize, size: usize| {
            let at = ((at as f32 + 0.5) / self.scale - 0.5).clamp(0.0, size as f32 - 1.0);
            (at as usize, (at as usize + 1).min(size - 1), at - (at as usize) as f32)
        };
        let lights = light.as_mut().par_chunks_mut((3 * width).max(1));
        let rows = keep.values.par_chunks_mut(width.max(1)).zip(lights);
        rows.enumerate().for_each(|(y, (keep, light))| {
            let (top, bottom, down) = place(y, self.rows);
            let line = |row: usize| &self.values[row * self.columns..(row + 1) * self.columns];
            let (top, bottom) = (line(top), line(bottom));
            for (x, (keep, light)) in keep.iter_mut().zip(light.chunks_exact_mut(3)).enumerate() {
                let (left, right, across) = place(x, self.columns);
                let mixed = |c: usize| {
                    let upper = top[left][c] + across * (top[right][c] - top[left][c]);
                    let lower = bottom[left][c] + across * (bottom[right][c] - bottom[left][c]);
                    upper + down * (lower - upper)
                };
                *keep = 1.0 - mixed(3);
                light.iter_mut().enumerate().for_each(|(c, value)| *value = mixed(c));
            }
        });
        (keep, light)
    }
}
