//! Regions of the network's mixes: each class where its mask is white.
//!
//! A network degrades the whole scene, so a masked class is a residual: the mix less the mix without that class, on the same noise,
//! times the mask. Classes with masks are added one mask after the other to the mix of those that have none,
//! `I = I_0 + sum_j m_j (I_j - I_(j-1))`, where `I_0` is that mix, or what the autoencoder makes of the scene when every class has a
//! mask. White masks give the whole mix exactly, black ones `I_0`; each mask but the last costs a run, and so does `I_0` when it is
//! a mix. What a class changes elsewhere because of the others, such as haze that veils rain, stays with the class that is added
//! later: the order is that of the mix.

use image::Rgb32FImage;
use mdsd3_weather::Region;
use mdsd3_weather::plane::Plane;
use mdsd3_words::{Mix, RenderRequest, WordsError};

use crate::error::RenderError;

/// Mixes of one run, from what has no mask to the whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts<'a> {
    /// The mix without any masked class; `None` when every class has a mask.
    pub base: Option<Mix>,
    /// Each mix with the mask of what it adds to the one before; the last is the whole.
    pub steps: Vec<(Mix, &'a Plane)>,
}

impl<'a> Parts<'a> {
    /// The parts of a mix; `None` when none of its classes has a mask, or it is clean.
    ///
    /// # Errors
    /// None for a mix that was checked.
    pub fn of(mix: &Mix, regions: &'a [Region]) -> Result<Option<Self>, RenderError> {
        let mask_of = |class: &str| {
            regions
                .iter()
                .find(|region| region.class == class)
                .map(|region| &region.mask)
        };
        let mut masks: Vec<&Plane> = Vec::new();
        for (class, _) in mix.active() {
            if let Some(mask) = mask_of(class).filter(|mask| !masks.contains(mask)) {
                masks.push(mask);
            }
        }
        if masks.is_empty() {
            return Ok(None);
        }
        let with = |count: usize| -> Result<Mix, RenderError> {
            let mut part = Mix::new();
            let is_in = |class: &str| mask_of(class).is_none_or(|mask| masks[..count].contains(&mask));
            for (class, ratio) in mix.active().filter(|(class, _)| is_in(class)) {
                part.set(class, ratio).map_err(WordsError::from)?;
            }
            Ok(part)
        };
        let steps = masks.iter().enumerate();
        Ok(Some(Self {
            base: Some(with(0)?).filter(|base| !base.is_clean()),
            steps: steps
                .map(|(index, mask)| Ok((with(index + 1)?, *mask)))
                .collect::<Result<_, RenderError>>()?,
        }))
    }

    /// The mixes that are rendered beside the whole one, in order: the base where it is one, and all steps but the last.
    pub fn others(&self) -> impl Iterator<Item = &Mix> {
        let steps = self.steps.split_last().map_or(&[][..], |(_, steps)| steps);
        self.base.iter().chain(steps.iter().map(|(mix, _)| mix))
    }

    /// The image of the parts.
    ///
    /// # Arguments
    /// - `scene`: what there is where no class acts; needed when there is no base
    /// - `others`, `whole`: images of [`Self::others`] and of the whole mix
    pub fn blend(&self, scene: Option<&Rgb32FImage>, others: &[Rgb32FImage], whole: &Rgb32FImage) -> Rgb32FImage {
        let (first, steps) = match (&self.base, others.split_first()) {
            (Some(_), Some((base, steps))) => (base, steps),
            _ => (scene.unwrap_or(whole), others),
        };
        let mut image = first.clone();
        let mut before = first;
        for ((_, mask), after) in self.steps.iter().zip(steps.iter().chain([whole])) {
            let pixels = image.as_mut().chunks_exact_mut(3).zip(&mask.values);
            let residuals = before.as_raw().chunks_exact(3).zip(after.as_raw().chunks_exact(3));
            for ((pixel, share), (before, after)) in pixels.zip(residuals) {
                for channel in 0..3 {
                    pixel[channel] += share * (after[channel] - before[channel]);
                }
            }
            before = after;
        }
        image
    }
}

