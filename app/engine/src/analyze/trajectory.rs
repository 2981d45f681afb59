//! One scene, one seed: all lanes and the clean branch on the same noise, measured at every step.

use std::ops::ControlFlow;

use candle_core::{DType, Tensor};
use image::Rgb32FImage;
use mdsd3_model::error::ModelError;
use mdsd3_model::mix::Mix;
use mdsd3_model::pipeline::{Lane, Pipeline, SampleSettings, Scene, Step};
use mdsd3_model::spectrum::bands::{BANDS, Banded, channel_mean_energies};
use mdsd3_model::spectrum::formation::spectral_slope;
use mdsd3_model::spectrum::measures::{Measures, measure};
use mdsd3_model::spectrum::{Window, log_power_spectrum, luma_from_rgb, radial_average};

use super::lanes::LanePlan;
use super::sampled::SeedSums;
use crate::error::EngineError;

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
}

/// How the lanes of a run grow, and where they end.
type Measured = (Vec<Trajectory>, Vec<Ending>);

/// What happens while a run goes on.
pub(super) type OnStep<'a> = dyn FnMut(&StepImages<'_>) -> Result<ControlFlow<()>, EngineError> + 'a;

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
    settings: &SampleSettings,
    sums: &mut SeedSums,
    on_step: &mut OnStep<'_>,
) -> Result<Option<Measured>, EngineError> {
    let mut watch = Watch::new(pipeline, scene, plan, settings, sums)?;
    let lanes: Vec<Lane> = plan
        .mixes
        .iter()
        .chain([&Mix::new()])
        .map(|mix| Lane {
            mix: mix.clone(),
            noise_lane: 0,
        })
        .collect();
    let mut failure = None;
    let mut observer = |step: &Step| match watch.step_done(step).and_then(|images| {
        on_step(&StepImages {
            step: step.index,
            x0_hat: &images,
        })
    }) {
        Ok(flow) => flow,
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    };
    let finished = pipeline.sample(scene.encoded, &lanes, settings, &mut observer)?;
    match failure {
        Some(error) => Err(error),
        None => Ok(finished.map(|_| (watch.trajectories, watch.endings))),
    }
}

struct Watch<'a> {
    pipeline: &'a Pipeline,
    scene: &'a SceneInput<'a>,
    scene_bands: Banded,
    plan: &'a LanePlan,
    settings: &'a SampleSettings,
    sums: &'a mut SeedSums,
    /// Pixels of every lane, then latents of every lane.
    trajectories: Vec<Trajectory>,
    endings: Vec<Ending>,
}

impl<'a> Watch<'a> {
    fn new(
        pipeline: &'a Pipeline,
        scene: &'a SceneInput<'a>,
        plan: &'a LanePlan,
        settings: &'a SampleSettings,
        sums: &'a mut SeedSums,
    ) -> Result<Self, EngineError> {
        let (width, height) = scene.rgb.dimensions();
        let empty = |lane, space| Trajectory {
            scene: scene.index,
            seed: settings.seed,
            lane,
            space,
            energies: Vec::new(),
            coherence: Vec::new(),
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
            trajectories: of(Space::Pixels).chain(of(Space::Latents)).collect(),
            endings: Vec::new(),
        })
    }

    /// Measures a step; the decoded predictions, the clean branch last.
    fn step_done(&mut self, step: &Step) -> Result<Vec<Rgb32FImage>, EngineError> {
        let images = self.pipeline.rgb_from_latents(&step.x0_hat)?;
        let lumas: Vec<Vec<f32>> = images.iter().map(luma_from_rgb).collect();
        let (width, height) = (images[0].width() as usize, images[0].height() as usize);
        let is_last = step.index + 1 == self.settings.steps;
        for (lane, residual) in self.plan.residuals(&lumas).into_iter().enumerate() {
            self.pixels_done(
                (step.index, lane),
                &residual,
                (width, height),
                is_last.then_some(&images),
            )?;
        }
        let (latents, width, height) = latent_rows(&step.x0_hat)?;
        let offset = self.plan.names.len();
        for (lane, residual) in self.plan.residuals(&latents).into_iter().enumerate() {
            let energies = channel_mean_energies(&residual, width, height)?;
            self.trajectories[offset + lane].energies.push(energies);
        }
        Ok(images)
    }

    fn pixels_done(
        &mut self,
        (step, lane): (usize, usize),
        residual: &[f32],
        (width, height): (usize, usize),
        results: Option<&Vec<Rgb32FImage>>,
    ) -> Result<(), EngineError> {
        let bands = Banded::new(residual, width, height)?;
        let spectrum = log_power_spectrum(residual, width, height, Window::Hann)?;
        let radial = radial_average(&spectrum, (width.min(height) / 4).max(1));
        let trajectory = &mut self.trajectories[lane];
        let energies = bands.energies();
        trajectory.energies.push(energies);
        self.sums.add(step, lane, residual, &energies);
        trajectory.coherence.push(bands.coherence(&self.scene_bands)?);
        trajectory.slope.push(spectral_slope(&radial));
        if let Some(results) = results {
            let measures = (lane < self.plan.mixes.len())
                .then(|| measure(self.scene.rgb, &results[lane]))
                .transpose()?;
            self.endings.push(Ending {
                scene: self.scene.index,
                seed: self.settings.seed,
                lane,
                measures,
                radial,
            });
        }
        Ok(())
    }
}

/// Latents of each batch entry as plain numbers, with their width and height.
fn latent_rows(latents: &Tensor) -> Result<(Vec<Vec<f32>>, usize, usize), EngineError> {
    let read = || {
        let (_, _, height, width) = latents.dims4()?;
        Ok((latents.to_dtype(DType::F32)?.flatten_from(1)?.to_vec2()?, width, height))
    };
    read().map_err(|error: candle_core::Error| ModelError::from(error).into())
}
