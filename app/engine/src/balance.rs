//! What alpha and beta of the initial noise equation `latents = alpha * noise + beta * scene` amount to.
//!
//! Noise and scene latents have unit variance each, so the two weights are their standard deviations.

pub use mdsd3_model::sampler::initial::noise_share;

/// Signal-to-noise ratio of the initial latents in decibels, `20 log10(beta / alpha)`; `None` when one of them is 0, as
/// there is then no scene or no noise to compare.
pub fn snr_db(alpha: f32, beta: f32) -> Option<f32> {
    (alpha > 0.0 && beta > 0.0).then(|| 20.0 * (beta / alpha).log10())
}

/// Standard deviation of the initial latents, `sqrt(alpha² + beta²)`; a start at sigma 1 expects 1.
pub fn latent_scale(alpha: f32, beta: f32) -> f32 {
    alpha.hypot(beta)
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
    fn without_noise_or_scene_there_is_no_ratio() {
        assert_eq!((snr_db(0.0, 1.0), snr_db(1.0, 0.0)), (None, None));
    }
}
