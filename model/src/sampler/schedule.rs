//! Noise levels of a run.

/// Timesteps that SD3 was trained on.
const TRAIN_TIMESTEPS: f64 = 1000.0;

/// SD3's resolution shift of a noise level (Esser et al. 2024, section 5.3.2): `s sigma / (1 + (s - 1) sigma)`.
pub fn shifted(sigma: f64, shift: f64) -> f64 {
    shift * sigma / (1.0 + (shift - 1.0) * sigma)
}

/// The noise level that [`shifted`] turns into `sigma`.
fn unshifted(sigma: f64, shift: f64) -> f64 {
    sigma / (shift - (shift - 1.0) * sigma)
}

/// The `steps + 1` noise levels of a run, 1 first and 0 last.
///
/// As diffusers' `FlowMatchEulerDiscreteScheduler.set_timesteps`: evenly spaced between the largest and the smallest
/// *shifted* training level, then shifted once more.
pub fn sigmas(steps: usize, shift: f64) -> Vec<f32> {
    sigmas_from(1.0, steps, shift)
}

/// As [`sigmas`], but from `first_sigma` (above 0, at most 1) down: as many steps, which are the finer for it. diffusers'
/// image-to-image pipelines leave out the steps above it instead.
pub fn sigmas_from(first_sigma: f32, steps: usize, shift: f64) -> Vec<f32> {
    let (first, smallest) = (
        unshifted(f64::from(first_sigma), shift),
        shifted(1.0 / TRAIN_TIMESTEPS, shift),
    );
    // Below the smallest level of the training the steps are even, as the levels must fall.
    let last = if first > smallest {
        smallest
    } else {
        first / steps as f64
    };
    let at = |i: usize| {
        if steps == 1 {
            first
        } else {
            first + (last - first) * i as f64 / (steps - 1) as f64
        }
    };
    (0..steps).map(|i| shifted(at(i), shift) as f32).chain([0.0]).collect()
}

/// The timestep, 0 to 1000, that the network is told for a noise level.
pub fn timestep(sigma: f32) -> f32 {
    sigma * TRAIN_TIMESTEPS as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_fall_from_one_to_zero() {
        for steps in [1, 2, 20, 50] {
            let levels = sigmas(steps, 3.0);
            assert_eq!(levels.len(), steps + 1);
            assert!((levels[0] - 1.0).abs() < 1e-6 && levels[steps] == 0.0);
            assert!(levels.windows(2).all(|w| w[0] > w[1]), "{levels:?}");
        }
    }

    #[test]
    fn a_later_start_has_as_many_levels_and_the_same_end() {
        for (first_sigma, steps) in [(0.999, 20), (0.5, 20), (0.01, 7), (0.004, 5), (1e-4, 20), (0.3, 1)] {
            let levels = sigmas_from(first_sigma, steps, 3.0);
            assert_eq!((levels.len(), levels[steps]), (steps + 1, 0.0));
            assert!((levels[0] - first_sigma).abs() < 1e-6, "{levels:?}");
            assert!(levels.windows(2).all(|w| w[0] > w[1]), "{levels:?}");
        }
        let (whole, later) = (sigmas(20, 3.0), sigmas_from(0.5, 20, 3.0));
        assert!(
            (whole[19] - later[19]).abs() < 1e-7,
            "the last level before 0 is the training's smallest"
        );
    }
}
