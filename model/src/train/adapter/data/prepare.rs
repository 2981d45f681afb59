//! Every image checked, cut and encoded once. What can't be used is listed with the reason and left out.

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Tensor};
use image::{Rgb32FImage, imageops};
use mdsd3_weather::depth::estimate;
use mdsd3_weather::{Options, degrade};
use mdsd3_words::Mix;
use mdsd3_words::weather::WEATHER_VERSION;
use rand_chacha::rand_core::Rng;

use super::super::recipe::{AdapterRecipe, Mixes};
use super::cache::{Cache, key};
use crate::error::ModelError;
use crate::io::photo::{decode_photo, fit_square};
use crate::pair_layout::Skipped;
use crate::pair_layout::source::Item;
use crate::sampler::noise::{Stream, stream, unit};
use crate::train::variables::name_key;

/// The version of what is cached: it changes when the same images would give other latents.
const VERSION: &[u8] = b"latents 2";

/// Encodes images, `[1, channels, h, w]` in f32 on the host.
pub trait Encoder {
    /// What tells its latents from another's.
    fn key(&self) -> &str;
    /// Latents of an image.
    fn encode(&self, rgb: &Rgb32FImage) -> Result<Tensor, ModelError>;
}

/// A view of a pair, its latents in the cache.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The image it was cut from.
    pub name: String,
    /// Its entry in the cache.
    pub key: String,
    /// Severities.
    pub mix: Mix,
    /// What the text encoders are told.
    pub prompt: String,
}

/// The data of a run.
#[derive(Debug, Default)]
pub struct Prepared {
    /// Samples to train on.
    pub training: Vec<Sample>,
    /// Samples of scenes that are not trained on.
    pub validation: Vec<Sample>,
    /// What was left out.
    pub skipped: Vec<Skipped>,
}

/// A scene's samples, with the number that decides whether it is trained on.
struct SceneSamples {
    ticket: f64,
    samples: Vec<Sample>,
}

/// Prepares all items; `report` hears how many are done, and may stop (`None` is returned then).
///
/// # Errors
/// Bad input when nothing is left to train on, saying what was wrong with the first image.
pub fn prepare(
    recipe: &AdapterRecipe,
    items: &[Item],
    encoder: &dyn Encoder,
    cache: &Cache,
    report: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Prepared>, ModelError> {
    let mut scenes: BTreeMap<String, SceneSamples> = BTreeMap::new();
    let mut skipped = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match samples(recipe, item, encoder, cache) {
            Ok(Some((scene, ticket, samples))) => {
                let entry = scenes.entry(scene).or_insert_with(|| SceneSamples {
                    ticket,
                    samples: Vec::new(),
                });
                entry.samples.extend(samples);
            }
            Ok(None) => {}
            Err(error) if is_the_images_fault(&error) => skipped.push(Skipped {
                name: item.degraded.as_ref().unwrap_or(&item.clean).name(),
                reason: error.to_string(),
            }),
            Err(error) => return Err(error),
        }
        if !report(index + 1) {
            return Ok(None);
        }
    }
    split(recipe, scenes, skipped).map(Some)
}

/// Reading fails for the image's sake; writing to the cache doesn't.
fn is_the_images_fault(error: &ModelError) -> bool {
    match error {
        ModelError::BadInput(_) | ModelError::Words(_) => true,
        ModelError::Io { path, .. } => path.extension().is_none_or(|e| e != "safetensors"),
        ModelError::Tensor(_) => false,
    }
}

/// Divides scenes by a number of their content, so that a scene stays where it is when others are added.
fn split(
    recipe: &AdapterRecipe,
    scenes: BTreeMap<String, SceneSamples>,
    skipped: Vec<Skipped>,
) -> Result<Prepared, ModelError> {
    let share = f64::from(recipe.data.validation_share);
    let least = scenes.values().map(|s| s.ticket).fold(f64::INFINITY, f64::min);
    // A few scenes may all draw high numbers: one of them is kept all the same.
    let limit = if share > 0.0 && scenes.len() > 1 {
        share.max(least)
    } else {
        -1.0
    };
    let mut prepared = Prepared {
        skipped,
        ..Prepared::default()
    };
    for scene in scenes.into_values() {
        if scene.ticket <= limit {
            prepared.validation.extend(scene.samples);
        } else {
            prepared.training.extend(scene.samples);
        }
    }
    if prepared.training.is_empty() {
        std::mem::swap(&mut prepared.training, &mut prepared.validation);
    }
    if prepared.training.is_empty() {
        let why = prepared
            .skipped
            .first()
            .map_or("no mix of the recipe's classes".to_owned(), |s| s.reason.clone());
        return Err(ModelError::BadInput(format!(
            "{}: no image is left to train on, of {} that can't be used; the first: {why}",
            recipe.data.path.display(),
            prepared.skipped.len()
        )));
    }
    Ok(prepared)
}

