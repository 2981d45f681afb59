//! What a step trains on, drawn by (seed, step, sample) alone, so that a resumed run draws what an unbroken one would have.

use candle_core::{Device, Tensor};
use mdsd3_words::Mix;
use rand_chacha::rand_core::Rng;

use super::base::Prompts;
use super::data::{Cache, Sample};
use super::objective::{Batch, Conditions, draw_sigma};
use super::recipe::{AdapterRecipe, MaskValues};
use super::{CLEAN_PROMPT, NO_PROMPT};
use crate::error::ModelError;
use crate::mmdit::head_mask;
use crate::sampler::noise::{gaussian, normals, stream, unit};
use crate::train::variables::name_key;

/// Where batches come from.
pub struct Deck<'a> {
    pub recipe: &'a AdapterRecipe,
    pub cache: &'a Cache,
    pub prompts: &'a Prompts,
    pub heads: usize,
    pub shift: f64,
}

/// One sample with its conditions.
struct Card {
    scene: Tensor,
    target: Tensor,
    noise: Tensor,
    context: Tensor,
    pooled: Tensor,
    sigma: f32,
    mask: Vec<f32>,
    name: String,
}

impl Deck<'_> {
    /// Batch `micro` of a step.
    pub fn batch(&self, samples: &[Sample], step: usize, micro: usize) -> Result<Batch, ModelError> {
        let size = self.recipe.training.batch;
        let cards = (0..size).map(|i| self.card(samples, step, micro * size + i));
        joined(&cards.collect::<Result<Vec<_>, _>>()?)
    }

    fn card(&self, samples: &[Sample], step: usize, index: usize) -> Result<Card, ModelError> {
        let objective = &self.recipe.objective;
        let mut rng = stream(
            self.recipe.seed ^ name_key("adapter batches"),
            step as u64,
            index as u64,
        );
        let sample = &samples[(rng.next_u64() % samples.len() as u64) as usize];
        let mut happens = |share: f32| unit(rng.next_u64()) <= f64::from(share) && share > 0.0;
        let (is_clean, is_told_nothing) = (happens(objective.clean_share), happens(objective.prompt_dropout));
        let sigma = draw_sigma(objective.timesteps, self.shift, &mut rng);
        let scene = self.cache.get(&sample.key, "scene")?;
        let noise = Tensor::from_vec(normals(&mut rng, scene.elem_count()), scene.shape(), &Device::Cpu)?;
        let prompt = match (is_clean, is_told_nothing) {
            (_, true) => NO_PROMPT,
            (true, false) => CLEAN_PROMPT,
            (false, false) => &sample.prompt,
        };
        let (context, pooled) = self.prompts.get(prompt)?;
        let (target, mask) = if is_clean {
            (scene.clone(), vec![0.0; self.heads])
        } else {
            (self.cache.get(&sample.key, "target")?, self.mask(&sample.mix))
        };
        Ok(Card {
            scene,
            target,
            noise,
            context,
            pooled,
            sigma,
            mask,
            name: sample.name.clone(),
        })
    }

    /// A sample at a noise level, with noise that only `index` and the recipe's seed decide.
    pub fn fixed(&self, sample: &Sample, index: usize, sigma: f32) -> Result<Batch, ModelError> {
        let scene = self.cache.get(&sample.key, "scene")?;
        let values = gaussian(
            self.recipe.seed ^ name_key("fixed noise"),
            index as u64,
            0,
            scene.elem_count(),
        );
        let (context, pooled) = self.prompts.get(&sample.prompt)?;
        joined(&[Card {
            noise: Tensor::from_vec(values, scene.shape(), &Device::Cpu)?,
            target: self.cache.get(&sample.key, "target")?,
            scene,
            context,
            pooled,
            sigma,
            mask: self.mask(&sample.mix),
            name: sample.name.clone(),
        }])
    }

    fn mask(&self, mix: &Mix) -> Vec<f32> {
        let mut mask = head_mask(mix, &self.recipe.classes, self.heads);
        if self.recipe.objective.mask == MaskValues::Binary {
            for m in &mut mask {
                *m = f32::from(*m > 0.0);
            }
        }
        mask
    }
}

fn joined(cards: &[Card]) -> Result<Batch, ModelError> {
    let cat = |part: fn(&Card) -> &Tensor| Tensor::cat(&cards.iter().map(part).collect::<Vec<_>>(), 0);
    Ok(Batch {
        on: Conditions {
            scene: cat(|c| &c.scene)?,
            context: cat(|c| &c.context)?,
            pooled: cat(|c| &c.pooled)?,
            sigmas: cards.iter().map(|c| c.sigma).collect(),
            masks: cards.iter().map(|c| c.mask.clone()).collect(),
        },
        target: cat(|c| &c.target)?,
        noise: cat(|c| &c.noise)?,
        names: cards.iter().map(|c| c.name.clone()).collect(),
    })
}
