//! One scene, one seed: all lanes and the clean branch on the same noise, measured at every step.

use std::ops::ControlFlow;

use image::Rgb32FImage;
use mdsd3_model::error::ModelError;
use mdsd3_model::pipeline::{Batch, LaneStep, Pipeline, Scene};
use mdsd3_model::spectrum::bands::{BANDS, Banded, channel_mean_energies};
use mdsd3_model::spectrum::formation::spectral_slope;
use mdsd3_model::spectrum::measures::{Measures, measure};
use mdsd3_model::spectrum::{Spectrum, Window, log_power_spectrum, luma_from_rgb, radial_average};
use mdsd3_render::RenderError;
use mdsd3_words::{Mix, Sampling};
use rayon::prelude::*;

use crate::lanes::LanePlan;
use crate::sampled::SeedSums;

/// Where residuals are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// Luma of the decoded prediction, `0..=1`; frequencies in cycles per pixel.
    Pixels,
    /// Latents, averaged over channels; frequencies in cycles per latent sample.
    Latents,
    /// As in pixels, but only what differs between the seeds of a scene (one trajectory per scene).
    BetweenSeeds,
}

impl Space {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pixels, Self::Latents, Self::BetweenSeeds];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pixels => "pixels",
            Self::Latents => "latents",
            Self::BetweenSeeds => "between-seeds",
        }
    }
}

/// How the residual of one lane to the clean branch grows over a run.
#[derive(Debug, Clone)]
pub struct Trajectory {
    /// Index of the scene.
    pub scene: usize,
    /// The seed; between seeds the first of them.
    pub seed: u64,
    /// Index into [`super::Analysis::lanes`].
    pub lane: usize,
    /// Where it was measured.
    pub space: Space,
    /// Per step the mean square of the residual in each band.
    pub energies: Vec<[f64; BANDS]>,
    /// Per step and band the correlation with the scene; empty in latents.
    pub coherence: Vec<[f64; BANDS]>,
    /// Per step and band the phase coherence with the scene; empty in latents.
    pub phase: Vec<[f64; BANDS]>,
    /// Per step the exponent of the residual's radial power; empty in latents.
    pub slope: Vec<Option<f64>>,
}

/// The end of a run of one lane.
#[derive(Debug, Clone)]
pub struct Ending {
    /// Index of the scene.
    pub scene: usize,
    /// The seed.
    pub seed: u64,
    /// Index into [`super::Analysis::lanes`].
    pub lane: usize,
    /// The result against the scene; `None` for interactions, which are no images.
    pub measures: Option<Measures>,
    /// Radially averaged power of the residual in pixels: (cycles per pixel, power).
    pub radial: Vec<(f32, f32)>,
}

/// Images of a step, lane by lane, for those who want to look.
pub struct StepImages<'a> {
    /// Index of the step.
    pub step: usize,
    /// The clean-data prediction of each mix, and last the clean branch.
    pub x0_hat: &'a [Rgb32FImage],
    /// Spectrum of the residual's luma of each mix and interaction.
    pub spectra: &'a [Spectrum],
}

/// How the lanes of a run grow, and where they end.
#[derive(Default)]
pub(super) struct Measured {
    /// Pixels of every lane, then latents of every lane.
    pub trajectories: Vec<Trajectory>,
    /// The end of every lane.
    pub endings: Vec<Ending>,
    /// Spectrum of every lane's final residual.
    pub spectra: Vec<Spectrum>,
}

/// What a residual's luma is measured by at a step.
struct PixelMeasures {
    energies: [f64; BANDS],
    coherence: [f64; BANDS],
    phase: [f64; BANDS],
    slope: Option<f64>,
    radial: Vec<(f32, f32)>,
    spectrum: Spectrum,
}

impl PixelMeasures {
    fn new(residual: &[f32], scene: &Banded, (width, height): (usize, usize)) -> Result<Self, ModelError> {
        let bands = Banded::new(residual, width, height)?;
        let spectrum = log_power_spectrum(residual, width, height, Window::Hann)?;
        let radial = radial_average(&spectrum, (width.min(height) / 4).max(1));
        Ok(Self {
            energies: bands.energies(),
            coherence: bands.coherence(scene)?,
            phase: bands.phase_coherence(scene)?,
            slope: spectral_slope(&radial),
            radial,
            spectrum,
        })
    }
}

/// What happens while a run goes on.
pub(super) type OnStep<'a> = dyn FnMut(&StepImages<'_>) -> Result<ControlFlow<()>, RenderError> + 'a;

/// A scene ready to be sampled.
pub(super) struct SceneInput<'a> {
    pub index: usize,
    pub rgb: &'a Rgb32FImage,
    pub encoded: &'a Scene,
}