/// The run of another mix on the same noise.
pub fn run_of(request: &RenderRequest, mix: &Mix) -> RenderRequest {
    let mut run = request.clone();
    run.sampling.mix = mix.clone();
    // A curve of a class that is left out says nothing.
    run.sampling.curves.retain(|curve| mix.ratio(curve.class()) > 0.0);
    run
}

/// Refuses masks of classes that a model doesn't have.
///
/// # Errors
/// Bad input that names the class and the model's.
pub fn check_classes(request: &RenderRequest, known: &[String]) -> Result<(), RenderError> {
    let unknown = request
        .weather
        .regions
        .iter()
        .find(|region| !known.contains(&region.class));
    match unknown {
        Some(region) if !known.is_empty() => Err(RenderError::BadInput(format!(
            "where: {} is no class of this model (its classes: {})",
            region.class,
            known.join(", ")
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn mask(class: &str, values: [f32; 2]) -> Region {
        Region {
            class: class.to_owned(),
            mask: Plane {
                width: 2,
                height: 1,
                values: values.to_vec(),
            },
        }
    }

    fn flat(value: f32) -> Rgb32FImage {
        Rgb32FImage::from_pixel(2, 1, Rgb([value; 3]))
    }

    fn mixes(parts: &Parts<'_>) -> Vec<String> {
        parts.others().map(ToString::to_string).collect()
    }

    #[test]
    fn one_mask_for_all_costs_no_other_run() {
        let mix: Mix = "rain=0.5,haze=0.8".parse().expect("a mix");
        let regions = [mask("rain", [1.0, 0.25]), mask("haze", [1.0, 0.25])];
        let parts = Parts::of(&mix, &regions).expect("parts").expect("masks");
        assert_eq!((parts.base.clone(), mixes(&parts).len()), (None, 0));
        let image = parts.blend(Some(&flat(0.2)), &[], &flat(0.6));
        assert_eq!((image.get_pixel(0, 0)[0], image.get_pixel(1, 0)[0]), (0.6, 0.3));
    }

    /// Rain adds 0.1 to the scene and 0.05 to haze; haze alone adds 0.4.
    #[test]
    fn a_masked_class_is_added_to_the_mix_without_it() {
        let mix: Mix = "rain=0.5,haze=0.8,snow=0".parse().expect("a mix");
        let regions = [mask("rain", [1.0, 0.0]), mask("snow", [0.0, 0.0])];
        let parts = Parts::of(&mix, &regions).expect("parts").expect("masks");
        assert_eq!(mixes(&parts), ["haze=0.8"]);
        let image = parts.blend(None, &[flat(0.6)], &flat(0.65));
        assert!((image.get_pixel(0, 0)[0] - 0.65).abs() < 1e-6 && (image.get_pixel(1, 0)[0] - 0.6).abs() < 1e-6);
    }

    #[test]
    fn each_mask_adds_its_own_residual() {
        let mix: Mix = "rain=0.5,haze=0.8".parse().expect("a mix");
        let regions = [mask("rain", [1.0, 0.0]), mask("haze", [1.0, 0.5])];
        let parts = Parts::of(&mix, &regions).expect("parts").expect("masks");
        assert_eq!(mixes(&parts), ["rain=0.5"]);
        let image = parts.blend(Some(&flat(0.2)), &[flat(0.3)], &flat(0.65));
        // 0.2 + 1 (0.3 - 0.2) + 1 (0.65 - 0.3), and 0.2 + 0.5 (0.65 - 0.3).
        assert!((image.get_pixel(0, 0)[2] - 0.65).abs() < 1e-6 && (image.get_pixel(1, 0)[2] - 0.375).abs() < 1e-6);
    }

    #[test]
    fn without_masks_nothing_is_taken_apart() {
        let mix: Mix = "rain=0.5".parse().expect("a mix");
        assert_eq!(Parts::of(&mix, &[]).expect("parts"), None);
        assert_eq!(Parts::of(&Mix::new(), &[mask("rain", [1.0; 2])]).expect("parts"), None);
    }
}
