//! The initial latents: `alpha * noise + beta * scene`.

use candle_core::{Result, Tensor};

/// What the sum of alpha and beta does to the scale of the initial latents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Regime {
    /// `alpha + beta < 1`: less than the scale the network was trained on.
    Below,
    /// `alpha + beta = 1`: the scale is kept, but the degradation weakens as noise falls.
    Unit,
    /// `alpha + beta > 1`: the degradation keeps its strength while the scene's colours stay.
    Above,
}

impl Regime {
    /// The regime of a pair; sums within 0.001 of 1 count as 1.
    pub fn of(alpha: f32, beta: f32) -> Self {
        match alpha + beta - 1.0 {
            d if d.abs() < 1e-3 => Self::Unit,
            d if d < 0.0 => Self::Below,
            _ => Self::Above,
        }
    }

    /// One line for people.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Below => "alpha + beta < 1: fainter start than in training, results turn soft",
            Self::Unit => "alpha + beta = 1: scale kept; more scene means a weaker degradation",
            Self::Above => "alpha + beta > 1: stronger start; the degradation holds while the scene's colours stay",
        }
    }
}

/// Initial latents of a run (the notes' noise equation; with beta > 0 results keep the scene's colour structure).
///
/// # Shapes
/// `noise: [lanes, channels, height, width]`, `scene_latents: [1, channels, height, width]`, result like `noise`.
pub fn initial_latents(noise: &Tensor, scene_latents: &Tensor, alpha: f32, beta: f32) -> Result<Tensor> {
    (noise * f64::from(alpha))?.broadcast_add(&(scene_latents * f64::from(beta))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn every_regime_has_its_name_and_its_scale() {
        let noise = Tensor::new(&[[[[1f32, -2.0]]]], &Device::Cpu).unwrap();
        let scene = Tensor::new(&[[[[0.5f32, 4.0]]]], &Device::Cpu).unwrap();
        for (alpha, beta, regime) in [
            (0.5, 0.2, Regime::Below),
            (0.7, 0.3, Regime::Unit),
            (1.0, 0.4, Regime::Above),
        ] {
            assert_eq!(Regime::of(alpha, beta), regime);
            let x = initial_latents(&noise, &scene, alpha, beta)
                .unwrap()
                .flatten_all()
                .unwrap()
                .to_vec1::<f32>()
                .unwrap();
            assert!((x[0] - (alpha + 0.5 * beta)).abs() < 1e-6 && (x[1] - (4.0 * beta - 2.0 * alpha)).abs() < 1e-6);
        }
    }
}
