//! The facade that the engine drives: a model that encodes scenes, samples mixes and decodes latents.
//!
//! | file | what |
//! |---|---|
//! | `sampling` | one batch of lanes, from noise or a branch to latents |
//! | `latents` | latents as they leave this crate |
//! | `denoiser` | what is asked of a family's network |
//! | `codec` | the autoencoder, whichever it is |
//! | `images` | images to tensors and back |
//!
//! Opening one is the business of [`family`](crate::family).

mod codec;
mod denoiser;
mod images;
mod latents;
mod sampling;

use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Tensor};
use image::Rgb32FImage;
use mdsd3_words::ModelSummary;

use crate::autoencoder::LatentProjection;
use crate::device::Place;
use crate::error::ModelError;
use crate::io::photo::scene_key;
pub(crate) use codec::Codec;
pub(crate) use denoiser::{Conditions, Denoiser, SceneMemory, Words};
pub(crate) use images::first_rgb;
pub use images::{rgb_from_tensor, tensor_from_rgb};
pub use latents::Latents;
pub(crate) use sampling::CLEAN_PROMPT;
pub use sampling::{Batch, BranchPoint, BranchStart, LaneStep};

/// A scene the model has seen: latents and everything of the clean path, computed once.
pub struct Scene {
    /// `[1, channels, height/factor, width/factor]`, in f32.
    pub(crate) latents: Tensor,
    /// What the network keeps of it.
    pub(crate) memory: SceneMemory,
    key: u64,
}

impl Scene {
    /// The scene's latents.
    pub fn latents(&self) -> Latents {
        Latents::of(self.latents.clone())
    }
}

/// What a family puts a pipeline together from.
pub(crate) struct Parts {
    pub info: ModelSummary,
    /// Shift of the noise levels.
    pub shift: f64,
    pub autoencoder: Codec,
    /// A faster decoder for previews.
    pub preview: Option<Codec>,
    pub denoiser: Box<dyn Denoiser>,
    pub place: Place,
}

/// A pipeline: autoencoder and denoiser.
///
/// Latents are f32 whatever the networks compute in: late steps divide by small noise levels, which would blow up the rounding
/// of half precision.
pub struct Pipeline {
    parts: Parts,
    /// Colours of the last scene's latents, for previews where decoding is slow and there is no faster decoder.
    projection: Mutex<Option<LatentProjection>>,
}

impl Pipeline {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts,
            projection: Mutex::default(),
        }
    }

    /// Sets the factor on an adapter's low-rank updates: 0 leaves them out, 1 is as trained. Scenes encoded before keep
    /// what they were encoded with.
    ///
    /// # Errors
    /// Bad input when there is no adapter.
    pub fn set_adapter_strength(&self, strength: f32) -> Result<(), ModelError> {
        if self.parts.denoiser.set_strength(strength)? {
            return Ok(());
        }
        Err(ModelError::BadInput(
            "this model has no adapter, whose strength could be set; give one with --adapter".into(),
        ))
    }

    /// Facts about this pipeline; where it came from, device and dtype are empty.
    pub fn info(&self) -> &ModelSummary {
        &self.parts.info
    }

    /// Encodes a fitted scene and lets the network look at it; values sRGB in 0..=1, sides multiples of `size_multiple`.
    ///
    /// # Errors
    /// Bad input for sides that don't suit the model.
    pub fn encode_scene(&self, rgb: &Rgb32FImage) -> Result<Scene, ModelError> {
        let (width, height) = rgb.dimensions();
        let multiple = self.parts.info.size_multiple;
        if !width.is_multiple_of(multiple) || !height.is_multiple_of(multiple) {
            return Err(ModelError::BadInput(format!(
                "a scene of {width}x{height} px does not suit this model: sides must be multiples of {multiple} px"
            )));
        }
        if width.max(height) > self.parts.info.max_size {
            return Err(ModelError::BadInput(format!(
                "a scene of {width}x{height} px is too large for this model: at most {} px a side",
                self.parts.info.max_size
            )));
        }
        let parts = &self.parts;
        let pixels = tensor_from_rgb(rgb, &parts.place.device)?;
        let latents = parts
            .autoencoder
            .encode(&pixels, parts.place.dtype)?
            .to_dtype(DType::F32)?;
        if parts.preview.is_none() && parts.autoencoder.is_slow() {
            let fitted = LatentProjection::fit(&latents, &pixels)?;
            *self.projection.lock().unwrap_or_else(PoisonError::into_inner) = Some(fitted);
        }
        Ok(Scene {
            memory: parts.denoiser.look_at(&latents)?,
            latents,
            key: scene_key(rgb),
        })
    }

    /// Decodes latents in one batch to an image each, sRGB in 0..=1.
    ///
    /// # Errors
    /// Latents of another model's shape; bad input for an image with values that are no numbers, which would become black pixels
    /// without a word.
    pub fn rgb_from_latents<'a>(
        &self,
        latents: impl IntoIterator<Item = &'a Latents>,
    ) -> Result<Vec<Rgb32FImage>, ModelError> {
        let (batch, dtype) = (Latents::join(latents)?, self.parts.place.dtype);
        let images = rgb_from_tensor(&self.parts.autoencoder.decode(&batch, dtype)?)?;
        if images.iter().all(|image| image.iter().all(|value| value.is_finite())) {
            return Ok(images);
        }
        Err(ModelError::BadInput(format!(
            "the image holds values that are no numbers, computed in {}: lower guidance, alpha or beta, or compute in f32; a \
             checkpoint that is damaged gives this at any setting",
            dtype.as_str()
        )))
    }

    /// A quick look at latents: through the preview decoder, or as the colours that the last scene's latents had, at
    /// latent resolution; decoded as they are where that is quick.
    ///
    /// # Errors
    /// Latents of another model's shape.
    pub fn preview_from_latents(&self, latents: &Latents) -> Result<Rgb32FImage, ModelError> {
        let parts = &self.parts;
        let latents = latents.tensor();
        if let Some(preview) = &parts.preview {
            return first_rgb(&preview.decode(latents, parts.place.dtype)?);
        }
        let projection = self.projection.lock().unwrap_or_else(PoisonError::into_inner);
        match projection.as_ref() {
            None => first_rgb(&parts.autoencoder.decode(latents, parts.place.dtype)?),
            Some(projection) => {
                let small = projection.rgb(&latents.to_dtype(DType::F32)?)?;
                let (_, _, height, width) = small.dims4()?;
                let factor = parts.autoencoder.factor();
                first_rgb(&small.upsample_nearest2d(height * factor, width * factor)?)
            }
        }
    }
}
