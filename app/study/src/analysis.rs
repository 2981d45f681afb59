//! Every run of a study, and everything that is measured of them.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use mdsd3_render::RenderError;
use mdsd3_render::colormap::spectrum_image;
use mdsd3_render::frames::{self, rgba8_from_rgb};
use mdsd3_render::loaded::LoadedModel;
use mdsd3_render::metadata;
use mdsd3_render::scene::FittedScene;
use mdsd3_render::session::Session;
use mdsd3_words::ModelIdentity;

use crate::figure::heat::MeanSpectrum;
use crate::lanes::LanePlan;
use crate::request::{AnalyzeRequest, folder_name};
use crate::sampled::SeedSums;
use crate::trajectory::{self, Ending, SceneInput, StepImages, Trajectory};
use crate::variants::{self, GridEnding, VariantEnding};

/// log10 power that is black, and that is pale yellow, in the spectra of steps: the same in all, so that they compare.
const STEP_SPECTRUM_RANGE: (f32, f32) = (-6.0, 2.0);

/// Everything that was measured.
pub struct Analysis {
    /// What was asked for.
    pub request: AnalyzeRequest,
    /// The weights.
    pub model: ModelIdentity,
    /// Names of the scenes.
    pub scenes: Vec<String>,
    /// The mixes and their interactions.
    pub lanes: LanePlan,
    /// Noise level of each step.
    pub sigmas: Vec<f32>,
    /// Image pixels per latent sample, per direction.
    pub latent_factor: u32,
    /// How residuals grow.
    pub trajectories: Vec<Trajectory>,
    /// Where they end.
    pub endings: Vec<Ending>,
    /// Mean power spectrum of every lane's final residual.
    pub mean_spectra: Vec<MeanSpectrum>,
    /// Endings under sampling aids; empty unless asked for.
    pub variants: Vec<VariantEnding>,
    /// Endings over alpha and beta; empty unless asked for.
    pub grid: Vec<GridEnding>,
    /// Seconds it took.
    pub elapsed_secs: f32,
}

/// Watches an analysis, and may stop it.
pub trait AnalyzeObserver {
    /// Everything is checked; so many denoising steps come.
    fn planned(&mut self, _steps: usize) {}

