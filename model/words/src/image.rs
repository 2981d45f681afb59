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
