//! What the network's output means, in the one place that sampling and training share.
//!
//! *Velocity*, as in SD3: `v = noise - x0`, so `x0_hat = x_t - sigma v`.
//!
//! *Scene residual*, for small models whose token is wider than they can pass through. Each class has a Gaussian prior
//! of what it does to a scene's latents `s`, fitted per channel to the training pairs: at ratio 1, `x0 ~ N(g s + b, V)`.
//! A mix has the mean `mu = (product of g^m) s + (sum of b (1 - g^m) / (1 - g))` and the variance
//! `V = floor + sum of m² V`, m being the head mask on the class's heads, so an all-zero mask is the scene itself up to
//! the floor. The network sees the noisy residual `y = x_t - (1 - sigma) mu` and corrects its posterior mean (the
//! preconditioning of Karras et al. 2022, table 1, for a flow): with `D = (1 - sigma)² V + sigma²`
//!
//! ```text
//! x0_hat = mu  +  (1 - sigma) V / D * y  +  sigma sqrt(V / D) * network(y / sqrt(D))
//! ```
//!
//! A network that is small for its task hedges: what it samples is fainter and less connected than what it learned from. Sampling may
//! therefore go on from the prior's answer through the network's, by a guidance `w` per latent channel, over 1 in those of luma:
//!
//! ```text
//! x0_hat = prior's + w (network's - prior's)  =  mu + (1 - sigma) V / D * y + w sigma sqrt(V / D) * network(y / sqrt(D))
//! ```
//!
//! How much a network hedges differs between classes, and so does their `w`; a mix's is their mean, weighted by their share of `V`. The
//! floor of `V` is no class's and weighs as 1, so that where a class does next to nothing, next to nothing is strengthened.
//! It is guidance by a bad version of the model (Karras et al. 2024, arXiv:2406.02507, equation 3), the bad version being a silent
//! network, which costs no evaluation. Training knows nothing of it.
//!
//! Every class and channel is thereby asked for an answer of unit variance, so that faint rain is heard as loudly as
//! haze. A silent network would give Gaussian noise with the class's mean and per-channel power: structure (streaks,
//! flakes, depth) is the network's work.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor};

use crate::config::PredictionKind;
use crate::mmdit::class_heads;

/// Variance of the residual that is allowed for even when no class is on, in latent units squared.
pub const VARIANCE_FLOOR: f32 = 1e-3;

/// Above this gain the offset grows linearly with the ratio, as `(1 - g^m) / (1 - g)` does in the limit.
const NEAR_ONE: f32 = 0.98;

/// Gaussian prior of each class per latent channel at ratio 1: `classes` rows of `channels` values each.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassPriors {
    /// Share of the scene's latents that is left, in (0, 1].
    pub gain: Vec<Vec<f32>>,
    /// What is added whatever the scene is.
    pub offset: Vec<Vec<f32>>,
    /// Variance of the rest.
    pub variance: Vec<Vec<f32>>,
}

impl ClassPriors {
    /// From a checkpoint's tensors, `[classes, channels]` each.
    ///
    /// # Shapes
    /// `[classes, channels]` each.
    ///
    /// # Errors
    /// Tensors of other shapes.
    pub fn from_tensors(gain: &Tensor, offset: &Tensor, variance: &Tensor) -> Result<Self> {
        let rows = |t: &Tensor| t.to_dtype(DType::F32)?.to_vec2();
        Ok(Self {
            gain: rows(gain)?,
            offset: rows(offset)?,
            variance: rows(variance)?,
        })
    }

    /// As a checkpoint stores them, by name.
    ///
    /// # Shapes
    /// `[classes, channels]` each.
    ///
    /// # Errors
    /// What the device reports.
    pub fn tensors(&self) -> Result<HashMap<String, Tensor>> {
        let tensor = |rows: &Vec<Vec<f32>>| Tensor::new(rows.clone(), &Device::Cpu);
        Ok(HashMap::from([
            ("prediction.gain".to_owned(), tensor(&self.gain)?),
            ("prediction.offset".to_owned(), tensor(&self.offset)?),
            ("prediction.variance".to_owned(), tensor(&self.variance)?),
        ]))
    }

