//! Images to tensors and back.

use candle_core::{DType, Device, Tensor};
use image::Rgb32FImage;

use crate::error::ModelError;

/// An image, sRGB in 0..=1, as a tensor in -1..=1.
///
/// # Shapes
/// Result: `[1, 3, height, width]`.
///
/// # Errors
/// What the device reports.
pub fn tensor_from_rgb(rgb: &Rgb32FImage, device: &Device) -> Result<Tensor, ModelError> {
    let (width, height) = rgb.dimensions();
    let pixels = Tensor::from_slice(rgb.as_raw(), (1, height as usize, width as usize, 3), device)?;
    Ok(((pixels.permute((0, 3, 1, 2))?.contiguous()? * 2.0)? - 1.0)?)
}

/// One image per batch entry, sRGB in 0..=1, from values in -1..=1; those outside are clamped.
///
/// # Shapes
/// `pixels: [batch, 3, height, width]`
///
/// # Errors
/// Tensors of other shapes.
pub fn rgb_from_tensor(pixels: &Tensor) -> Result<Vec<Rgb32FImage>, ModelError> {
    let (batch, _, height, width) = pixels.dims4()?;
    let pixels = ((pixels.to_dtype(DType::F32)? + 1.0)? * 0.5)?
        .clamp(0f32, 1f32)?
        .permute((0, 2, 3, 1))?
        .contiguous()?;
    (0..batch)
        .map(|i| {
            let values = pixels.get(i)?.flatten_all()?.to_vec1::<f32>()?;
            Rgb32FImage::from_raw(width as u32, height as u32, values)
                .ok_or_else(|| ModelError::BadInput(format!("decoded image {i} has no pixels")))
        })
        .collect()
}

/// The first image of a batch, as [`rgb_from_tensor`] makes it.
///
/// # Shapes
/// `pixels: [batch, 3, height, width]`
pub fn first_rgb(pixels: &Tensor) -> Result<Rgb32FImage, ModelError> {
    rgb_from_tensor(&pixels.narrow(0, 0, 1)?)?
        .pop()
        .ok_or_else(|| ModelError::BadInput("the autoencoder made no image".into()))
}
