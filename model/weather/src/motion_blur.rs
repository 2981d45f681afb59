//! Motion blur: the camera shakes while it exposes.
//!
//! The camera's direction wanders on a random path: it starts somewhere, is pulled back, trembles and now and then
//! jerks (Boracchi and Foi 2012, "Modeling the performance of image restoration from motion blur"; Kupyn
//! et al. 2018, algorithm 1). The kernel is the share of the exposure that the path spends at each place, and acts on
//! linear light. The path's extent is an angle, so its length in pixels follows the focal length: 1.6 degrees at
//! severity 1. A seed's path keeps its shape at every severity.

use std::f32::consts::TAU;

use mdsd3_words::weather::Space;
use serde::Serialize;

use crate::canvas::Canvas;
use crate::kernel::Kernel;
use crate::layers::Operation;
use crate::shot::Shot;
use crate::stream::Stream;

/// Extent of the path at severity 1 in focal lengths, as `tan 1.6 degrees`.
const EXTENT_AT_ONE: f32 = 0.028;
/// Steps of the path.
const STEPS: usize = 256;
/// Standard deviation of what trembling adds to the velocity over the exposure; the initial velocity is 1.
const TREMBLING: (f32, f32) = (0.2, 2.0);
/// Pull back to where the path started, per extent and exposure squared.
const PULL: (f32, f32) = (0.0, 6.0);
/// Jerks expected during the exposure, each of which turns the path round.
const JERKS: (f32, f32) = (0.0, 1.5);
/// Samples of the path that are put into the kernel are at most this far apart, in pixels.
const SPACING_PX: f32 = 0.25;

/// What was drawn for one image.
#[derive(Debug, Clone, Serialize)]
pub struct MotionBlurParameters {
    /// Severity asked for.
    pub severity: f32,
    /// Longest distance between two places of the path, in pixels.
    pub extent_px: f32,
    /// The same as an angle.
    pub extent_degrees: f32,
    /// Columns of the kernel.
    pub kernel_width_px: usize,
    /// Rows of the kernel.
    pub kernel_height_px: usize,
}

/// Blurs by the kernel of a path.
pub(super) fn apply(
    canvas: &mut Canvas<'_>,
    shot: &Shot<'_>,
    severity: f32,
    mut stream: Stream,
) -> MotionBlurParameters {
    let extent_px = severity * EXTENT_AT_ONE * shot.camera.focal_px;
    let path = draw_path(&mut stream);
    let kernel = kernel_of(&path, extent_px);
    let parameters = MotionBlurParameters {
        severity,
        extent_px,
        extent_degrees: libm::atanf(severity * EXTENT_AT_ONE).to_degrees(),
        kernel_width_px: kernel.width,
        kernel_height_px: kernel.height,
    };
    let operation = Operation::Convolve(kernel);
    canvas.apply(("motion_blur", "shake"), Space::Linear, operation, Vec::new());
    parameters
}

/// Places at equal times, their mean at the origin and the farthest two of them 1 apart.
fn draw_path(stream: &mut Stream) -> Vec<(f32, f32)> {
    let (trembling, pull, jerks) = (stream.within(TREMBLING), stream.within(PULL), stream.within(JERKS));
    let step = 1.0 / STEPS as f32;
    let (sin, cos) = libm::sincosf(TAU * stream.unit());
    let (mut velocity, mut place) = ((cos, sin), (0.0, 0.0));
    let mut path = Vec::with_capacity(STEPS);
    for _ in 0..STEPS {
        path.push(place);
        let (right, down) = stream.normal_pair();
        let force = |push: f32, at: f32| trembling * step.sqrt() * push - pull * step * at;
        velocity = (velocity.0 + force(right, place.0), velocity.1 + force(down, place.1));
        // What is drawn for a jerk is used up alike.
        let (chance, turn) = (stream.unit(), stream.between(0.35, 0.65));
        if chance < jerks * step {
            let (sin, cos) = libm::sincosf(TAU * turn);
            velocity = (cos * velocity.0 - sin * velocity.1, sin * velocity.0 + cos * velocity.1);
        }
        place = (place.0 + step * velocity.0, place.1 + step * velocity.1);
    }
    let count = path.len() as f32;
    let mean = path
        .iter()
        .fold((0.0, 0.0), |sum, at| (sum.0 + at.0 / count, sum.1 + at.1 / count));
    let extent = path
        .iter()
        .flat_map(|a| path.iter().map(move |b| distance(*a, *b)))
        .fold(f32::MIN_POSITIVE, f32::max);
    path.iter()
        .map(|at| ((at.0 - mean.0) / extent, (at.1 - mean.1) / extent))
        .collect()
}

