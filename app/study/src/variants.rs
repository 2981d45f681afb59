//! The same mixes under sampling aids and over alpha and beta: only their ends are measured.

use std::ops::ControlFlow;

use mdsd3_model::pipeline::{Batch, Pipeline};
use mdsd3_model::spectrum::measures::{Measures, measure};
use mdsd3_render::RenderError;
use mdsd3_words::{Mix, RatioCurve, SamplerAid, Sampling};

use crate::lanes::LanePlan;
use crate::request::AnalyzeRequest;
use crate::trajectory::SceneInput;

/// Weights of the noise in the grid.
pub const GRID_ALPHAS: [f32; 4] = [0.5, 0.75, 1.0, 1.25];
/// Weights of the scene in the grid.
pub const GRID_BETAS: [f32; 4] = [0.0, 0.25, 0.5, 0.75];
/// Seeds that the grid takes: it has many cells, and its measures vary little over seeds.
const GRID_SEEDS: u64 = 2;
/// Between these noise levels one class fades out while the other fades in.
const CROSSOVER_SIGMAS: (f32, f32) = (0.4, 0.6);

/// The end of a run under a sampling aid.
#[derive(Debug, Clone)]
pub struct VariantEnding {
    /// Index of the scene.
    pub scene: usize,
    /// The seed.
    pub seed: u64,
    /// Index into the lanes.
    pub lane: usize,
    /// Name of the variant.
    pub variant: String,
    /// The result against the scene.
    pub measures: Measures,
}

/// The end of a run in the grid.
#[derive(Debug, Clone)]
pub struct GridEnding {
    /// Index of the scene.
    pub scene: usize,
    /// The seed.
    pub seed: u64,
    /// Index into the lanes.
    pub lane: usize,
    /// Weight of the noise.
    pub alpha: f32,
    /// Weight of the scene.
    pub beta: f32,
    /// The result against the scene.
    pub measures: Measures,
}

/// Ends of the variants, and of the grid's cells.
type Endings = (Vec<VariantEnding>, Vec<GridEnding>);

/// Another way of sampling a mix.
struct Variant {
    name: String,
    curves: Vec<RatioCurve>,
    sampler_aid: SamplerAid,
}

/// Runs that come on top of the plain one for a seed.
pub(super) fn runs_per_seed(request: &AnalyzeRequest, plan: &LanePlan, seed: u64) -> usize {
    let variants = compared_lanes(request, plan).map(|lane| variants_of(&plan.mixes[lane]).map_or(0, |all| all.len()));
    let cells = if is_on_grid(request, seed) {
        GRID_ALPHAS.len() * GRID_BETAS.len()
    } else {
        0
    };
    variants.sum::<usize>() + cells
}

/// Runs variants and grid as far as they are asked for; `None` when `step_done` stopped it.
pub(super) fn run(
    pipeline: &Pipeline,
    scene: &SceneInput<'_>,
    request: &AnalyzeRequest,
    plan: &LanePlan,
    seed: u64,
    step_done: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<Option<Endings>, RenderError> {
    let plain = request.sampling(seed);
    let (mut variants, mut grid) = (Vec::new(), Vec::new());
    for lane in compared_lanes(request, plan) {
        for variant in variants_of(&plan.mixes[lane])? {
            let settings = Sampling {
                curves: variant.curves,
                sampler_aid: variant.sampler_aid,
                ..plain.clone()
            };
            let Some(ends) = ends(pipeline, scene, &[&plan.mixes[lane]], &settings, step_done)? else {
                return Ok(None);
            };
            let ending = |measures| VariantEnding {
                scene: scene.index,
                seed,
                lane,
                variant: variant.name.clone(),
                measures,
            };
            variants.extend(ends.into_iter().map(ending));
        }
    }
    if is_on_grid(request, seed) {
        let lanes = plan.singles();
        let mixes: Vec<&Mix> = lanes.iter().map(|lane| &plan.mixes[*lane]).collect();
        for (alpha, beta) in GRID_ALPHAS
            .into_iter()
            .flat_map(|alpha| GRID_BETAS.map(|beta| (alpha, beta)))
        {
            let settings = Sampling {
                alpha,
                beta,
                ..plain.clone()
            };
            let Some(ends) = ends(pipeline, scene, &mixes, &settings, step_done)? else {
                return Ok(None);
            };
            let ending = |(lane, measures): (&usize, Measures)| GridEnding {
                scene: scene.index,
                seed,
                lane: *lane,
                alpha,
                beta,
                measures,
            };
            grid.extend(lanes.iter().zip(ends).map(ending));
        }
    }
    Ok(Some((variants, grid)))
}

fn is_on_grid(request: &AnalyzeRequest, seed: u64) -> bool {
    request.alpha_beta && seed - request.run.sampling.seed < GRID_SEEDS
}

/// Mixes of several classes, when a comparison is asked for.
fn compared_lanes<'a>(request: &AnalyzeRequest, plan: &'a LanePlan) -> impl Iterator<Item = usize> + 'a {
    let is_compared = request.compare;
    (0..plan.mixes.len()).filter(move |lane| is_compared && plan.mixes[*lane].active().count() > 1)
}

/// The moving average, and for two classes each of them early and the other late.
fn variants_of(mix: &Mix) -> Result<Vec<Variant>, RenderError> {
    let mut variants = vec![Variant {
        name: "moving average".to_owned(),
        curves: Vec::new(),
        sampler_aid: SamplerAid::MovingAverage,
    }];
    let classes: Vec<&str> = mix.active().map(|(class, _)| class).collect();
    if let [a, b] = classes[..] {
        for (early, late) in [(a, b), (b, a)] {
            let (low, high) = CROSSOVER_SIGMAS;
            let curves = vec![
                RatioCurve::new(early, vec![(low, 0.0), (high, 1.0)])?,
                RatioCurve::new(late, vec![(low, 1.0), (high, 0.0)])?,
            ];
            variants.push(Variant {
                name: format!("{early} early, {late} late"),
                curves,
                sampler_aid: SamplerAid::None,
            });
        }
    }
    Ok(variants)
}

/// Samples mixes and measures their results.
fn ends(
    pipeline: &Pipeline,
    scene: &SceneInput<'_>,
    mixes: &[&Mix],
    settings: &Sampling,
    step_done: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<Option<Vec<Measures>>, RenderError> {
    let lanes = mixes.iter().map(|mix| Sampling {
        mix: (*mix).clone(),
        ..settings.clone()
    });
    let ended = pipeline.sample(scene.encoded, &Batch::of(lanes.collect()), |_| step_done())?;
    let ControlFlow::Continue(latents) = ended else {
        return Ok(None);
    };
    let images = pipeline.rgb_from_latents(&latents)?;
    let measures = images
        .iter()
        .map(|image| measure(scene.rgb, image))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Some(measures))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_classes_are_run_each_way_round() {
        let of = |text: &str| variants_of(&text.parse().expect("a mix")).expect("good curves");
        let names: Vec<String> = of("haze=1,rain=0.5").into_iter().map(|variant| variant.name).collect();
        assert_eq!(
            names,
            ["moving average", "haze early, rain late", "rain early, haze late"]
        );
        assert_eq!(of("haze=1").len(), 1);
        let early = &of("haze=1,rain=1")[1].curves;
        assert_eq!(
            (
                early[0].factor(0.9),
                early[0].factor(0.2),
                early[1].factor(0.9),
                early[1].factor(0.2)
            ),
            (1.0, 0.0, 0.0, 1.0)
        );
    }
}
