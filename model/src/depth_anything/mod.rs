//! Depth Anything V2 (Yang et al. 2024): disparity of a photo by a network, from a safetensors file.
//!
//! | file | what |
//! |---|---|
//! | `config` | the published sizes and their licences |
//! | `names` | both layouts, and other networks told apart |
//! | `encoder` | `DINOv2`, taken from the same file |
//! | `head` | taps of the encoder fused to a map |
//! | `resample` | PyTorch's bilinear and bicubic |
//!
//! candle-transformers 0.11.1 has this network, in a form that published weights don't get right results from, and whose
//! parts can't be had one by one: its encoder asks for a classifier's weights, takes the tanh form of GELU, another epsilon
//! and nearest neighbours of positions, rows and columns exchanged; its head takes squares of 518 px alone, enlarges by
//! nearest neighbours, and pads its last 1x1 convolution. So the layers are those of this crate.

mod config;
mod encoder;
mod head;
mod names;
mod resample;

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use image::Rgb32FImage;
use image::imageops::{self, FilterType};
use mdsd3_weather::plane::Plane;
use serde_json::Value;

pub use config::{DepthConfig, DepthSize, EncoderConfig};
use encoder::Encoder;
use head::Head;
use names::{DepthLayout, refused};

use crate::device::Place;
use crate::error::ModelError;
use crate::inspect::compare;
use crate::io::builder::Builder;
use crate::io::checkpoint::{Weights, shortened};
use crate::io::layout::{json, resolved, weights_path};
use crate::io::skeleton::Skeleton;

/// Mean of `ImageNet`'s sRGB values, which the encoder takes as 0.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Their standard deviation, which it takes as 1.
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];
/// The long side that the network sees is at most this many times that of its training's squares: memory grows with it.
const LONGEST: f64 = 4.0;

/// Depth Anything V2 in a published size, ready to run in f32.
pub struct DepthNetwork {
    layers: Layers,
    size: DepthSize,
}

impl DepthNetwork {
    /// Opens a safetensors file in the original repository's layout or that of the release for transformers, or a folder with
    /// the latter.
    ///
    /// Depth Anything V1 and the variants for metres have tensors of the same names and shapes: they are told by the
    /// `config.json` beside the file where there is one, and by the file's name. One that is renamed and alone runs as if it
    /// were V2, and its map is wrong.
    ///
    /// # Errors
    /// Bad input that names what it is instead, or what it lacks.
    pub fn open(path: &Path, place: &Place) -> Result<Self, ModelError> {
        let path = resolved(path)?;
        let file = if path.is_dir() { weights_path(&path)? } else { path };
        let stored = Weights::open(&file)?;
        let weights = DepthLayout::of(&stored)?.renamed(&stored);
        refuse_other_variants(&file, &stored)?;
        let Some(size) = size_of(&weights) else {
            return Err(refused(&stored, "this is Depth Anything in no published size"));
        };
        let layers = Layers::new(&DepthConfig::published(size), &weights, &place.device)?;
        Ok(Self { layers, size })
    }

    /// Which size it is, and with it under which licence.
    pub fn size(&self) -> DepthSize {
        self.size
    }

    /// Relative disparity of a photo of sRGB-encoded values in `0..=1`: at least 0, larger is nearer, without unit. Disparity
    /// is inverse depth but for a factor and an offset, which nobody knows (Ranftl et al. 2022, section 5).
    ///
    /// The map covers the whole photo at the network's resolution, 518 px on the short side; `DepthMap::of_network` takes it.
    ///
    /// # Errors
    /// Bad input when the photo has no pixels; what the device reports.
    pub fn disparity(&self, rgb: &Rgb32FImage) -> Result<Plane, ModelError> {
        self.layers.disparity(rgb)
    }
}

/// A network of any size.
pub(crate) struct Layers {
    encoder: Encoder,
    head: Head,
    config: DepthConfig,
    device: Device,
}

impl Layers {
    /// From weights in either layout.
    ///
    /// # Errors
    /// Bad input when it is another network, or tensors are missing, of other shapes, or unknown.
    pub fn open(config: &DepthConfig, stored: &Weights, device: &Device) -> Result<Self, ModelError> {
        Self::new(config, &DepthLayout::of(stored)?.renamed(stored), device)
    }

