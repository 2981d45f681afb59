//! What alpha and beta of the initial noise equation `latents = alpha * noise + beta * scene` amount to.
//!
//! Noise and scene latents have unit variance each, so the two weights are their standard deviations.

/// Signal-to-noise ratio of the initial latents in decibels, `20 log10(beta / alpha)`; `None` when one of them is 0, as
/// there is then no scene or no noise to compare.
pub fn snr_db(alpha: f32, beta: f32) -> Option<f32> {
    (alpha > 0.0 && beta > 0.0).then(|| 20.0 * (beta / alpha).log10())
}

/// Share of the noise in the initial latents, `alpha / (alpha + beta)`: the sigma at which a run that ends in this scene
/// has as much noise. 1 when both are 0.
pub fn noise_share(alpha: f32, beta: f32) -> f32 {
    let sum = alpha + beta;
    if sum > 0.0 { alpha / sum } else { 1.0 }
}

/// Standard deviation of the initial latents, `sqrt(alpha² + beta²)`; the sampler expects 1 at sigma 1.
pub fn latent_scale(alpha: f32, beta: f32) -> f32 {
    alpha.hypot(beta)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_are_zero_decibels_and_half_noise() {
        assert_eq!(snr_db(0.5, 0.5), Some(0.0));
        assert!((noise_share(0.5, 0.5) - 0.5).abs() < 1e-6);
        assert!((snr_db(1.0, 0.1).expect("both are there") + 20.0).abs() < 1e-4);
        assert!((latent_scale(0.6, 0.8) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn without_noise_or_scene_there_is_no_ratio() {
        assert_eq!((snr_db(0.0, 1.0), snr_db(1.0, 0.0)), (None, None));
        assert!((noise_share(0.0, 0.0) - 1.0).abs() < 1e-6);
    }
}
