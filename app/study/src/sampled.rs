//! The part of a residual that differs between seeds: what the sampler has decided, apart from what scene and class
//! alone imply (a checkpoint may predict the mean of a class from the first step on, whatever the noise).

use mdsd3_model::spectrum::bands::{BANDS, Banded};
use mdsd3_render::RenderError;

use crate::trajectory::{Space, Trajectory};

/// Mean residuals of more than this many values are not kept (a gibibyte); the part is then left out.
const MAX_KEPT_VALUES: usize = 1 << 28;

/// Sums over the seeds of one scene.
pub(super) struct SeedSums {
    width: usize,
    height: usize,
    lanes: usize,
    /// One per step and lane, lanes fastest.
    sums: Vec<StepSum>,
    is_kept: bool,
}

#[derive(Clone, Default)]
struct StepSum {
    residual: Vec<f32>,
    energies: [f64; BANDS],
    seeds: usize,
}

impl SeedSums {
    /// For residuals of `width * height` pixels.
    pub fn new((width, height): (u32, u32), lanes: usize, steps: usize) -> Self {
        let (width, height) = (width as usize, height as usize);
        let is_kept = width * height * lanes * steps <= MAX_KEPT_VALUES;
        let sums = vec![StepSum::default(); lanes * steps];
        Self {
            width,
            height,
            lanes,
            sums,
            is_kept,
        }
    }

    /// Adds the residual of a seed, whose energies are known already.
    pub fn add(&mut self, step: usize, lane: usize, residual: &[f32], energies: &[f64; BANDS]) {
        let Some(sum) = self.sums.get_mut(step * self.lanes + lane).filter(|_| self.is_kept) else {
            return;
        };
        sum.residual.resize(residual.len(), 0.0);
        sum.residual
            .iter_mut()
            .zip(residual)
            .for_each(|(sum, value)| *sum += value);
        sum.energies
            .iter_mut()
            .zip(energies)
            .for_each(|(sum, energy)| *sum += energy);
        sum.seeds += 1;
    }

    /// Variance over seeds per lane, step and band (unbiased: mean energy minus the energy of the mean, times
    /// n / (n - 1)); nothing for fewer than two seeds.
    pub fn trajectories(&self, scene: usize, seed: u64) -> Result<Vec<Trajectory>, RenderError> {
        if self.sums.iter().any(|sum| sum.seeds < 2) {
            return Ok(Vec::new());
        }
        let of_lane = |lane: usize| {
            let steps = self.sums.iter().skip(lane).step_by(self.lanes);
            let energies = steps.map(|sum| self.variance(sum)).collect::<Result<_, _>>()?;
            Ok(Trajectory {
                scene,
                seed,
                lane,
                space: Space::BetweenSeeds,
                energies,
                coherence: Vec::new(),
                phase: Vec::new(),
                slope: Vec::new(),
            })
        };
        (0..self.lanes).map(of_lane).collect()
    }

    fn variance(&self, sum: &StepSum) -> Result<[f64; BANDS], RenderError> {
        let count = sum.seeds as f64;
        let mean: Vec<f32> = sum.residual.iter().map(|value| value / sum.seeds as f32).collect();
        let of_mean = Banded::new(&mean, self.width, self.height)?.energies();
        Ok(std::array::from_fn(|band| {
            ((sum.energies[band] / count - of_mean[band]) * count / (count - 1.0)).max(0.0)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_seeds_share_is_left_out() {
        let mut sums = SeedSums::new((16, 16), 1, 1);
        let wave = |sign: f32| -> Vec<f32> {
            (0..256)
                .map(|i| 0.7 + sign * (std::f32::consts::TAU * 0.375 * (i % 16) as f32).cos())
                .collect()
        };
        assert!(sums.trajectories(0, 0).expect("same size").is_empty());
        for sign in [1.0, -1.0] {
            let energies = Banded::new(&wave(sign), 16, 16).expect("same size").energies();
            sums.add(0, 0, &wave(sign), &energies);
        }
        let energies = sums.trajectories(0, 0).expect("same size")[0].energies[0];
        assert!(energies[0] < 1e-6, "the common mean is gone: {energies:?}");
        assert!(
            (energies[BANDS - 1] - 1.0).abs() < 0.05,
            "the wave varies with twice its mean square: {energies:?}"
        );
    }
}
