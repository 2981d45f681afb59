//! Pairs of scene and degraded latents, prepared once, and the prior of each class fitted to such pairs.

use std::ops::ControlFlow;

use candle_core::Tensor;
use image::imageops;
use mdsd3_weather::{Options, degrade};
use mdsd3_words::Mix;
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;

use super::autoencoder::batch_tensor;
use super::photos::Photos;
use super::recipe::{Frame, Recipe};
use super::variables::name_key;
use super::{Progress, TrainObserver};
use crate::autoencoder::MiniAutoencoder;
use crate::error::ModelError;
use crate::mmdit::head_mask;
use crate::sampler::noise::{Stream, stream, unit};
use crate::sampler::prediction::ClassPriors;

/// Pairs at ratio 1 that a class's prior is fitted to.
const PRIOR_PAIRS: usize = 64;
/// Smallest gain a prior may have, as it is divided by.
const LEAST_GAIN: f64 = 0.02;
/// Pairs prepared between reports.
const REPORT: usize = 50;

/// One pair: latents of a scene and of its degraded form, and the head mask that tells the network which it is.
pub struct Pair {
    /// `channels * side * side` values, row major.
    pub scene: Vec<f32>,
    pub degraded: Vec<f32>,
    pub mask: Vec<f32>,
    /// Row and column, in the positional table, of its first token.
    pub place: (usize, usize),
}

/// What a pair is cut from: a frame, and which of its corners.
struct Cut {
    frame: Frame,
    /// Whether it is the lower half, the right half.
    far: (bool, bool),
}

impl Cut {
    /// A square of a pair's own size.
    const WHOLE: Self = Self {
        frame: Frame::SQUARE,
        far: (false, false),
    };

    fn random(recipe: &Recipe, stream: &mut Stream) -> Self {
        let frames = recipe.pairs.frames();
        let mut at = unit(stream.next_u64()) as f32 * frames.iter().map(|f| f.share).sum::<f32>();
        let chosen = frames.iter().find(|f| {
            at -= f.share;
            at <= 0.0
        });
        Self {
            frame: *chosen.unwrap_or(&frames[0]),
            far: (stream.next_u64() & 1 == 1, stream.next_u64() & 1 == 1),
        }
    }

    /// Where it starts in its frame, in pixels from the top and the left.
    fn start(&self, side: u32) -> (u32, u32) {
        let (width, height) = self.frame.pixels(side);
        let pick = |far: bool, length: u32| if far { length - side } else { 0 };
        (pick(self.far.0, height), pick(self.far.1, width))
    }

    /// A frame sits in the middle of the positional table.
    fn place(&self, recipe: &Recipe) -> (usize, usize) {
        let config = &recipe.model.transformer;
        let token = (recipe.model.autoencoder.factor * config.patch_size) as u32;
        let (width, height) = self.frame.pixels(recipe.pairs.side);
        let (top, left) = self.start(recipe.pairs.side);
        let at = |start: u32, length: u32| {
            (config.pos_embed_max_size - (length / token) as usize) / 2 + (start / token) as usize
        };
        (at(top, height), at(left, width))
    }
}

/// A draw from the recipe's distribution of mixes; severity is the ratio.
pub fn random_mix(recipe: &Recipe, stream: &mut Stream) -> Mix {
    let settings = &recipe.pairs;
    let draw = |stream: &mut Stream| unit(stream.next_u64()) as f32;
    let kind = draw(stream);
    let count = if kind < settings.clean_share {
        0
    } else if kind < settings.clean_share + settings.mixed_share {
        2
    } else {
        1
    };
    let mut mix = Mix::new();
    while mix.iter().count() < count {
        let total: f32 = settings.class_weights.iter().sum();
        let mut at = draw(stream) * total;
        let class = settings.class_weights.iter().position(|w| {
            at -= w;
            at <= 0.0
        });
        let severity = settings.least_severity + (1.0 - settings.least_severity) * draw(stream);
        let class = &recipe.model.transformer.classes[class.unwrap_or(0)];
        // A severity drawn from 0..=1 is always within the range of a ratio.
        let _ = mix.set(class, severity);
    }
    mix
}

/// Latents of a cut of a photo and of its degraded form.
fn latents(
    model: &MiniAutoencoder,
    recipe: &Recipe,
    photos: &Photos,
    (mix, cut): (&Mix, &Cut),
    rng: &mut Stream,
) -> Result<[Tensor; 2], ModelError> {
    let settings = &recipe.pairs;
    let (whole, depth) = photos.crop(cut.frame.pixels(settings.side), rng);
    let options = Options {
        variety: &settings.variety(),
        ..Options::default()
    };
    let degraded = degrade(&whole, &depth, mix, rng.next_u64(), &options)?.image;
    let (top, left) = cut.start(settings.side);
    let pair = [whole, degraded].map(|i| imageops::crop_imm(&i, left, top, settings.side, settings.side).to_image());
    let both = model.encode(&batch_tensor(&pair)?)?;
    Ok([both.get(0)?, both.get(1)?])
}

/// A pair of a mix, cut from a photo.
fn pair(
    model: &MiniAutoencoder,
    recipe: &Recipe,
    photos: &Photos,
    (mix, cut): (&Mix, &Cut),
    rng: &mut Stream,
) -> Result<Pair, ModelError> {
    let transformer = &recipe.model.transformer;
    let [scene, degraded] = latents(model, recipe, photos, (mix, cut), rng)?;
    let host = |t: &Tensor| t.flatten_all()?.to_vec1::<f32>();
    Ok(Pair {
        scene: host(&scene)?,
        degraded: host(&degraded)?,
        mask: head_mask(mix, &transformer.classes, transformer.num_attention_heads),
        place: cut.place(recipe),
    })
}