    /// Mean and mean square of the head mask on each class's heads.
    fn ratios_and_powers(&self, mask: &[f32]) -> Vec<(f32, f32)> {
        let of_heads = |heads: std::ops::Range<usize>| {
            let own = &mask[heads];
            let mean = |f: fn(f32) -> f32| own.iter().map(|&m| f(m)).sum::<f32>() / own.len() as f32;
            (mean(|m| m), mean(|m| m * m))
        };
        class_heads(self.gain.len(), mask.len())
            .into_iter()
            .map(of_heads)
            .collect()
    }

    /// The guidance of one sample's mix, per channel: its classes', weighted by their share of the mix's variance.
    fn guidance_of_mask(&self, guidance: &[Vec<f32>], mask: &[f32]) -> Vec<f32> {
        let each = self.ratios_and_powers(mask);
        let of_channel = |i: usize| {
            let mut sums = (VARIANCE_FLOOR, VARIANCE_FLOOR);
            for (class, (_, power)) in each.iter().enumerate() {
                let variance = power * self.variance[class][i];
                sums = (sums.0 + variance * guidance[class][i], sums.1 + variance);
            }
            sums.0 / sums.1
        };
        (0..self.gain.first().map_or(0, Vec::len)).map(of_channel).collect()
    }

    /// The prior of one sample's mix, per channel.
    fn of_mask(&self, mask: &[f32]) -> MixPrior {
        let channels = self.gain.first().map_or(0, Vec::len);
        let mut prior = MixPrior {
            gain: vec![1.0; channels],
            offset: vec![0.0; channels],
            variance: vec![VARIANCE_FLOOR; channels],
        };
        for (class, (ratio, power)) in self.ratios_and_powers(mask).into_iter().enumerate() {
            for i in 0..channels {
                let gain = self.gain[class][i];
                let left = gain.powf(ratio);
                prior.gain[i] *= left;
                prior.offset[i] += self.offset[class][i]
                    * if gain < NEAR_ONE {
                        (1.0 - left) / (1.0 - gain)
                    } else {
                        ratio
                    };
                prior.variance[i] += power * self.variance[class][i];
            }
        }
        prior
    }

    /// The coefficients of a batch.
    ///
    /// # Shapes
    /// `sigmas`: one per sample; `masks`: one row of heads per sample; each coefficient `[batch, channels, 1, 1]`.
    ///
    /// # Errors
    /// What the device reports.
    pub fn coefficients(
        &self,
        sigmas: &[f32],
        masks: &[Vec<f32>],
        dtype: DType,
        device: &Device,
    ) -> Result<Coefficients> {
        let mut columns: [Vec<f32>; 5] = Default::default();
        for (&sigma, mask) in sigmas.iter().zip(masks) {
            let prior = self.of_mask(mask);
            for (i, &v) in prior.variance.iter().enumerate() {
                let d = (1.0 - sigma).powi(2) * v + sigma * sigma;
                let row = [
                    prior.gain[i],
                    prior.offset[i],
                    (1.0 - sigma) * v / d,
                    sigma * (v / d).sqrt(),
                    1.0 / d.sqrt(),
                ];
                columns
                    .iter_mut()
                    .zip(row)
                    .for_each(|(column, value)| column.push(value));
            }
        }
        let shape = (sigmas.len(), columns[0].len() / sigmas.len().max(1), 1, 1);
        let [gain, offset, skip, out, input] = columns.map(|c| Tensor::from_vec(c, shape, device)?.to_dtype(dtype));
        Ok(Coefficients {
            gain: gain?,
            offset: offset?,
            skip: skip?,
            out: out?,
            input: input?,
        })
    }
}

struct MixPrior {
    gain: Vec<f32>,
    offset: Vec<f32>,
    variance: Vec<f32>,
}

/// Prior and preconditioning of a batch: `[batch, channels, 1, 1]` each.
pub struct Coefficients {
    gain: Tensor,
    offset: Tensor,
    /// Share of the noisy residual that is passed on.
    pub skip: Tensor,
    /// Scale of the network's output.
    pub out: Tensor,
    /// Scale of the network's input.
    pub input: Tensor,
}