    fn new(config: &DepthConfig, weights: &Weights, device: &Device) -> Result<Self, ModelError> {
        let parts = |vb: &Builder| -> candle_core::Result<_> {
            let encoder = Encoder::new(&config.backbone_config, &vb.pp("backbone"))?;
            Ok((encoder, Head::new(config, vb)?))
        };
        let skeleton = Skeleton::new(Some(weights));
        parts(&skeleton.builder())?;
        let (missing, unknown) = compare(weights, &skeleton.shapes());
        if !missing.is_empty() {
            let what = format!("it lacks {}: is the download complete?", shortened(&missing));
            return Err(refused(weights, &what));
        }
        if !unknown.is_empty() {
            let what = format!(
                "it holds {}, which Depth Anything V2 has no place for",
                shortened(&unknown)
            );
            return Err(refused(weights, &what));
        }
        let (encoder, head) =
            parts(&weights.builder(DType::F32, device)).map_err(|e| ModelError::in_tensors(weights.name(), &e))?;
        Ok(Self {
            encoder,
            head,
            config: config.clone(),
            device: device.clone(),
        })
    }

    fn disparity(&self, rgb: &Rgb32FImage) -> Result<Plane, ModelError> {
        let map = self.forward(&self.pixels(rgb)?)?;
        let (height, width) = map.dims2()?;
        let values = map.flatten_all()?.to_vec1()?;
        Ok(Plane { width, height, values })
    }

    /// What the network sees of a photo: `[height, width, 3]`.
    fn pixels(&self, rgb: &Rgb32FImage) -> Result<Tensor, ModelError> {
        if rgb.width() == 0 || rgb.height() == 0 {
            return Err(ModelError::BadInput("the photo has no pixels, so no depth".into()));
        }
        let (width, height) = input_size(rgb.dimensions(), &self.config.backbone_config);
        let resized = imageops::resize(rgb, width, height, FilterType::CatmullRom);
        let normal = |(i, value): (usize, f32)| (value.clamp(0.0, 1.0) - MEAN[i % 3]) / DEVIATION[i % 3];
        let values = resized.into_raw().into_iter().enumerate().map(normal).collect();
        Ok(Tensor::from_vec(
            values,
            (height as usize, width as usize, 3),
            &self.device,
        )?)
    }

    /// Disparity out of normalised colours.
    ///
    /// # Shapes
    /// `pixels: [height, width, 3]`, both sides multiples of a patch; result `[height, width]`.
    pub fn forward(&self, pixels: &Tensor) -> Result<Tensor, ModelError> {
        Ok(self.head.forward(&self.encoder.forward(pixels)?)?)
    }
}

/// Width and height to which the original repository brings a photo: the short side to that of the training's squares, the
/// long one in proportion, to the nearest multiple of a patch. Photos longer than [`LONGEST`] get a shorter short side.
fn input_size((width, height): (u32, u32), encoder: &EncoderConfig) -> (u32, u32) {
    let (short, long) = (f64::from(width.min(height)), f64::from(width.max(height)));
    let patches = encoder.positions_per_side() as f64;
    let patches = patches
        .min((LONGEST * patches * short / long).round_ties_even())
        .max(1.0);
    let fitted = |px: u32| (f64::from(px) / short * patches).round_ties_even() * encoder.patch_size as f64;
    (fitted(width) as u32, fitted(height) as u32)
}

/// The published size with an encoder of this width and depth.
fn size_of(weights: &Weights) -> Option<DepthSize> {
    let width = weights.shape("backbone.embeddings.cls_token")?.last().copied()?;
    let has_block = |block: usize| weights.contains(&format!("backbone.encoder.layer.{block}.norm1.weight"));
    DepthSize::ALL.into_iter().find(|size| {
        let encoder = DepthConfig::published(*size).backbone_config;
        encoder.hidden_size == width && !has_block(encoder.num_hidden_layers)
    })
}

/// Depth Anything V1 taps other layers, and the variants for metres end in a sigmoid: neither shows in their tensors.
fn refuse_other_variants(file: &Path, weights: &Weights) -> Result<(), ModelError> {
    let metric = "this is a variant for metres, whose end is another";
    let first = "this is Depth Anything V1, which taps other layers";
    let config = json(&file.with_file_name("config.json"))?.unwrap_or_default();
    if config["model_type"] == "depth_anything" {
        let taps = &config["backbone_config"]["out_indices"];
        let is_published =
            |size| taps == &Value::from(DepthConfig::published(size).backbone_config.out_indices.to_vec());
        if config["depth_estimation_type"] == "metric" {
            return Err(refused(weights, &format!("its config.json says that {metric}")));
        }
        if !taps.is_null() && !DepthSize::ALL.into_iter().any(is_published) {
            return Err(refused(weights, &format!("its config.json says that {first}")));
        }
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let is_first = ["vits14", "vitb14", "vitl14"].iter().any(|size| name.contains(size));
    match (name.contains("metric"), name.starts_with("depth_anything_") && is_first) {
        (true, _) => Err(refused(weights, &format!("its name says that {metric}"))),
        (_, true) => Err(refused(weights, &format!("its name says that {first}"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
