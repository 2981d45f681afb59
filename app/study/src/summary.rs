//! Figures with intervals over seeds and scenes.

use mdsd3_model::spectrum::bands::BANDS;
use mdsd3_model::spectrum::bootstrap::{Estimate, estimate};
use mdsd3_model::spectrum::formation::{FormedAt, formed_at, share_of_final};
use mdsd3_model::spectrum::measures::Measures;

use crate::analysis::Analysis;
use crate::trajectory::{Space, Trajectory};
use crate::variants::GridEnding;

/// Shares of the final energy at which something counts as begun, formed and complete.
pub const THRESHOLDS: [f64; 3] = [0.1, 0.5, 0.9];
/// Stands for all bands together in place of a band's index.
pub const ALL_BANDS: usize = BANDS;

/// One number of a result.
pub type Measure = fn(&Measures) -> f64;

/// When a lane's band reaches a share of its final energy.
#[derive(Debug, Clone, Copy)]
pub struct Formed {
    /// Noise level.
    pub sigma: Estimate,
    /// Step from 0.
    pub step: Estimate,
    /// Runs in which the share was there at the first step already.
    pub at_start: usize,
}

impl Analysis {
    /// Energies of one band over the steps of a trajectory; [`ALL_BANDS`] adds them up.
    pub fn energies(trajectory: &Trajectory, band: usize) -> Vec<f64> {
        let of = |bands: &[f64; BANDS]| bands.get(band).copied().unwrap_or_else(|| bands.iter().sum());
        trajectory.energies.iter().map(of).collect()
    }

    /// Trajectories of a lane in a space.
    pub fn lane_trajectories(&self, lane: usize, space: Space) -> impl Iterator<Item = &Trajectory> {
        self.trajectories
            .iter()
            .filter(move |t| t.lane == lane && t.space == space)
    }

    /// When a trajectory's band reaches a share of its final energy.
    pub fn formed_at(&self, trajectory: &Trajectory, band: usize, threshold: f64) -> Option<FormedAt> {
        formed_at(
            &self.sigmas,
            &share_of_final(&Self::energies(trajectory, band)),
            threshold,
        )
    }

    /// The same over all runs of a lane; `None` when it never happens.
    pub fn formed(&self, lane: usize, space: Space, band: usize, threshold: f64) -> Option<Formed> {
        let (mut sigmas, mut steps) = (self.groups(), self.groups());
        let mut at_start = 0;
        for trajectory in self.lane_trajectories(lane, space) {
            if let Some(formed) = self.formed_at(trajectory, band, threshold) {
                sigmas[trajectory.scene].push(formed.sigma);
                steps[trajectory.scene].push(formed.step);
                at_start += usize::from(formed.at_start);
            }
        }
        Some(Formed {
            sigma: estimate(&sigmas)?,
            step: estimate(&steps)?,
            at_start,
        })
    }

    /// How much earlier (at how much higher a sigma) `first` forms than `second`, run by run.
    pub fn formed_earlier_by(&self, first: usize, second: usize, space: Space, band: usize) -> Option<Estimate> {
        let mut groups = self.groups();
        for (a, b) in self
            .lane_trajectories(first, space)
            .zip(self.lane_trajectories(second, space))
        {
            if let (Some(a_formed), Some(b_formed)) = (self.formed_at(a, band, 0.5), self.formed_at(b, band, 0.5)) {
                groups[a.scene].push(a_formed.sigma - b_formed.sigma);
            }
        }
        estimate(&groups)
    }

    /// Share of the final energy at a step.
    pub fn share(&self, lane: usize, space: Space, band: usize, step: usize) -> Option<Estimate> {
        self.over_runs(lane, space, |trajectory| {
            let share = *share_of_final(&Self::energies(trajectory, band)).get(step)?;
            share.is_finite().then_some(share)
        })
    }

    /// Energy of a band at the end, in mean square per sample.
    pub fn final_energy(&self, lane: usize, space: Space, band: usize) -> Option<Estimate> {
        self.over_runs(lane, space, |trajectory| {
            Self::energies(trajectory, band).last().copied()
        })
    }

    /// Share of a band in the lane's energy at the end.
    pub fn final_share(&self, lane: usize, space: Space, band: usize) -> Option<Estimate> {
        self.over_runs(lane, space, |trajectory| {
            let all = *Self::energies(trajectory, ALL_BANDS).last()?;
            (all > 0.0).then(|| Self::energies(trajectory, band).last().map(|energy| energy / all))?
        })
    }

