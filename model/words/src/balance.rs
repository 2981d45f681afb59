//! What alpha and beta of the initial noise equation `latents = alpha * noise + beta * scene` amount to.
//!
//! Noise and scene latents have unit variance each, so the two weights are their standard deviations.

/// Share of the noise in the initial latents, `alpha / (alpha + beta)`: the sigma at which a run that ends in this scene
/// has as much noise. 1 when both are 0.
pub fn noise_share(alpha: f32, beta: f32) -> f32 {
    let sum = alpha + beta;
    if sum > 0.0 { alpha / sum } else { 1.0 }
}

/// Signal-to-noise ratio of the initial latents in decibels, `20 log10(beta / alpha)`; `None` when one of them is 0, as
/// there is then no scene or no noise to compare.
pub fn snr_db(alpha: f32, beta: f32) -> Option<f32> {
    (alpha > 0.0 && beta > 0.0).then(|| 20.0 * (beta / alpha).log10())
}

/// Standard deviation of the initial latents, `sqrt(alpha² + beta²)`; a start at sigma 1 expects 1.
pub fn latent_scale(alpha: f32, beta: f32) -> f32 {
    alpha.hypot(beta)
}

/// Where alpha + beta of the initial noise equation `latents = alpha * noise + beta * scene` stands against 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Regime {
    /// alpha + beta < 1.
    Damped,
    /// alpha + beta = 1.
    Balanced,
    /// alpha + beta > 1.
    Boosted,
}

impl Regime {
    /// The regime of a pair; sums within 1e-4 of 1 count as 1, since sliders and decimal fractions don't meet it exactly.
    pub fn of(alpha: f32, beta: f32) -> Self {
        let excess = f64::from(alpha) + f64::from(beta) - 1.0;
        if excess.abs() <= 1e-4 {
            Self::Balanced
        } else if excess < 0.0 {
            Self::Damped
        } else {
            Self::Boosted
        }
    }

    /// Its condition, as the studio and the CLI name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Damped => "alpha + beta < 1",
            Self::Balanced => "alpha + beta = 1",
            Self::Boosted => "alpha + beta > 1",
        }
    }

    /// What it does to a result, in one line.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Damped => "less energy than the sampler expects: smoother, weaker degradation",
            Self::Balanced => "keeps the scale of the latents; degradation weakens as noise gives way to the scene",
            Self::Boosted => {
                "keeps the noise at strength beside the scene: degradation stays strong, colours follow the scene"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_are_zero_decibels() {
        assert_eq!(snr_db(0.5, 0.5), Some(0.0));
        assert!((snr_db(1.0, 0.1).expect("both are there") + 20.0).abs() < 1e-4);
        assert!((latent_scale(0.6, 0.8) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_noise_share_is_a_sigma() {
        assert!((noise_share(0.5, 0.5) - 0.5).abs() < 1e-6);
        assert!((noise_share(1.2, 0.4) - 0.75).abs() < 1e-6);
        assert_eq!(
            (noise_share(1.0, 0.0), noise_share(0.0, 1.0), noise_share(0.0, 0.0)),
            (1.0, 0.0, 1.0)
        );
    }

    #[test]
    fn the_regime_tolerates_decimal_fractions() {
        assert_eq!(Regime::of(0.7, 0.3), Regime::Balanced);
        assert_eq!(Regime::of(0.1, 0.2), Regime::Damped);
        assert_eq!(Regime::of(1.0, 0.2), Regime::Boosted);
    }

    #[test]
    fn without_noise_or_scene_there_is_no_ratio() {
        assert_eq!((snr_db(0.0, 1.0), snr_db(1.0, 0.0)), (None, None));
    }
}
