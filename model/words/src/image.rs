//! Images and spectra as plain numbers.

use std::sync::Arc;

/// An 8-bit sRGB image with opaque alpha, rows top to bottom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgba8 {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `width * height * 4` bytes.
    pub pixels: Arc<[u8]>,
}

/// A 2-D log power spectrum of luma, zero frequency in the middle, and its radial average.
#[derive(Debug, Clone, PartialEq)]
pub struct SpectrumFrame {
    /// Width in frequency bins.
    pub width: u32,
    /// Height in frequency bins.
    pub height: u32,
    /// `log10(power + floor)` per bin, row major, `height * width` values.
    pub log_power: Arc<[f32]>,
    /// Radially averaged power: (radius in cycles per pixel, mean power), ascending radius.
    pub radial: Arc<[(f32, f32)]>,
}

/// How far away everything in a scene is.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthView {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Metres from the camera, `height * width` values; what it says where there is sky doesn't count.
    pub metres: Arc<[f32]>,
    /// How much of each pixel is sky, 0 to 1.
    pub sky: Arc<[f32]>,
    /// Where it comes from, in words such as "estimated from the photo".
    pub source: String,
    /// What a user should know of it, one sentence each; the first word is "warning:" where something is likely wrong.
    pub notes: Vec<String>,
}

/// A map of what was done to a degraded image, such as haze's transmission.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerView {
    /// What it is.
    pub name: String,
    /// Unit of its values: `m`, `share` (0 to 1), `value` (encoded or linear light, may be negative), `weight`, or nothing.
    pub unit: &'static str,
    /// Columns; a kernel has its own.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// 1, or 3 for red, green, blue.
    pub channels: u8,
    /// `height * width * channels` values.
    pub values: Arc<[f32]>,
}
