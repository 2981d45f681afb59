//! The checkpoint under an adapter: its autoencoder, its prompts, its shape.

use std::collections::{BTreeSet, HashMap};

use candle_core::{DType, Device, Tensor};
use image::Rgb32FImage;

use super::data::{Cache, Encoder, weights_key};
use super::recipe::AdapterRecipe;
use crate::config::MmditConfig;
use crate::error::ModelError;
use crate::io::layout::Sd3Checkpoint;
use crate::pipeline::{Codec, first_rgb, tensor_from_rgb};
use crate::text::TextEncoders;

/// A checkpoint, its parts opened as they are needed.
pub struct BaseModel {
    pub checkpoint: Sd3Checkpoint,
    /// Its shape, with the recipe's classes.
    pub config: MmditConfig,
    /// Shift of the drawn noise levels.
    pub shift: f64,
}

impl BaseModel {
    /// Opens the recipe's checkpoint; only headers are read.
    ///
    /// # Errors
    /// Bad input for a checkpoint that can't be used, or images that don't suit it.
    pub fn open(recipe: &AdapterRecipe) -> Result<Self, ModelError> {
        let checkpoint = Sd3Checkpoint::open(&recipe.base.model, &recipe.base.parts())?;
        let mut config = checkpoint.config.clone();
        config.classes.clone_from(&recipe.classes);
        config.check()?;
        let shift = recipe.objective.shift.unwrap_or(checkpoint.shift);
        Ok(Self {
            checkpoint,
            config,
            shift,
        })
    }

    /// The autoencoder.
    ///
    /// # Errors
    /// Bad input when there is none, or the recipe's side doesn't suit it.
    pub fn autoencoder(&self, recipe: &AdapterRecipe, device: &Device) -> Result<Autoencoder, ModelError> {
        let source = self.checkpoint.autoencoder.as_ref().ok_or_else(|| {
            ModelError::BadInput(format!(
                "{}: this checkpoint has no autoencoder; name one in the recipe's base.vae",
                recipe.base.model.display()
            ))
        })?;
        let codec = Codec::open(source, device)?;
        let (multiple, side) = ((codec.factor() * self.config.patch_size) as u32, recipe.data.side);
        let largest = multiple * self.config.pos_embed_max_size as u32;
        if !side.is_multiple_of(multiple) || side > largest {
            return Err(ModelError::BadInput(format!(
                "data.side is {side} px: this model takes multiples of {multiple} px up to {largest} px"
            )));
        }
        Ok(Autoencoder {
            key: weights_key(&source.part.weights)?,
            codec,
            device: device.clone(),
        })
    }

    /// Encodes prompts that the cache lacks; the encoders are dropped again behind it.
    pub fn prompts(&self, prompts: BTreeSet<String>, cache: &Cache, device: &Device) -> Result<Prompts, ModelError> {
        let mut identity = String::new();
        for encoder in self.checkpoint.text.encoders.iter().flatten() {
            identity += &weights_key(&encoder.weights)?;
        }
        let mut keys = HashMap::new();
        let mut encoders: Option<TextEncoders> = None;
        for prompt in prompts {
            let key = super::data::prompt_key(&identity, &prompt);
            if !cache.has(&key) {
                let encoders = match &encoders {
                    Some(encoders) => encoders,
                    None => encoders.insert(self.open_text(device)?),
                };
                let encoded = encoders.encode(&prompt)?;
                encoders.forget();
                let tensors = HashMap::from([
                    ("embeds".to_owned(), encoded.embeds.to_device(&Device::Cpu)?),
                    ("pooled".to_owned(), encoded.pooled.to_device(&Device::Cpu)?),
                ]);
                cache.put(&key, &tensors)?;
            }
            keys.insert(prompt, key);
        }
        Ok(Prompts {
            keys,
            cache: cache.clone(),
        })
    }

    fn open_text(&self, device: &Device) -> Result<TextEncoders, ModelError> {
        TextEncoders::open(
            &self.checkpoint.text,
            self.config.joint_attention_dim,
            DType::F32,
            device,
        )
    }
}

/// An autoencoder with its identity.
pub struct Autoencoder {
    codec: Codec,
    key: String,
    device: Device,
}

impl Autoencoder {
    /// The image of latents on the host, `[1, channels, height, width]`.
    ///
    /// # Shapes
    /// `latents: [1, channels, height/factor, width/factor]`
    pub fn decode(&self, latents: &Tensor) -> Result<Rgb32FImage, ModelError> {
        first_rgb(&self.codec.decode(&latents.to_device(&self.device)?, DType::F32)?)
    }
}

impl Encoder for Autoencoder {
    fn key(&self) -> &str {
        &self.key
    }

    fn encode(&self, rgb: &Rgb32FImage) -> Result<Tensor, ModelError> {
        Ok(self.codec.encode(&tensor_from_rgb(rgb, &self.device)?, DType::F32)?)
    }
}

/// Encoded prompts, on disk.
pub struct Prompts {
    keys: HashMap<String, String>,
    cache: Cache,
}

impl Prompts {
    /// Tokens `[1, tokens, joint_attention_dim]` and pooled vector `[1, pooled_projection_dim]`.
    ///
    /// # Shapes
    /// `[1, tokens, joint_attention_dim]` and `[1, pooled_projection_dim]`.
    pub fn get(&self, prompt: &str) -> Result<(Tensor, Tensor), ModelError> {
        let key = self
            .keys
            .get(prompt)
            .ok_or_else(|| ModelError::BadInput(format!("prompt {prompt:?} was not encoded")))?;
        Ok((self.cache.get(key, "embeds")?, self.cache.get(key, "pooled")?))
    }
}
