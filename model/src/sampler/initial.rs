//! The initial latents: `alpha * noise + beta * scene`.

use candle_core::{Result, Tensor};

/// Initial latents of a run (the notes' noise equation; with beta > 0 results keep the scene's colour structure).
///
/// # Shapes
/// `noise: [lanes, channels, height, width]`, `scene_latents: [1, channels, height, width]`, result like `noise`.
///
/// # Errors
/// Tensors of other shapes.
pub fn initial_latents(noise: &Tensor, scene_latents: &Tensor, alpha: f32, beta: f32) -> Result<Tensor> {
    (noise * f64::from(alpha))?.broadcast_add(&(scene_latents * f64::from(beta))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn every_weight_has_its_part() {
        let noise = Tensor::new(&[[[[1f32, -2.0]]]], &Device::Cpu).unwrap();
        let scene = Tensor::new(&[[[[0.5f32, 4.0]]]], &Device::Cpu).unwrap();
        for (alpha, beta) in [(0.5, 0.2), (0.7, 0.3), (1.0, 0.4)] {
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