fn distance(a: (f32, f32), b: (f32, f32)) -> f32 {
    ((a.0 - b.0) * (a.0 - b.0) + (a.1 - b.1) * (a.1 - b.1)).sqrt()
}

/// The time spent at each pixel by a path that is `extent_px` long; between pixels it is shared out bilinearly.
fn kernel_of(path: &[(f32, f32)], extent_px: f32) -> Kernel {
    let path: Vec<_> = path.iter().map(|at| (at.0 * extent_px, at.1 * extent_px)).collect();
    let reach = |along: fn(&(f32, f32)) -> f32| path.iter().map(along).fold(0.0_f32, |far, at| far.max(at.abs()));
    let (half_width, half_height) = (reach(|at| at.0).ceil() as usize, reach(|at| at.1).ceil() as usize);
    let (width, height) = (2 * half_width + 1, 2 * half_height + 1);
    let mut weights = vec![0.0_f64; width * height];
    for ends in path.windows(2) {
        let samples = (distance(ends[0], ends[1]) / SPACING_PX).ceil().max(1.0) as usize;
        for sample in 0..samples {
            let along = (sample as f32 + 0.5) / samples as f32;
            let x = half_width as f32 + ends[0].0 + along * (ends[1].0 - ends[0].0);
            let y = half_height as f32 + ends[0].1 + along * (ends[1].1 - ends[0].1);
            let (left, top) = (x.floor(), y.floor());
            for (column, share_x) in [(left, 1.0 - (x - left)), (left + 1.0, x - left)] {
                for (row, share_y) in [(top, 1.0 - (y - top)), (top + 1.0, y - top)] {
                    if share_x * share_y > 0.0 {
                        weights[row as usize * width + column as usize] +=
                            f64::from(share_x * share_y) / samples as f64;
                    }
                }
            }
        }
    }
    let sum: f64 = weights.iter().sum();
    Kernel {
        width,
        height,
        weights: weights.iter().map(|weight| (weight / sum) as f32).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel's extent along its longest axis is that of the path; its middle stays where it was, so nothing shifts.
    #[test]
    fn kernels_are_as_long_as_stated_and_centred() {
        for seed in 0..20 {
            let path = draw_path(&mut Stream::new(seed, 5, 1.0));
            let kernel = kernel_of(&path, 60.0);
            assert!(kernel.width.max(kernel.height) >= 43 && kernel.width.max(kernel.height) <= 123);
            let sum: f64 = kernel.weights.iter().map(|weight| f64::from(*weight)).sum();
            assert!((sum - 1.0).abs() < 1e-5, "{sum}");
            let mut middle = (0.0, 0.0);
            let mut farthest = 0.0_f64;
            let places: Vec<_> = (0..kernel.weights.len())
                .filter(|i| kernel.weights[*i] > 0.0)
                .map(|i| {
                    (
                        (i % kernel.width) as f64,
                        (i / kernel.width) as f64,
                        f64::from(kernel.weights[i]),
                    )
                })
                .collect();
            for (x, y, weight) in &places {
                middle = (middle.0 + x * weight, middle.1 + y * weight);
                for (other_x, other_y, _) in &places {
                    farthest = farthest.max((x - other_x).hypot(y - other_y));
                }
            }
            let off = (middle.0 - (kernel.width / 2) as f64).hypot(middle.1 - (kernel.height / 2) as f64);
            assert!(off < 0.3, "off its middle by {off} px");
            assert!((58.5..63.0).contains(&farthest), "{farthest} px long");
        }
    }

    #[test]
    fn a_path_without_length_changes_nothing() {
        let kernel = kernel_of(&draw_path(&mut Stream::new(1, 5, 1.0)), 0.0);
        assert_eq!((kernel.width, kernel.height, kernel.weights), (1, 1, vec![1.0]));
    }
}