/// An item's samples, with its scene's key and number; `None` when the recipe wants no such mix.
#[allow(clippy::type_complexity)] // one tuple, taken apart at its only caller
fn samples(
    recipe: &AdapterRecipe,
    item: &Item,
    encoder: &dyn Encoder,
    cache: &Cache,
) -> Result<Option<(String, f64, Vec<Sample>)>, ModelError> {
    let clean_bytes = item.clean.read()?;
    let scene = key(&[&clean_bytes]);
    let number = name_key(&scene);
    let work = Work {
        recipe,
        item,
        encoder,
        cache,
        number,
    };
    let samples = match &item.degraded {
        Some(degraded) => {
            let mix = pair_mix(recipe, item)?;
            let unwanted = mix.active().count() > 1 && recipe.data.mixes == Mixes::Single;
            if unwanted {
                return Ok(None);
            }
            work.pair(&clean_bytes, &degraded.read()?, &mix)?
        }
        None => work.photo(&clean_bytes)?,
    };
    Ok(Some((scene, unit(number), samples)))
}

/// The severities of a pair: its own, the recipe's, or 1 of the only class.
fn pair_mix(recipe: &AdapterRecipe, item: &Item) -> Result<Mix, ModelError> {
    let mix = match (&item.mix, &recipe.data.mix, recipe.classes.as_slice()) {
        (Some(mix), _, _) | (None, Some(mix), _) => mix.clone(),
        (None, None, [class]) => {
            let mut mix = Mix::new();
            mix.set(class, 1.0)?;
            mix
        }
        _ => {
            return Err(ModelError::BadInput(
                "nothing says which degradations it has; set data.mix in the recipe, such as mix = { rain = 1 }".into(),
            ));
        }
    };
    let mut active = Mix::new();
    for (class, ratio) in mix.active() {
        active.set(class, ratio)?;
    }
    active.check_classes(&recipe.classes)?;
    Ok(active)
}

/// One item under preparation.
struct Work<'a> {
    recipe: &'a AdapterRecipe,
    item: &'a Item,
    encoder: &'a dyn Encoder,
    cache: &'a Cache,
    /// A number of the scene's content.
    number: u64,
}

