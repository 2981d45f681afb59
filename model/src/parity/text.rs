//! CLIP text encoders and T5 from token ids.

use candle_core::{DType, Tensor};

use super::{Errors, Goldens, compare, golden};
use crate::error::ModelError;
use crate::io::checkpoint::Weights;
use crate::text::{ClipConfig, ClipEncoder, T5Config, T5Encoder};

pub(super) fn check_clip(config: &ClipConfig, weights: &Weights, case: &Goldens) -> Result<Errors, ModelError> {
    let encoder = ClipEncoder::open(config, weights, &case.device)?;
    weights.check_all_used()?;
    let ours = encoder.encode(&ids(case)?)?;
    compare(case, [("penultimate", &ours.penultimate), ("pooled", &ours.pooled)])
}

pub(super) fn check_t5(config: &T5Config, weights: &Weights, case: &Goldens) -> Result<Errors, ModelError> {
    let encoder = T5Encoder::open(config, weights, &case.device)?;
    weights.check_all_used()?;
    compare(case, [("last_hidden", &encoder.encode(&ids(case)?)?)])
}

fn ids(case: &Goldens) -> Result<Tensor, ModelError> {
    Ok(golden(case, "input_ids")?.to_dtype(DType::U32)?)
}