/// Pairs to judge by: each class in turn, at ratio 1.
pub fn held_out(
    recipe: &Recipe,
    model: &MiniAutoencoder,
    photos: &Photos,
    count: usize,
) -> Result<Vec<Pair>, ModelError> {
    let classes = &recipe.model.transformer.classes;
    (0..count)
        .into_par_iter()
        .map(|i| {
            let mut rng = stream(recipe.seed ^ name_key("held-out pairs"), i as u64, 0);
            let mut mix = Mix::new();
            mix.set(&classes[i % classes.len()], 1.0)?;
            pair(model, recipe, photos, (&mix, &Cut::WHOLE), &mut rng)
        })
        .collect()
}

/// Prepares the recipe's pairs; `Break` when the observer stopped it.
pub fn prepare(
    recipe: &Recipe,
    model: &MiniAutoencoder,
    photos: &Photos,
    observer: &mut dyn TrainObserver,
) -> Result<ControlFlow<(), Vec<Pair>>, ModelError> {
    let mut pairs = Vec::with_capacity(recipe.pairs.count);
    let begun = std::time::Instant::now();
    while pairs.len() < recipe.pairs.count {
        let range = pairs.len()..recipe.pairs.count.min(pairs.len() + REPORT);
        let more: Vec<Pair> = range
            .into_par_iter()
            .map(|i| {
                let mut rng = stream(recipe.seed ^ name_key("pairs"), i as u64, 0);
                let mix = random_mix(recipe, &mut rng);
                let cut = Cut::random(recipe, &mut rng);
                pair(model, recipe, photos, (&mix, &cut), &mut rng)
            })
            .collect::<Result<_, ModelError>>()?;
        pairs.extend(more);
        let samples_per_sec = pairs.len() as f32 / begun.elapsed().as_secs_f32();
        let progress = Progress {
            phase: "preparing pairs".into(),
            step: pairs.len(),
            steps: recipe.pairs.count,
            loss: None,
            samples_per_sec,
        };
        if observer.progress(&progress).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(pairs))
}

/// Fits `x0 ~ N(g s + b, V)` per class and channel by least squares on pairs at ratio 1.
pub fn fit_priors(recipe: &Recipe, model: &MiniAutoencoder, photos: &Photos) -> Result<ClassPriors, ModelError> {
    let classes = &recipe.model.transformer.classes;
    let mut priors = ClassPriors {
        gain: Vec::new(),
        offset: Vec::new(),
        variance: Vec::new(),
    };
    for (c, class) in classes.iter().enumerate() {
        let mut mix = Mix::new();
        mix.set(class, 1.0)?;
        let moments = (0..PRIOR_PAIRS)
            .into_par_iter()
            .map(|i| {
                let mut rng = stream(recipe.seed ^ name_key("priors"), i as u64, c as u64);
                let cut = Cut::random(recipe, &mut rng);
                let [scene, degraded] = latents(model, recipe, photos, (&mix, &cut), &mut rng)?;
                Moments::of(&scene, &degraded)
            })
            .try_reduce(|| Moments(Vec::new()), |a, b| Ok(a.plus(b)))?;
        let (gain, offset, variance) = moments.fit();
        priors.gain.push(gain);
        priors.offset.push(offset);
        priors.variance.push(variance);
    }
    Ok(priors)
}

/// Per channel: count and sums of s, x, s², s x, x².
struct Moments(Vec<[f64; 6]>);

impl Moments {
    fn of(scene: &Tensor, degraded: &Tensor) -> Result<Self, ModelError> {
        let rows = |t: &Tensor| t.flatten(1, 2)?.to_vec2::<f32>();
        let sums = |(s, x): (&Vec<f32>, &Vec<f32>)| {
            s.iter().zip(x).fold([0.0; 6], |mut sums, (&s, &x)| {
                let (s, x) = (f64::from(s), f64::from(x));
                for (sum, term) in sums.iter_mut().zip([1.0, s, x, s * s, s * x, x * x]) {
                    *sum += term;
                }
                sums
            })
        };
        Ok(Self(rows(scene)?.iter().zip(&rows(degraded)?).map(sums).collect()))
    }

    fn plus(self, other: Self) -> Self {
        if self.0.is_empty() {
            return other;
        }
        let add = |(a, b): (&[f64; 6], &[f64; 6])| std::array::from_fn(|i| a[i] + b[i]);
        if other.0.is_empty() {
            self
        } else {
            Self(self.0.iter().zip(&other.0).map(add).collect())
        }
    }

    /// Gain, offset and remaining variance per channel.
    fn fit(&self) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let mut out = (Vec::new(), Vec::new(), Vec::new());
        for [n, s, x, ss, sx, xx] in &self.0 {
            let (s, x, ss, sx, xx) = (s / n, x / n, ss / n, sx / n, xx / n);
            let (spread, joint) = (ss - s * s, sx - s * x);
            let gain = (joint / spread.max(1e-12)).clamp(LEAST_GAIN, 1.0);
            let offset = x - gain * s;
            // E (x - g s - b)² with b the mean difference
            let variance = (xx - x * x) - 2.0 * gain * joint + gain * gain * spread;
            out.0.push(gain as f32);
            out.1.push(offset as f32);
            out.2.push(variance.max(0.0) as f32);
        }
        out
    }
}
