//! Depth without weights.
//!
//! The scene is understood in a reduced photo, so that a photo of 256 pixels and one of 12 megapixels give the same depth, and
//! only the last step looks at the photo's own pixels:
//!
//! 1. the sky: above an edge in each column (Shen and Wang 2013), then by what sky and land look like ([`sky`], [`likeness`]);
//! 2. the ground: a plane up to the horizon, which lies no higher than the lowest sky ([`ground`]);
//! 3. what stands on it: segments (Felzenszwalb and Huttenlocher 2004) that rise above the horizon are as far as their foot
//!    (Hoiem et al. 2005);
//! 4. haze that is in the photo already: in open land, what is veiled in blue is farther ([`aerial`]; He et al. 2009);
//! 5. edges: the guided filter (He et al. 2010) fits sky and depth to the photo's edges, and its linear functions are applied
//!    at full size (fast guided filter, He and Sun 2015).
//!
//! Distances are relative: the middle of what isn't sky is put at [`MEDIAN_METRES`].

mod aerial;
mod columns;
mod filters;
mod ground;
mod likeness;
mod segments;
mod sky;

use image::Rgb32FImage;
use rayon::prelude::*;

use super::{DepthSource, MEDIAN_METRES, SceneDepth};
use crate::plane::Plane;
use aerial::farther_by_haze;
use filters::{Guide, Linear, exp, reduced, zip};
use ground::{Ground, standing};
use segments::segments;
use sky::{Behind, behind};

/// Longer side of the reduced photo that the scene is understood in, in pixels.
const WORKING_SIDE: usize = 128;
/// Nearest and farthest over the median distance, as natural logarithms: a quarter, and about nine times.
const RANGE: (f32, f32) = (-1.4, 2.2);
/// How much farther the blurred background of a close-up is than its subject, as a natural logarithm.
const BACKDROP: f32 = 0.9;

/// Guesses a scene's depth from its pixels (sRGB-encoded, `0..=1`).
pub fn estimate(scene: &Rgb32FImage) -> SceneDepth {
    let (width, height) = (scene.width() as usize, scene.height() as usize);
    let (mut metres, mut sky) = (Plane::filled(width, height, 0.0), Plane::filled(width, height, 0.0));
    if width > 0 && height > 0 {
        let colour = reduced(scene, WORKING_SIDE);
        let (depth, share) = understood(&colour);
        let longer = depth.width.max(depth.height);
        let guide = Guide::new(&colour, (longer / 48).max(1), 3e-4);
        let linear = rayon::join(|| guide.fit(&depth), || guide.fit(&share));
        full_size(scene, &[linear.0, linear.1], &mut metres, &mut sky);
    }
    SceneDepth {
        metres,
        sky,
        source: DepthSource::Estimate,
        notes: Vec::new(),
    }
}

/// The natural logarithm of distance over the median, and the sky's share, at working size.
fn understood(colour: &filters::Colour) -> (Plane, Plane) {
    let (width, height) = (colour[0].width, colour[0].height);
    let segments = segments(colour, 1.0, (width * height / 400) as u32);
    let none = || Plane::filled(width, height, 0.0);
    let (mut depth, sky) = match behind(colour, &segments) {
        Behind::Sky(sky) => {
            let ground = Ground::below(&sky, &colour[1]);
            let standing = standing(&ground, &segments, colour, &sky);
            let receding = 1.0 - ground.upright;
            let hazy = farther_by_haze(colour, &segments, &sky);
            (zip(&standing, &hazy, |depth, farther| depth + receding * farther), sky)
        }
        Behind::Backdrop(backdrop) => {
            let slope = Ground::without_sky().slope(width, height, 0.3);
            (zip(&slope, &backdrop, |slope, share| slope + BACKDROP * share), none())
        }
        Behind::Nothing => {
            let strength = ground::receding(&colour[1]);
            (Ground::without_sky().slope(width, height, strength), none())
        }
    };
    let seen = depth.values.iter().zip(&sky.values).filter(|(_, sky)| **sky < 0.5);
    let mut seen: Vec<f32> = seen.map(|(depth, _)| *depth).collect();
    let place = seen.len() / 2;
    let middle = if seen.is_empty() {
        0.0
    } else {
        *seen.select_nth_unstable_by(place, f32::total_cmp).1
    };
    depth
        .values
        .iter_mut()
        .for_each(|depth| *depth = (*depth - middle).clamp(RANGE.0, RANGE.1));
    (depth, sky)
}

/// Depth and sky at the scene's size: the linear functions of its pixels' colours, interpolated between those of the reduced
/// photo.
fn full_size(scene: &Rgb32FImage, linear: &[Linear; 2], metres: &mut Plane, sky: &mut Plane) {
    let (width, height) = (metres.width, metres.height);
    let planes: Vec<&Plane> = linear.iter().flat_map(|linear| &linear.planes).collect();
    let (columns, rows) = (planes[0].width, planes[0].height);
    let between = |at: usize, side: usize, small: usize| {
        let place = ((at as f32 + 0.5) * small as f32 / side as f32 - 0.5).clamp(0.0, (small - 1) as f32);
        (place as usize, (place as usize + 1).min(small - 1), place.fract())
    };
    let places: Vec<(usize, usize, f32)> = (0..width).map(|x| between(x, width, columns)).collect();
    let out = metres
        .values
        .par_chunks_mut(width)
        .zip(sky.values.par_chunks_mut(width));
    out.enumerate().for_each(|(y, (metres, sky))| {
        let (top, bottom, share) = between(y, height, rows);
        let mut functions = vec![[0.0_f32; 8]; columns];
        for (k, plane) in planes.iter().enumerate() {
            let pairs = plane.row(top).iter().zip(plane.row(bottom));
            for (function, (above, below)) in functions.iter_mut().zip(pairs) {
                function[k] = above + (below - above) * share;
            }
        }
        let pixels = scene.as_raw()[3 * y * width..3 * (y + 1) * width].chunks_exact(3);
        let out = metres.iter_mut().zip(sky.iter_mut());
        for (((metres, sky), (left, right, share)), pixel) in out.zip(&places).zip(pixels) {
            let (a, b) = (&functions[*left], &functions[*right]);
            let at = |k: usize| a[k] + (b[k] - a[k]) * share;
            let [red, green, blue] = [0, 1, 2].map(|c: usize| pixel[c].clamp(0.0, 1.0));
            let depth = at(0) * red + at(1) * green + at(2) * blue + at(3);
            let cover = at(4) * red + at(5) * green + at(6) * blue + at(7);
            *metres = MEDIAN_METRES * exp(depth.clamp(RANGE.0, RANGE.1));
            *sky = ((cover - 0.15) / 0.7).clamp(0.0, 1.0);
        }
    });
}

#[cfg(test)]
mod tests;