/// Trajectories and endings of all lanes; `None` when `on_step` stopped it.
pub(super) fn run(
    pipeline: &Pipeline,
    scene: &SceneInput<'_>,
    plan: &LanePlan,
    settings: &Sampling,
    sums: &mut SeedSums,
    on_step: &mut OnStep<'_>,
) -> Result<Option<Measured>, RenderError> {
    let mut watch = Watch::new(pipeline, scene, plan, settings, sums)?;
    let clean = Mix::new();
    let lanes = plan.mixes.iter().chain([&clean]).map(|mix| Sampling {
        mix: mix.clone(),
        ..settings.clone()
    });
    let on_step = |steps: Vec<LaneStep>| match watch.step_done(&steps, on_step) {
        Ok(ControlFlow::Continue(())) => ControlFlow::Continue(()),
        Ok(ControlFlow::Break(())) => ControlFlow::Break(Ok(None)),
        Err(error) => ControlFlow::Break(Err(error)),
    };
    match pipeline.sample(scene.encoded, &Batch::of(lanes.collect()), on_step)? {
        ControlFlow::Continue(_) => Ok(Some(watch.measured)),
        ControlFlow::Break(stopped) => stopped,
    }
}

struct Watch<'a> {
    pipeline: &'a Pipeline,
    scene: &'a SceneInput<'a>,
    scene_bands: Banded,
    plan: &'a LanePlan,
    settings: &'a Sampling,
    sums: &'a mut SeedSums,
    measured: Measured,
}

impl<'a> Watch<'a> {
    fn new(
        pipeline: &'a Pipeline,
        scene: &'a SceneInput<'a>,
        plan: &'a LanePlan,
        settings: &'a Sampling,
        sums: &'a mut SeedSums,
    ) -> Result<Self, RenderError> {
        let (width, height) = scene.rgb.dimensions();
        let empty = |lane, space| Trajectory {
            scene: scene.index,
            seed: settings.seed,
            lane,
            space,
            energies: Vec::new(),
            coherence: Vec::new(),
            phase: Vec::new(),
            slope: Vec::new(),
        };
        let of = |space| (0..plan.names.len()).map(move |lane| empty(lane, space));
        Ok(Self {
            pipeline,
            scene,
            scene_bands: Banded::new(&luma_from_rgb(scene.rgb), width as usize, height as usize)?,
            plan,
            settings,
            sums,
            measured: Measured {
                trajectories: of(Space::Pixels).chain(of(Space::Latents)).collect(),
                ..Measured::default()
            },
        })
    }

    /// Measures a step and shows it.
    fn step_done(&mut self, lanes: &[LaneStep], on_step: &mut OnStep<'_>) -> Result<ControlFlow<()>, RenderError> {
        let index = lanes[0].index;
        let images = self.pipeline.rgb_from_latents(lanes.iter().map(|lane| &lane.x0_hat))?;
        let size = (images[0].width() as usize, images[0].height() as usize);
        let lumas: Vec<Vec<f32>> = images.par_iter().map(luma_from_rgb).collect();
        let residuals = self.plan.residuals(&lumas);
        let measures = residuals
            .par_iter()
            .map(|residual| PixelMeasures::new(residual, &self.scene_bands, size))
            .collect::<Result<Vec<_>, _>>()?;
        let is_last = index + 1 == self.settings.steps;
        let mut spectra = Vec::new();
        for (lane, (of_pixels, residual)) in measures.into_iter().zip(&residuals).enumerate() {
            self.sums.add(index, lane, residual, &of_pixels.energies);
            if is_last {
                self.lane_ended(lane, of_pixels.radial.clone(), &images)?;
            }
            spectra.push(self.pixels_measured(lane, of_pixels));
        }
        let (width, height) = lanes[0].x0_hat.size();
        let latents = lanes.iter().map(|lane| lane.x0_hat.values());
        let residuals = self.plan.residuals(&latents.collect::<Result<Vec<_>, _>>()?);
        let energies = residuals
            .par_iter()
            .map(|residual| channel_mean_energies(residual, width, height))
            .collect::<Result<Vec<_>, _>>()?;
        let of_latents = self.measured.trajectories.iter_mut().skip(self.plan.names.len());
        for (trajectory, energies) in of_latents.zip(energies) {
            trajectory.energies.push(energies);
        }
        let flow = on_step(&StepImages {
            step: index,
            x0_hat: &images,
            spectra: &spectra,
        })?;
        if is_last {
            self.measured.spectra = spectra;
        }
        Ok(flow)
    }

    /// Adds a step to a lane's trajectory; its spectrum is what is left.
    fn pixels_measured(&mut self, lane: usize, measures: PixelMeasures) -> Spectrum {
        let trajectory = &mut self.measured.trajectories[lane];
        trajectory.energies.push(measures.energies);
        trajectory.coherence.push(measures.coherence);
        trajectory.phase.push(measures.phase);
        trajectory.slope.push(measures.slope);
        measures.spectrum
    }

    fn lane_ended(&mut self, lane: usize, radial: Vec<(f32, f32)>, results: &[Rgb32FImage]) -> Result<(), ModelError> {
        let measures = (lane < self.plan.mixes.len())
            .then(|| measure(self.scene.rgb, &results[lane]))
            .transpose()?;
        self.measured.endings.push(Ending {
            scene: self.scene.index,
            seed: self.settings.seed,
            lane,
            measures,
            radial,
        });
        Ok(())
    }
}
