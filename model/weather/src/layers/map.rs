//! One map as a file.

use std::borrow::Cow;
use std::io::Cursor;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, Rgb32FImage};
use mdsd3_words::WordsError;
use mdsd3_words::weather::MapFormat;
use npyz::WriterBuilder;

use crate::kernel::Kernel;
use crate::plane::Plane;

/// Largest stored value of a 16-bit PNG.
const FULL: f32 = 65_535.0;

/// What is known of a map's values.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// 0 to 1.
    Share,
    /// 0 or more, rarely above 1.
    Light,
    /// Any number.
    Any,
}

/// Numbers with their shape.
#[derive(Clone)]
pub(super) struct Numbers<'a> {
    rows: usize,
    columns: usize,
    /// 1 or 3.
    channels: usize,
    values: Cow<'a, [f32]>,
}

impl<'a> Numbers<'a> {
    pub(super) fn plane(plane: &'a Plane) -> Self {
        Self {
            rows: plane.height,
            columns: plane.width,
            channels: 1,
            values: Cow::Borrowed(&plane.values),
        }
    }

    pub(super) fn image(image: &'a Rgb32FImage) -> Self {
        Self {
            rows: image.height() as usize,
            columns: image.width() as usize,
            channels: 3,
            values: Cow::Borrowed(image.as_raw()),
        }
    }

    pub(super) fn kernel(kernel: &'a Kernel) -> Self {
        Self {
            rows: kernel.height,
            columns: kernel.width,
            channels: 1,
            values: Cow::Borrowed(&kernel.weights),
        }
    }

    /// What hides the light behind: 1 less what passes.
    pub(super) fn opacity(keep: &Plane) -> Self {
        Self {
            rows: keep.height,
            columns: keep.width,
            channels: 1,
            values: keep.values.iter().map(|keep| 1.0 - keep).collect(),
        }
    }
}

/// One file that is to be written.
pub(super) struct Map<'a> {
    pub(super) file: String,
    /// What a stored value is multiplied by; `None` for NPY, which stores the values.
    png_scale: Option<f32>,
    values: Numbers<'a>,
}

impl<'a> Map<'a> {
    /// A map called `name`, as PNG where its kind and the format allow.
    pub(super) fn new(name: &str, kind: Kind, values: Numbers<'a>, format: MapFormat) -> Self {
        let largest = || values.values.iter().copied().fold(1.0, f32::max);
        let png_scale = match (format, kind) {
            (MapFormat::Npy, _) | (_, Kind::Any) => None,
            (MapFormat::Png, Kind::Share) => Some(1.0 / FULL),
            (MapFormat::Png, Kind::Light) => Some(largest() / FULL),
        };
        Self {
            file: format!("{name}.{}", if png_scale.is_some() { "png" } else { "npy" }),
            png_scale,
            values,
        }
    }

    /// What a stored value is multiplied by.
    pub(super) fn scale(&self) -> f32 {
        self.png_scale.unwrap_or(1.0)
    }

    /// The file's name and its bytes.
    pub(super) fn encoded(&self) -> Result<(String, Vec<u8>), WordsError> {
        let bytes = match self.png_scale {
            Some(scale) => self.png(scale).map_err(|error| error.to_string()),
            None => self.npy().map_err(|error| error.to_string()),
        };
        let bytes = bytes.map_err(|error| WordsError::BadInput(format!("{}: {error}", self.file)))?;
        Ok((self.file.clone(), bytes))
    }

    fn png(&self, scale: f32) -> image::ImageResult<Vec<u8>> {
        let stored = |value: &f32| ((value / scale).round().clamp(0.0, FULL) as u16).to_ne_bytes();
        let values: Vec<u8> = self.values.values.iter().flat_map(stored).collect();
        let colour = if self.values.channels == 3 {
            ExtendedColorType::Rgb16
        } else {
            ExtendedColorType::L16
        };
        let mut bytes = Vec::new();
        let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive);
        encoder.write_image(&values, self.values.columns as u32, self.values.rows as u32, colour)?;
        Ok(bytes)
    }

    fn npy(&self) -> std::io::Result<Vec<u8>> {
        let Numbers {
            rows,
            columns,
            channels,
            values,
        } = &self.values;
        let mut shape = vec![*rows, *columns];
        if *channels > 1 {
            shape.push(*channels);
        }
        npy(&shape, values)
    }
}

/// An NPY file of 32-bit floats, little-endian, in C order.
///
/// # Errors
/// When there are more or fewer values than the shape has.
pub fn npy(shape: &[usize], values: &[f32]) -> std::io::Result<Vec<u8>> {
    let shape: Vec<u64> = shape.iter().map(|side| *side as u64).collect();
    let kind = "<f4".parse().map_err(std::io::Error::other)?;
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = npyz::WriteOptions::<f32>::new()
        .dtype(npyz::DType::Plain(kind))
        .shape(&shape)
        .writer(&mut bytes)
        .begin_nd()?;
    writer.extend(values.iter().copied())?;
    writer.finish()?;
    Ok(bytes.into_inner())
}