impl Coefficients {
    /// The prior mean `mu` of the mix.
    ///
    /// # Shapes
    /// `scene: [1 or batch, channels, height, width]`, result `[batch, channels, height, width]`.
    ///
    /// # Errors
    /// Tensors of other shapes.
    pub fn prior_mean(&self, scene: &Tensor) -> Result<Tensor> {
        scene.broadcast_mul(&self.gain)?.broadcast_add(&self.offset)
    }
}

/// A sample's noise level as a tensor that broadcasts over latents: `[batch, 1, 1, 1]`.
///
/// # Shapes
/// Result: `[batch, 1, 1, 1]`.
///
/// # Errors
/// What the device reports.
pub fn sigma_tensor(sigmas: &[f32], device: &Device) -> Result<Tensor> {
    Tensor::from_slice(sigmas, (sigmas.len(), 1, 1, 1), device)
}

/// How a checkpoint's output is read.
#[derive(Debug, Clone, PartialEq)]
pub enum Prediction {
    /// The flow-matching velocity.
    Velocity,
    /// A correction to the posterior mean under the mix's prior.
    SceneResidual {
        /// The prior of each class.
        priors: ClassPriors,
        /// Factor on the network's correction per class and latent channel; 1 is as trained.
        guidance: Vec<Vec<f32>>,
    },
}

impl Prediction {
    /// The kind, as the config names it.
    pub fn kind(&self) -> PredictionKind {
        match self {
            Self::Velocity => PredictionKind::Velocity,
            Self::SceneResidual { .. } => PredictionKind::SceneResidual,
        }
    }

    /// The clean-data prediction `x0_hat` of a batch; `network` maps its input latents to its output.
    ///
    /// # Shapes
    /// `x_t: [batch, channels, height, width]`, `scene: [1 or batch, channels, height, width]`; sigmas and masks one
    /// per sample; result like `x_t`.
    ///
    /// # Errors
    /// Those of `network`; tensors of other shapes.
    pub fn x0_hat(
        &self,
        x_t: &Tensor,
        scene: &Tensor,
        sigmas: &[f32],
        masks: &[Vec<f32>],
        network: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let sigma = sigma_tensor(sigmas, x_t.device())?.to_dtype(x_t.dtype())?;
        match self {
            Self::Velocity => x_t - network(x_t)?.broadcast_mul(&sigma)?,
            Self::SceneResidual { priors, guidance } => {
                let c = priors.coefficients(sigmas, masks, x_t.dtype(), x_t.device())?;
                let mean = c.prior_mean(scene)?;
                let y = noisy_residual(x_t, &mean, &sigma)?;
                let factors = masks.iter().flat_map(|mask| priors.guidance_of_mask(guidance, mask));
                let factors = Tensor::from_iter(factors, x_t.device())?.to_dtype(x_t.dtype())?;
                let factor = (&c.out * factors.reshape(c.out.shape())?)?;
                let correction = network(&y.broadcast_mul(&c.input)?)?.broadcast_mul(&factor)?;
                mean + (y.broadcast_mul(&c.skip)? + correction)?
            }
        }
    }
}

