//! Depth Anything V2 in both layouts, from what the network sees to disparity.

use candle_core::{DType, Tensor};

use super::{Errors, Goldens, golden, max_abs_error};
use crate::depth_anything::{DepthConfig, Layers};
use crate::error::ModelError;
use crate::io::checkpoint::Weights;

pub(super) fn check(config: &DepthConfig, layouts: [(&str, Weights); 2], case: &Goldens) -> Result<Errors, ModelError> {
    let pixels = golden(case, "pixels")?.to_dtype(DType::F32)?.permute((1, 2, 0))?;
    let disparity = |weights: &Weights| -> Result<Tensor, ModelError> {
        Layers::open(config, weights, &case.device)?.forward(&pixels.contiguous()?)
    };
    let error = |(layout, weights): (&str, Weights)| {
        let error = max_abs_error(&disparity(&weights)?, golden(case, "disparity")?)?;
        Ok((format!("disparity ({layout})"), error))
    };
    layouts.into_iter().map(error).collect()
}