impl Work<'_> {
    fn pair(&self, clean: &[u8], degraded: &[u8], mix: &Mix) -> Result<Vec<Sample>, ModelError> {
        let name = self.item.degraded.as_ref().unwrap_or(&self.item.clean).name();
        // Decoded at most once, and not at all when every view is cached.
        let mut images: Option<[Rgb32FImage; 2]> = None;
        let mut samples = Vec::new();
        for view in 0..self.recipe.data.views {
            let key = self.key(&[clean, degraded, &(view as u64).to_le_bytes()]);
            if !self.cache.has(&key) {
                let images = match &images {
                    Some(images) => images,
                    None => images.insert(decode_pair(clean, degraded, &self.item.clean.name(), &name)?),
                };
                let [scene, target] = [0, 1].map(|i| self.cut(&images[i], view));
                self.store(&key, &scene, &target)?;
            }
            samples.push(self.sample(&name, key, mix.clone()));
        }
        Ok(samples)
    }

    fn photo(&self, clean: &[u8]) -> Result<Vec<Sample>, ModelError> {
        let name = self.item.clean.name();
        let mut photo: Option<Rgb32FImage> = None;
        let mut samples = Vec::new();
        for view in 0..self.recipe.data.views {
            for variant in 0..self.recipe.data.variants {
                let mut rng = stream(self.recipe.seed ^ self.number, view as u64, variant as u64);
                let mix = self.draw_mix(&mut rng)?;
                let seed = rng.next_u64();
                let place = [view as u64, variant as u64, seed].map(u64::to_le_bytes).concat();
                // Only what formulas make depends on their version: pairs that were read stay in the cache.
                let formulas = format!("weather {WEATHER_VERSION}");
                let key = self.key(&[clean, &place, mix.to_string().as_bytes(), formulas.as_bytes()]);
                if !self.cache.has(&key) {
                    let photo = match &photo {
                        Some(photo) => photo,
                        None => photo.insert(decode_photo(clean, &name)?.rgb),
                    };
                    let scene = self.cut(photo, view);
                    let target = degrade(&scene, &estimate(&scene), &mix, seed, &Options::default())?.image;
                    self.store(&key, &scene, &target)?;
                }
                samples.push(self.sample(&name, key, mix));
            }
        }
        Ok(samples)
    }

    /// Severities of a physical pair.
    fn draw_mix(&self, rng: &mut Stream) -> Result<Mix, ModelError> {
        let data = &self.recipe.data;
        let mut draw = || unit(rng.next_u64()) as f32;
        let two = data.mixes == Mixes::All && self.recipe.classes.len() > 1 && draw() <= data.mixed_share;
        let mut mix = Mix::new();
        while mix.iter().count() < if two { 2 } else { 1 } {
            let at = (draw() * self.recipe.classes.len() as f32) as usize;
            let class = &self.recipe.classes[at.min(self.recipe.classes.len() - 1)];
            let severity = data.least_severity + (1.0 - data.least_severity) * draw();
            mix.set(class, severity)?;
        }
        Ok(mix)
    }

    /// A square: the largest centred one, or another at a random place of a random size, mirrored half of the time.
    fn cut(&self, image: &Rgb32FImage, view: usize) -> Rgb32FImage {
        let side = self.recipe.data.side;
        if view == 0 {
            return fit_square(image, side);
        }
        let mut rng = stream(self.recipe.seed ^ self.number ^ name_key("views"), view as u64, 0);
        let (width, height) = image.dimensions();
        let largest = width.min(height);
        let smallest = largest.min(side);
        let mut below = |n: u32| (rng.next_u64() % u64::from(n)) as u32;
        let square = smallest + below(largest - smallest + 1);
        let (x, y) = (below(width - square + 1), below(height - square + 1));
        let fitted = fit_square(&imageops::crop_imm(image, x, y, square, square).to_image(), side);
        if below(2) == 0 {
            fitted
        } else {
            imageops::flip_horizontal(&fitted)
        }
    }

    fn key(&self, parts: &[&[u8]]) -> String {
        let (seed, side) = (self.recipe.seed.to_le_bytes(), self.recipe.data.side.to_le_bytes());
        let settings: [&[u8]; 4] = [VERSION, self.encoder.key().as_bytes(), &seed, &side];
        key(&[&settings, parts].concat())
    }

    fn store(&self, key: &str, scene: &Rgb32FImage, target: &Rgb32FImage) -> Result<(), ModelError> {
        let on_host = |rgb| -> Result<Tensor, ModelError> {
            Ok(self
                .encoder
                .encode(rgb)?
                .to_dtype(DType::F32)?
                .to_device(&Device::Cpu)?)
        };
        let tensors = HashMap::from([
            ("scene".to_owned(), on_host(scene)?),
            ("target".to_owned(), on_host(target)?),
        ]);
        self.cache.put(key, &tensors)
    }

    fn sample(&self, name: &str, key: String, mix: Mix) -> Sample {
        Sample {
            name: name.to_owned(),
            key,
            prompt: self.item.prompt.clone().unwrap_or_else(|| prompt_of(&mix)),
            mix,
        }
    }
}

/// What a mix is called: its classes' names, or "clean".
fn prompt_of(mix: &Mix) -> String {
    let names: Vec<&str> = mix.active().map(|(class, _)| class).collect();
    if names.is_empty() {
        super::super::CLEAN_PROMPT.to_owned()
    } else {
        names.join(" ")
    }
}

fn decode_pair(clean: &[u8], degraded: &[u8], clean_name: &str, name: &str) -> Result<[Rgb32FImage; 2], ModelError> {
    let (clean, degraded) = (decode_photo(clean, clean_name)?.rgb, decode_photo(degraded, name)?.rgb);
    if clean.dimensions() != degraded.dimensions() {
        let ((w, h), (dw, dh)) = (clean.dimensions(), degraded.dimensions());
        return Err(ModelError::BadInput(format!(
            "{name}: is {dw}x{dh} px and its clean image {w}x{h} px; a pair must have one size"
        )));
    }
    Ok([clean, degraded])
}
