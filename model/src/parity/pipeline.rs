//! A whole Stable Diffusion 3 pipeline: token ids, prompts, every step of a guided run, the decoded image.
//!
//! The folder `pipeline/` is diffusers' layout; `single_file.safetensors`, where there is one, holds the same weights in
//! the single-file layout and takes the text encoders from the folder when it has none. Both must give the goldens.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use mdsd3_words::{ModelParts, Sampler};
use serde::Deserialize;

use super::{Errors, Goldens, bad, compare, golden, max_abs_error, read_json};
use crate::autoencoder::{KlAutoencoder, KlConfig};
use crate::error::ModelError;
use crate::io::layout::{AutoencoderKind, Sd3Checkpoint};
use crate::mmdit::{Conditioning, Mmdit};
use crate::sampler::follow::{At, Course, Start, Step, follow};
use crate::sampler::schedule;
use crate::text::{EncodedPrompt, TextEncoders};

/// The settings of the run.
#[derive(Deserialize)]
struct Settings {
    prompt: String,
    negative_prompt: String,
    steps: usize,
    guidance_scale: f64,
}

pub(super) fn check(folder: &Path, case: &Goldens) -> Result<Errors, ModelError> {
    let settings: Settings = read_json(&folder.join("case.json"))?;
    let pipeline = folder.join("pipeline");
    let file = folder.join("single_file.safetensors");
    let mut layouts = vec![("pipeline", Sd3Checkpoint::open(&pipeline, &ModelParts::default())?)];
    if file.is_file() {
        let checkpoint = Sd3Checkpoint::open(&file, &ModelParts::default())?;
        let checkpoint = if checkpoint.text.encoders.iter().any(Option::is_some) {
            checkpoint
        } else {
            Sd3Checkpoint::open(
                &file,
                &ModelParts {
                    text_encoder: vec![pipeline],
                    ..ModelParts::default()
                },
            )?
        };
        layouts.push(("single_file", checkpoint));
    }
    let mut errors = Errors::new();
    for (layout, checkpoint) in layouts {
        let found = check_layout(&checkpoint, &settings, case).map_err(|e| bad(folder, format!("{layout}: {e}")))?;
        errors.extend(
            found
                .into_iter()
                .map(|(tensor, error)| (format!("{layout}/{tensor}"), error)),
        );
    }
    Ok(errors)
}

fn check_layout(checkpoint: &Sd3Checkpoint, settings: &Settings, case: &Goldens) -> Result<Errors, ModelError> {
    let text = TextEncoders::open(
        &checkpoint.text,
        checkpoint.config.joint_attention_dim,
        DType::F32,
        &case.device,
    )?;
    let mut errors = check_ids(&text, settings, case)?;
    let (positive, negative) = (text.encode(&settings.prompt)?, text.encode(&settings.negative_prompt)?);
    errors.extend(compare(
        case,
        [
            ("prompt_embeds", &positive.embeds),
            ("negative_prompt_embeds", &negative.embeds),
            ("pooled", &positive.pooled),
            ("negative_pooled", &negative.pooled),
        ],
    )?);
    let (steps, latents) = check_steps(checkpoint, settings, [&negative, &positive], case)?;
    errors.extend(steps);
    let image = ((autoencoder(checkpoint, &case.device)?.decode(&latents)? * 0.5)? + 0.5)?.clamp(0f32, 1f32)?;
    errors.extend(compare(case, [("image", &image)])?);
    Ok(errors)
}

fn check_ids(text: &TextEncoders, settings: &Settings, case: &Goldens) -> Result<Errors, ModelError> {
    let ids = text.token_ids(&settings.prompt)?;
    let rows = [
        ("ids_clip_l", Some(ids.clip_l)),
        ("ids_clip_g", Some(ids.clip_g)),
        ("ids_t5", ids.t5),
    ];
    rows.into_iter()
        .filter_map(|(name, row)| Some((name, row?)))
        .map(|(name, row)| {
            let row = Tensor::new(row, &case.device)?;
            Ok((name.to_owned(), max_abs_error(&row, golden(case, name)?)?))
        })
        .collect()
}

/// Classifier-free guidance over all steps; the errors of the latents after each, and the last of them.
fn check_steps(
    checkpoint: &Sd3Checkpoint,
    settings: &Settings,
    prompts: [&EncodedPrompt; 2],
    case: &Goldens,
) -> Result<(Errors, Tensor), ModelError> {
    let model = Mmdit::new(
        &checkpoint.config,
        checkpoint.transformer.builder(DType::F32, &case.device),
    )?;
    checkpoint.transformer.check_all_used()?;
    let context = Tensor::cat(&prompts.map(|p| &p.embeds), 0)?;
    let pooled = Tensor::cat(&prompts.map(|p| &p.pooled), 0)?;
    let predict = |x: &Tensor, at: At| {
        let timestep = Tensor::new(&[schedule::timestep(at.sigma); 2], &case.device)?;
        let on = Conditioning {
            timestep: &timestep,
            context: &context,
            pooled: &pooled,
            mask: None,
            clean: None,
            origin: None,
        };
        let both = model.forward(&Tensor::cat(&[x, x], 0)?, &on)?;
        let (without, with) = (both.narrow(0, 0, 1)?, both.narrow(0, 1, 1)?);
        let velocity = (&without + ((with - &without)? * settings.guidance_scale)?)?;
        Ok((x - (velocity * f64::from(at.sigma))?)?)
    };
    let course = Course {
        sigmas: &schedule::sigmas(settings.steps, checkpoint.shift),
        sampler: Sampler::Euler,
        moving_average: false,
    };
    let mut starts = Vec::new();
    let watched = |step: Step| {
        starts.push(step.x_t);
        ControlFlow::<Infallible>::Continue(())
    };
    let noise = golden(case, "noise")?.clone();
    let ControlFlow::Continue(latents) = follow(Start::at_first_step(noise), &course, predict, watched)?;
    let ends = starts.iter().skip(1).chain([&latents]);
    let errors = ends.enumerate().map(|(i, end)| {
        let name = format!("latents_{i}");
        let error = max_abs_error(end, golden(case, &name)?)?;
        Ok((name, error))
    });
    let errors = errors.collect::<Result<Errors, ModelError>>()?;
    Ok((errors, latents))
}

fn autoencoder(checkpoint: &Sd3Checkpoint, device: &Device) -> Result<KlAutoencoder, ModelError> {
    let source = checkpoint
        .autoencoder
        .as_ref()
        .filter(|source| source.kind == AutoencoderKind::Kl);
    let part = &source
        .ok_or_else(|| ModelError::BadInput("this pipeline has no KL autoencoder".into()))?
        .part;
    let model = KlAutoencoder::new(
        &KlConfig::from_json(&part.config)?,
        &part.weights.builder(DType::F32, device),
    )?;
    part.weights.check_all_used()?;
    Ok(model)
}