    /// Correlation of the residual with the scene in a band at the end.
    pub fn final_coherence(&self, lane: usize, band: usize) -> Option<Estimate> {
        self.over_runs(lane, Space::Pixels, |trajectory| {
            trajectory.coherence.last()?.get(band).copied()
        })
    }

    /// Phase coherence of the residual with the scene in a band at the end.
    pub fn final_phase_coherence(&self, lane: usize, band: usize) -> Option<Estimate> {
        self.over_runs(lane, Space::Pixels, |trajectory| {
            trajectory.phase.last()?.get(band).copied()
        })
    }

    /// Exponent of the residual's radial power at the end.
    pub fn final_slope(&self, lane: usize) -> Option<Estimate> {
        self.over_runs(lane, Space::Pixels, |trajectory| *trajectory.slope.last()?)
    }

    /// Energy of an interaction as a share of its mix's, at the end. 0 when classes merely add up.
    pub fn interaction_share(&self, interaction: usize, space: Space, band: usize) -> Option<Estimate> {
        let lane = self.lanes.mixes.len() + interaction;
        let mix = self.lanes.interactions.get(interaction)?.0;
        let mut groups = self.groups();
        for (rest, whole) in self
            .lane_trajectories(lane, space)
            .zip(self.lane_trajectories(mix, space))
        {
            let last = |trajectory| Self::energies(trajectory, band).last().copied();
            if let (Some(rest_energy), Some(energy)) = (last(rest), last(whole).filter(|energy| *energy > 0.0)) {
                groups[rest.scene].push(rest_energy / energy);
            }
        }
        estimate(&groups)
    }

    /// A measure of the results of a lane.
    pub fn measured(&self, lane: usize, of: Measure) -> Option<Estimate> {
        let mut groups = self.groups();
        for ending in self.endings.iter().filter(|ending| ending.lane == lane) {
            groups[ending.scene].extend(ending.measures.as_ref().map(of));
        }
        estimate(&groups)
    }

    /// A measure of a variant's results.
    pub fn variant_measured(&self, lane: usize, variant: &str, of: Measure) -> Option<Estimate> {
        let mut groups = self.groups();
        for ending in self.variants.iter().filter(|v| v.lane == lane && v.variant == variant) {
            groups[ending.scene].push(of(&ending.measures));
        }
        estimate(&groups)
    }

    /// Lane and name of every variant that was run, in the order of running.
    pub fn variant_kinds(&self) -> Vec<(usize, &str)> {
        let mut kinds: Vec<(usize, &str)> = Vec::new();
        for ending in &self.variants {
            if !kinds.contains(&(ending.lane, &ending.variant)) {
                kinds.push((ending.lane, &ending.variant));
            }
        }
        kinds
    }

    /// A measure of a variant's results minus that of the plain sampler's on the same scene and seed.
    pub fn variant_change(&self, lane: usize, variant: &str, of: Measure) -> Option<Estimate> {
        let mut groups = self.groups();
        for ending in self.variants.iter().filter(|v| v.lane == lane && v.variant == variant) {
            let plain = self
                .endings
                .iter()
                .find(|e| (e.scene, e.seed, e.lane) == (ending.scene, ending.seed, lane));
            if let Some(measures) = plain.and_then(|plain| plain.measures.as_ref()) {
                groups[ending.scene].push(of(&ending.measures) - of(measures));
            }
        }
        estimate(&groups)
    }

    /// A measure of a lane in a cell of the grid.
    pub fn grid_measure(&self, lane: usize, alpha: f32, beta: f32, of: Measure) -> Option<Estimate> {
        let mut groups = self.groups();
        let is_cell = |ending: &&GridEnding| {
            ending.lane == lane && (ending.alpha - alpha).abs() + (ending.beta - beta).abs() < 1e-6
        };
        for ending in self.grid.iter().filter(is_cell) {
            groups[ending.scene].push(of(&ending.measures));
        }
        estimate(&groups)
    }

    fn over_runs(&self, lane: usize, space: Space, of: impl Fn(&Trajectory) -> Option<f64>) -> Option<Estimate> {
        let mut groups = self.groups();
        for trajectory in self.lane_trajectories(lane, space) {
            groups[trajectory.scene].extend(of(trajectory));
        }
        estimate(&groups)
    }

    fn groups(&self) -> Vec<Vec<f64>> {
        vec![Vec::new(); self.scenes.len()]
    }
}
