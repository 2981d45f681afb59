//! Depth without weights.

mod filters;
mod ground;
mod sky;

use image::Rgb32FImage;

use super::{DepthSource, MEDIAN_METRES, SceneDepth};
use crate::plane::Plane;
use filters::{Guide, Linear, reduced};

/// Longer side of the reduced photo that the scene is understood in, in pixels.
const WORKING_SIDE: usize = 160;

/// Guesses a scene's depth from its pixels (sRGB-encoded, `0..=1`).
pub fn estimate(scene: &Rgb32FImage) -> SceneDepth {
    let (width, height) = (scene.width() as usize, scene.height() as usize);
    if width == 0 || height == 0 {
        let none = Plane::filled(width, height, 0.0);
        return SceneDepth {
            metres: none.clone(),
            sky: none,
            source: DepthSource::Estimate,
            notes: Vec::new(),
        };
    }
    let colour = reduced(scene, WORKING_SIDE);
    let (columns, rows) = (colour[0].width, colour[0].height);
    let sky = sky::sky(&colour);
    let horizon = ground::horizon(sky.as_ref());
    let mut depth = Plane::from_rows(columns, rows, |y, row| {
        row.fill(ground::ground((y as f32 + 0.5) / rows as f32, horizon));
    });
    let sky = sky.unwrap_or_else(|| Plane::filled(columns, rows, 0.0));
    let mut seen: Vec<f32> = depth
        .values
        .iter()
        .zip(&sky.values)
        .filter(|(_, s)| **s < 0.5)
        .map(|(d, _)| *d)
        .collect();
    seen.sort_unstable_by(f32::total_cmp);
    let middle = seen.get(seen.len() / 2).copied().unwrap_or(0.0);
    depth
        .values
        .iter_mut()
        .for_each(|d| *d = (*d - middle).clamp(-1.4, 2.1));
    let reach = columns.max(rows);
    let sky = full_size(scene, &Guide::new(&colour, (reach / 40).max(1), 1e-4).fit(&sky));
    let depth = full_size(scene, &Guide::new(&colour, (reach / 20).max(1), 1e-2).fit(&depth));
    SceneDepth {
        metres: Plane::from_rows(width, height, |y, row| {
            for (metres, depth) in row.iter_mut().zip(depth.row(y)) {
                *metres = MEDIAN_METRES * libm::expf(depth.clamp(-1.4, 2.2));
            }
        }),
        sky: Plane::from_rows(width, height, |y, row| {
            for (share, raw) in row.iter_mut().zip(sky.row(y)) {
                *share = ((raw - 0.05) / 0.9).clamp(0.0, 1.0);
            }
        }),
        source: DepthSource::Estimate,
        notes: Vec::new(),
    }
}

/// The filtered plane at the scene's size: its linear functions interpolated, over the scene's own pixels (fast guided
/// filter, He and Sun 2015).
fn full_size(scene: &Rgb32FImage, linear: &Linear) -> Plane {
    let (width, height) = (scene.width() as usize, scene.height() as usize);
    let planes = &linear.planes;
    let (columns, rows) = (planes[0].width, planes[0].height);
    let between = |at: usize, side: usize, small: usize| {
        let place = ((at as f32 + 0.5) * small as f32 / side as f32 - 0.5).clamp(0.0, (small - 1) as f32);
        let index = (place as usize).min(small.saturating_sub(2));
        (index, place - index as f32)
    };
    let places: Vec<(usize, f32)> = (0..width).map(|x| between(x, width, columns)).collect();
    Plane::from_rows(width, height, |y, row| {
        let (top, share) = between(y, height, rows);
        let below = (top + 1).min(rows - 1);
        let mixed: Vec<[f32; 4]> = (0..columns)
            .map(|x| {
                [0, 1, 2, 3].map(|p: usize| {
                    let (a, b) = (planes[p].row(top)[x], planes[p].row(below)[x]);
                    a + (b - a) * share
                })
            })
            .collect();
        let pixels = scene.as_raw()[3 * y * width..].chunks_exact(3);
        for ((value, &(left, share)), pixel) in row.iter_mut().zip(&places).zip(pixels) {
            let (a, b) = (mixed[left], mixed[(left + 1).min(columns - 1)]);
            let at = |p: usize| a[p] + (b[p] - a[p]) * share;
            *value = at(0) * pixel[0] + at(1) * pixel[1] + at(2) * pixel[2] + at(3);
        }
    })
}
