//! Autoencoders: an image to latents, the goldens' latents back to pixels.

use candle_core::DType;
use serde_json::Value;

use super::{Errors, Goldens, compare, golden};
use crate::autoencoder::{KlAutoencoder, KlConfig, TinyAutoencoder};
use crate::error::ModelError;
use crate::io::checkpoint::Weights;

pub(super) fn check_kl(config: &Value, weights: &Weights, case: &Goldens) -> Result<Errors, ModelError> {
    let model = KlAutoencoder::new(
        &KlConfig::from_json(config)?,
        &weights.builder(DType::F32, &case.device),
    )?;
    weights.check_all_used()?;
    let image = golden(case, "image")?;
    let (mean, logvar) = model.moments(image)?;
    let (latents, decoded) = (model.encode(image)?, model.decode(golden(case, "latents")?)?);
    compare(
        case,
        [
            ("mean", &mean),
            ("logvar", &logvar),
            ("latents", &latents),
            ("decoded", &decoded),
        ],
    )
}

pub(super) fn check_tiny(weights: &Weights, case: &Goldens) -> Result<Errors, ModelError> {
    let model = TinyAutoencoder::open(weights, DType::F32, &case.device)?;
    let (latents, decoded) = (
        model.encode(golden(case, "image")?)?,
        model.decode(golden(case, "latents")?)?,
    );
    compare(case, [("latents", &latents), ("decoded", &decoded)])
}