    /// One of them is done.
    fn step_done(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Watches nothing.
impl AnalyzeObserver for () {}

/// Analyses; `None` when the observer stopped it. The images of the first run's steps are written into `steps_folder`.
///
/// # Errors
/// [`RenderError`] with the setting, photo or file that is at fault.
pub fn measure(
    session: &mut Session,
    request: &AnalyzeRequest,
    steps_folder: Option<&Path>,
    observer: &mut dyn AnalyzeObserver,
) -> Result<Option<Analysis>, RenderError> {
    let start = Instant::now();
    request.check_settings()?;
    let plan = LanePlan::new(request)?;
    let scenes = load_scenes(session, request)?;
    if let Some(folder) = steps_folder {
        fs::create_dir_all(folder).map_err(|source| RenderError::Io {
            path: folder.to_owned(),
            source,
        })?;
    }
    let first = request.scenes().swap_remove(0);
    let first = request.lane_run(first, &request.lanes[0])?;
    let (model, ..) = session.prepare(&first)?;
    observer.planned(planned_steps(request, &plan, scenes.len()));
    let mut analysis = Analysis::empty(request, plan, model)?;
    for (index, scene) in scenes.iter().enumerate() {
        if analysis
            .add_scene(model, index, scene, steps_folder, observer)?
            .is_break()
        {
            return Ok(None);
        }
    }
    analysis.elapsed_secs = start.elapsed().as_secs_f32();
    Ok(Some(analysis))
}

impl Analysis {
    /// Nothing measured yet.
    fn empty(request: &AnalyzeRequest, plan: LanePlan, model: &LoadedModel) -> Result<Self, RenderError> {
        let mut sigmas = model.pipeline().sigmas(&request.run.batch_sampling())?;
        sigmas.truncate(request.run.sampling.steps);
        Ok(Self {
            request: request.clone(),
            model: model.identity().resolve()?,
            scenes: scene_names(request),
            mean_spectra: vec![MeanSpectrum::default(); plan.names.len()],
            lanes: plan,
            sigmas,
            latent_factor: 1,
            trajectories: Vec::new(),
            endings: Vec::new(),
            variants: Vec::new(),
            grid: Vec::new(),
            elapsed_secs: 0.0,
        })
    }

    /// All seeds of one scene.
    fn add_scene(
        &mut self,
        model: &mut LoadedModel,
        index: usize,
        scene: &Arc<FittedScene>,
        steps_folder: Option<&Path>,
        observer: &mut dyn AnalyzeObserver,
    ) -> Result<ControlFlow<()>, RenderError> {
        model.set_adapter_strength(self.request.run.sampling.adapter_strength)?;
        let (encoded, _) = model.encode(scene)?;
        let (latent_width, _) = encoded.latents().size();
        self.latent_factor = scene.rgb.width() / latent_width.max(1) as u32;
        let input = SceneInput {
            index,
            rgb: &scene.rgb,
            encoded: &encoded,
        };
        let mut sums = SeedSums::new(
            scene.rgb.dimensions(),
            self.lanes.names.len(),
            self.request.run.sampling.steps,
        );
        for seed in self.request.seeds() {
            let images = steps_folder.filter(|_| index == 0 && seed == self.request.run.sampling.seed);
            let plan = &self.lanes;
            let mut on_step = |step: &StepImages<'_>| {
                if let Some(folder) = images {
                    write_step(folder, plan, step)?;
                }
                Ok(observer.step_done())
            };
            let settings = self.request.sampling(seed);
            let Some(measured) = trajectory::run(model.pipeline(), &input, plan, &settings, &mut sums, &mut on_step)?
            else {
                return Ok(ControlFlow::Break(()));
            };
            self.trajectories.extend(measured.trajectories);
            self.endings.extend(measured.endings);
            for (mean, spectrum) in self.mean_spectra.iter_mut().zip(&measured.spectra) {
                mean.add(spectrum);
            }
            let mut step_done = || observer.step_done();
            let more = variants::run(model.pipeline(), &input, &self.request, plan, seed, &mut step_done)?;
            let Some((variants, grid)) = more else {
                return Ok(ControlFlow::Break(()));
            };
            self.variants.extend(variants);
            self.grid.extend(grid);
        }
        self.trajectories
            .extend(sums.trajectories(index, self.request.run.sampling.seed)?);
        Ok(ControlFlow::Continue(()))
    }
}

fn load_scenes(session: &mut Session, request: &AnalyzeRequest) -> Result<Vec<Arc<FittedScene>>, RenderError> {
    let mut scenes = Vec::new();
    for photo in request.scenes() {
        for lane in &request.lanes {
            let run = request.lane_run(photo.clone(), lane)?;
            let (_, scene, _) = session.prepare(&run)?;
            if std::ptr::eq(lane, &raw const request.lanes[0]) {
                scenes.push(scene);
            }
        }
    }
    Ok(scenes)
}

/// File names without their extension, numbered where they repeat.
fn scene_names(request: &AnalyzeRequest) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for photo in request.scenes() {
        let path = photo.unwrap_or_else(|| PathBuf::from("demo"));
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let is_taken = names.contains(&stem);
        names.push(if is_taken {
            format!("{stem}-{}", names.len() + 1)
        } else {
            stem
        });
    }
    names
}

fn planned_steps(request: &AnalyzeRequest, plan: &LanePlan, scenes: usize) -> usize {
    let per_seed = |seed| request.run.sampling.steps * (1 + variants::runs_per_seed(request, plan, seed));
    scenes * request.seeds().map(per_seed).sum::<usize>()
}

/// `steps/LANE/step-000-x0_hat.png`, `-difference.png` (half the difference to the clean branch around grey) and
/// `-spectrum.png` (log10 power of that difference's luma over [`STEP_SPECTRUM_RANGE`]).
fn write_step(folder: &Path, plan: &LanePlan, step: &StepImages<'_>) -> Result<(), RenderError> {
    let Some((clean, lanes)) = step.x0_hat.split_last() else {
        return Ok(());
    };
    for ((name, image), spectrum) in plan.names.iter().zip(lanes).zip(step.spectra) {
        let lane = folder.join("steps").join(folder_name(name));
        fs::create_dir_all(&lane).map_err(|source| RenderError::Io {
            path: lane.clone(),
            source,
        })?;
        let file = |what: &str| lane.join(format!("step-{:03}-{what}.png", step.step));
        let mut difference = image.clone();
        difference
            .iter_mut()
            .zip(clean.iter())
            .for_each(|(value, clean)| *value = 0.5 + 0.5 * (*value - clean));
        let spectrum = frames::spectrum_frame(spectrum.clone(), 1);
        metadata::write_png(&file("x0_hat"), &rgba8_from_rgb(image), None)?;
        metadata::write_png(&file("difference"), &rgba8_from_rgb(&difference), None)?;
        metadata::write_png(&file("spectrum"), &spectrum_image(&spectrum, STEP_SPECTRUM_RANGE), None)?;
    }
    Ok(())
}