/// `y = x_t - (1 - sigma) mu`.
///
/// # Shapes
/// `x_t`, `mean: [batch, channels, height, width]`, `sigma: [batch, 1, 1, 1]`, result like `x_t`.
///
/// # Errors
/// Tensors of other shapes.
pub fn noisy_residual(x_t: &Tensor, mean: &Tensor, sigma: &Tensor) -> Result<Tensor> {
    x_t - mean.broadcast_mul(&(1.0 - sigma)?)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priors() -> ClassPriors {
        ClassPriors {
            gain: vec![vec![0.4, 1.0], vec![0.9, 0.5]],
            offset: vec![vec![0.3, 0.1], vec![0.0, 0.2]],
            variance: vec![vec![0.5, 2.0], vec![0.1, 0.3]],
        }
    }

    fn values(t: &Tensor) -> Vec<f32> {
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn a_silent_network_gives_the_gaussian_posterior_mean() {
        let x_t = Tensor::new(&[[[[0.8f32]], [[0.2]]]], &Device::Cpu).unwrap();
        let scene = Tensor::new(&[[[[0.1f32]], [[-0.4]]]], &Device::Cpu).unwrap();
        let masks = vec![vec![1.0, 1.0, 0.0, 0.0]];
        let prediction = Prediction::SceneResidual {
            priors: priors(),
            guidance: vec![vec![1.0; 2]; 2],
        };
        let x0 = prediction
            .x0_hat(&x_t, &scene, &[0.4], &masks, Tensor::zeros_like)
            .unwrap();
        for (ours, (x, mu, v)) in values(&x0).into_iter().zip([(0.8, 0.34, 0.5), (0.2, -0.3, 2.0)]) {
            let v = v + VARIANCE_FLOOR;
            let expected = mu + 0.6 * v / (0.36 * v + 0.16) * (x - 0.6 * mu);
            assert!((ours - expected).abs() < 1e-6, "{ours} against {expected}");
        }
    }

    #[test]
    fn guidance_goes_on_from_the_prior_through_the_network() {
        let x_t = Tensor::new(&[[[[0.8f32]], [[0.2]]]], &Device::Cpu).unwrap();
        let scene = Tensor::new(&[[[[0.1f32]], [[-0.4]]]], &Device::Cpu).unwrap();
        let x0 = |guidance: [f32; 2], network: fn(&Tensor) -> Result<Tensor>| {
            let (priors, guidance) = (priors(), vec![guidance.to_vec(); 2]);
            let prediction = Prediction::SceneResidual { priors, guidance };
            let masks = [vec![1.0, 0.5, 0.0, 0.2]];
            values(&prediction.x0_hat(&x_t, &scene, &[0.4], &masks, network).unwrap())
        };
        let network = |input: &Tensor| input.affine(0.7, 0.3);
        let (prior, plain) = (x0([1.4, 0.9], Tensor::zeros_like), x0([1.0, 1.0], network));
        let guided = x0([1.4, 0.9], network);
        for (channel, w) in [1.4, 0.9].into_iter().enumerate() {
            let (prior, plain, guided) = (prior[channel], plain[channel], guided[channel]);
            assert!((plain - prior).abs() > 0.01, "the network is heard");
            // All but exactly: the floor of the variance belongs to no class and is not guided.
            assert!(
                (guided - (prior + w * (plain - prior))).abs() < 1e-3,
                "channel {channel}"
            );
        }
    }

    #[test]
    fn a_mix_is_guided_by_the_class_that_does_most_in_a_channel() {
        let guidance = [vec![1.5, 1.5], vec![1.0, 1.0]];
        let of_mask = |mask: [f32; 4]| priors().guidance_of_mask(&guidance, &mask);
        assert_eq!(of_mask([0.0; 4]), [1.0, 1.0], "nothing is on");
        for (channel, w) in of_mask([1.0, 1.0, 0.5, 0.5]).into_iter().enumerate() {
            let (first, second) = (priors().variance[0][channel], 0.25 * priors().variance[1][channel]);
            assert!((w - (1.5 * first + second) / (first + second)).abs() < 1e-3, "{w}");
        }
    }

    #[test]
    fn a_zero_mask_is_the_scene_up_to_the_floor() {
        let c = priors()
            .coefficients(&[0.5], &[vec![0.0; 4]], DType::F32, &Device::Cpu)
            .unwrap();
        let scene = Tensor::new(&[[[[0.1f32]], [[-0.4]]]], &Device::Cpu).unwrap();
        assert_eq!(values(&c.prior_mean(&scene).unwrap()), values(&scene));
        assert!(values(&c.out).iter().all(|&o| o <= VARIANCE_FLOOR.sqrt()));
    }

    #[test]
    fn half_the_ratio_twice_attenuates_like_the_whole() {
        let half = priors().of_mask(&[0.5, 0.5, 0.0, 0.0]);
        assert!((half.gain[0] * half.gain[0] - 0.4).abs() < 1e-6);
    }
}
