//! When a band forms: its energy as a share of the final one, and the noise level at which it gets there.

/// Where on a trajectory something has happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FormedAt {
    /// Noise level, interpolated linearly between steps.
    pub sigma: f64,
    /// Step, counted from 0, interpolated linearly.
    pub step: f64,
    /// Log signal-to-noise ratio at that sigma, see [`log_snr`].
    pub log_snr: f64,
    /// The share was reached at the first step already, so `sigma` is only a lower bound of when.
    pub at_start: bool,
}

/// Natural logarithm of the signal-to-noise ratio of `x_t = (1 - sigma) x0 + sigma noise`: `2 ln((1 - sigma) / sigma)`,
/// minus infinity at sigma 1 and infinity at 0.
pub fn log_snr(sigma: f64) -> f64 {
    2.0 * ((1.0 - sigma) / sigma).ln()
}

/// Energies as shares of the last one; all NaN when there is none.
pub fn share_of_final(energies: &[f64]) -> Vec<f64> {
    let last = energies.last().copied().unwrap_or(0.0);
    energies
        .iter()
        .map(|energy| if last > 0.0 { energy / last } else { f64::NAN })
        .collect()
}

/// Where a share rises through `threshold` for good: the last crossing, interpolated linearly, as early predictions can
/// overshoot and fall again. `None` when a share is NaN or the last one is below the threshold.
///
/// # Arguments
/// - `sigmas`: noise level of each step, falling
/// - `shares`: of each step, from [`share_of_final`]
pub fn formed_at(sigmas: &[f32], shares: &[f64], threshold: f64) -> Option<FormedAt> {
    if sigmas.len() != shares.len() || shares.iter().any(|share| share.is_nan()) || *shares.last()? < threshold {
        return None;
    }
    let Some(below) = shares.iter().rposition(|share| *share < threshold) else {
        return Some(at(sigmas, 0, 0.0, true));
    };
    let fraction = (threshold - shares[below]) / (shares[below + 1] - shares[below]);
    Some(at(sigmas, below, fraction, false))
}

fn at(sigmas: &[f32], step: usize, fraction: f64, at_start: bool) -> FormedAt {
    let (here, next) = (
        f64::from(sigmas[step]),
        f64::from(*sigmas.get(step + 1).unwrap_or(&sigmas[step])),
    );
    let sigma = here + (next - here) * fraction;
    FormedAt {
        sigma,
        step: step as f64 + fraction,
        log_snr: log_snr(sigma),
        at_start,
    }
}

/// Spectral slope: exponent `b` of power proportional to `radius^b`, least squares over the logarithms of a radial
/// average. -2 for natural images, 0 for white noise. `None` for fewer than two radii with power.
pub fn spectral_slope(radial: &[(f32, f32)]) -> Option<f64> {
    let points = radial.iter().filter(|(radius, power)| *radius > 0.0 && *power > 0.0);
    let points: Vec<(f64, f64)> = points
        .map(|(r, p)| (f64::from(*r).log10(), f64::from(*p).log10()))
        .collect();
    let count = points.len() as f64;
    let (mean_x, mean_y) = points
        .iter()
        .fold((0.0, 0.0), |sum, p| (sum.0 + p.0 / count, sum.1 + p.1 / count));
    let spread: f64 = points.iter().map(|p| (p.0 - mean_x).powi(2)).sum();
    let product: f64 = points.iter().map(|p| (p.0 - mean_x) * (p.1 - mean_y)).sum();
    (spread > 0.0).then(|| product / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGMAS: [f32; 5] = [1.0, 0.8, 0.6, 0.4, 0.1];

    #[test]
    fn formed_at_interpolates_between_steps() {
        let shares = share_of_final(&[0.0, 1.0, 2.0, 6.0, 8.0]);
        assert_eq!(shares, [0.0, 0.125, 0.25, 0.75, 1.0]);
        let half = formed_at(&SIGMAS, &shares, 0.5).expect("it is reached");
        assert!((half.sigma - 0.5).abs() < 1e-6 && (half.step - 2.5).abs() < 1e-9 && !half.at_start);
        assert!(half.log_snr.abs() < 1e-6, "signal and noise are equal at sigma 0.5");
        let tenth = formed_at(&SIGMAS, &shares, 0.1).expect("it is reached");
        assert!((tenth.sigma - 0.84).abs() < 1e-6, "{tenth:?}");
    }

    #[test]
    fn an_overshoot_does_not_count_and_a_head_start_is_said() {
        let shares = [0.2, 1.5, 0.25, 0.75, 1.0];
        assert!((formed_at(&SIGMAS, &shares, 0.5).expect("reached").step - 2.5).abs() < 1e-9);
        let start = formed_at(&SIGMAS, &[0.7, 0.8, 0.9, 1.0, 1.0], 0.5).expect("reached");
        assert!(start.at_start && (start.sigma - 1.0).abs() < 1e-9 && start.log_snr == f64::NEG_INFINITY);
    }

    #[test]
    fn a_band_without_energy_never_forms() {
        assert!(formed_at(&SIGMAS, &share_of_final(&[1.0, 0.0, 0.0, 0.0, 0.0]), 0.5).is_none());
        assert!(formed_at(&[], &[], 0.5).is_none());
    }

    #[test]
    fn the_slope_of_a_power_law_is_its_exponent() {
        let radial: Vec<(f32, f32)> = (1..50)
            .map(|i| (i as f32 / 100.0, 3.0 * (i as f32 / 100.0).powf(-2.0)))
            .collect();
        assert!((spectral_slope(&radial).expect("many points") + 2.0).abs() < 1e-5);
        assert!(spectral_slope(&radial[..1]).is_none() && spectral_slope(&[]).is_none());
    }
}
