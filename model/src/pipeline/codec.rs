//! The autoencoder of a pipeline, whichever it is.

use candle_core::{DType, Device, Result, Tensor};

use crate::autoencoder::{KlAutoencoder, KlConfig, MiniAutoencoder, TinyAutoencoder};
use crate::error::ModelError;
use crate::io::layout::{AutoencoderKind, AutoencoderSource};

/// An autoencoder: pixels in -1..=1 to the latents that a transformer sees, and back.
pub(crate) enum Codec {
    Mini(MiniAutoencoder),
    Kl(Box<KlAutoencoder>),
    Tiny(Box<TinyAutoencoder>),
}

impl Codec {
    /// Opens one from its tensors. In f32 whatever the transformer computes in: the KL autoencoder's activations leave f16's
    /// range, and the 0.3 GB are small beside the transformer.
    pub fn open(source: &AutoencoderSource, device: &Device) -> std::result::Result<Self, ModelError> {
        let weights = &source.part.weights;
        let bad = |e: candle_core::Error| ModelError::in_tensors(weights.name(), &e);
        match source.kind {
            AutoencoderKind::Kl => {
                let config = KlConfig::from_json(&source.part.config)
                    .map_err(|e| ModelError::BadInput(format!("{}: {e}", weights.name())))?;
                let codec = KlAutoencoder::new(&config, &weights.builder(DType::F32, device)).map_err(bad)?;
                weights.check_all_used()?;
                Ok(Self::Kl(Box::new(codec)))
            }
            AutoencoderKind::Tiny => Ok(Self::Tiny(Box::new(TinyAutoencoder::open(
                weights,
                DType::F32,
                device,
            )?))),
        }
    }

    /// Pixels per latent pixel side.
    pub fn factor(&self) -> usize {
        match self {
            Self::Mini(codec) => codec.factor(),
            Self::Kl(codec) => codec.config().factor(),
            Self::Tiny(codec) => codec.factor(),
        }
    }

    /// Whether decoding every step for a preview would take longer than the steps.
    pub fn is_slow(&self) -> bool {
        matches!(self, Self::Kl(_))
    }

    /// Channels of its latents, where it can say.
    pub fn latent_channels(&self) -> Option<usize> {
        match self {
            Self::Mini(_) => None,
            Self::Kl(codec) => Some(codec.config().latent_channels),
            Self::Tiny(codec) => Some(codec.latent_channels()),
        }
    }

    /// # Shapes
    /// `rgb: [batch, 3, height, width]` in -1..=1, result `[batch, channels, height/factor, width/factor]` in `dtype`.
    pub fn encode(&self, rgb: &Tensor, dtype: DType) -> Result<Tensor> {
        match self {
            Self::Mini(codec) => codec.encode(&rgb.to_dtype(dtype)?),
            Self::Kl(codec) => codec.encode(&rgb.to_dtype(DType::F32)?)?.to_dtype(dtype),
            Self::Tiny(codec) => codec.encode(&rgb.to_dtype(DType::F32)?)?.to_dtype(dtype),
        }
    }

    /// # Shapes
    /// Inverse of [`Self::encode`], on latents in any format; values may leave -1..=1 a little.
    pub fn decode(&self, latents: &Tensor, dtype: DType) -> Result<Tensor> {
        match self {
            Self::Mini(codec) => codec.decode(&latents.to_dtype(dtype)?),
            Self::Kl(codec) => codec.decode(&latents.to_dtype(DType::F32)?),
            Self::Tiny(codec) => codec.decode(&latents.to_dtype(DType::F32)?),
        }
    }
}
