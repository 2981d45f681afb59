//! Depth maps as files: PNG of 8 or 16 bits, TIFF of integers or floats, NPY.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, ImageReader};
use mdsd3_words::WordsError;
use mdsd3_words::weather::DepthKind;
use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult, Limits};

use super::map::DepthMap;
use super::{DepthSource, bad};
use crate::plane::Plane;

/// Most pixels accepted, as for photos.
const MAX_PIXELS: u64 = 64_000_000;
/// What a decoder may allocate for itself, in bytes.
const MAX_DECODER_BYTES: u64 = 1 << 30;
/// Why colours are no depth.
const COLOURS: &str = "is in colours, which say no distance without the palette they came from; save depth as one grey channel (PNG, TIFF or NPY)";

/// Numbers of a file, interleaved.
struct Samples {
    size: (u64, u64),
    channels: usize,
    values: Vec<f32>,
}

/// Reads a depth map from the bytes of its file, whose content decides the format. `name` is how messages call it.
///
/// # Arguments
/// - `kind`: what its numbers are
/// - `metres_per_unit`: metres in one unit of a distance, metres times the unit of a disparity; absent where nobody knows
///
/// # Errors
/// [`WordsError::BadInput`] that names the file and says what to do: a format that holds no depth, colours, alpha, numbers that are
/// negative, not a number or all the same, and a map most of which is holes.
pub fn read(bytes: &[u8], name: &str, kind: DepthKind, metres_per_unit: Option<f32>) -> Result<DepthMap, WordsError> {
    let refused = |reason: String| bad(format!("{name}: {reason}").replace(['\n', '\r'], " "));
    let samples = match bytes {
        [0x89, b'P', b'N', b'G', ..] => png(bytes),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => tiff(bytes),
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => npy(bytes),
        _ => Err("is no depth map: give a PNG of 8 or 16 bits, a TIFF or an NPY file".to_owned()),
    };
    let mut notes = Vec::new();
    let plane = samples
        .and_then(|samples| one_channel(samples, &mut notes))
        .map_err(refused)?;
    DepthMap::new(
        plane,
        kind,
        metres_per_unit,
        (DepthSource::File(name.to_owned()), notes),
    )
    .map_err(refused)
}

fn check_size((width, height): (u64, u64)) -> Result<(), String> {
    if width == 0 || height == 0 {
        return Err("has no pixels; save it again".to_owned());
    }
    if width.saturating_mul(height) > MAX_PIXELS {
        return Err(format!(
            "is {width}x{height} px; the limit is 64 megapixels, downscale it first"
        ));
    }
    Ok(())
}

fn one_channel(samples: Samples, notes: &mut Vec<String>) -> Result<Plane, String> {
    let Samples {
        size: (width, height),
        channels,
        values,
    } = samples;
    let (width, height) = (width as usize, height as usize);
    if values.len() != width * height * channels {
        return Err("is cut off; save it again".to_owned());
    }
    let values = match channels {
        1 => values,
        2 | 4 => return Err("has an alpha channel, which says no distance; save depth as one grey channel".to_owned()),
        3 => {
            let is_gray =
                |pixel: &[f32]| pixel[0].to_bits() == pixel[1].to_bits() && pixel[0].to_bits() == pixel[2].to_bits();
            if !values.chunks_exact(3).all(is_gray) {
                return Err(COLOURS.to_owned());
            }
            notes.push("the depth map has three equal channels and is read as one".to_owned());
            values.chunks_exact(3).map(|pixel| pixel[0]).collect()
        }
        more => return Err(format!("has {more} channels; save depth as one grey channel")),
    };
    Ok(Plane { width, height, values })
}

fn png(bytes: &[u8]) -> Result<Samples, String> {
    let broken = |error: image::ImageError| format!("can't be decoded ({error}); save it again");
    let mut reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png);
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    reader.limits(limits);
    let image = reader.decode().map_err(broken)?;
    let size = (u64::from(image.width()), u64::from(image.height()));
    check_size(size)?;
    let channels = usize::from(image.color().channel_count());
    let values = match image {
        DynamicImage::ImageLuma8(image) => floats(image.into_raw()),
        DynamicImage::ImageLuma16(image) => floats(image.into_raw()),
        DynamicImage::ImageRgb8(image) => floats(image.into_raw()),
        DynamicImage::ImageRgb16(image) => floats(image.into_raw()),
        // Alpha, which is refused; its numbers don't matter.
        other => vec![0.0; (size.0 * size.1) as usize * usize::from(other.color().channel_count())],
    };
    Ok(Samples { size, channels, values })
}

fn floats<T: Into<f32>>(values: Vec<T>) -> Vec<f32> {
    values.into_iter().map(Into::into).collect()
}

fn tiff(bytes: &[u8]) -> Result<Samples, String> {
    let broken = |error: tiff::TiffError| format!("can't be decoded ({error}); save it again, as NPY or 16-bit PNG");
    let mut limits = Limits::default();
    limits.decoding_buffer_size = MAX_DECODER_BYTES as usize;
    limits.intermediate_buffer_size = MAX_DECODER_BYTES as usize;
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(broken)?.with_limits(limits);
    let (width, height) = decoder.dimensions().map_err(broken)?;
    let size = (u64::from(width), u64::from(height));
    check_size(size)?;
    let channels = match decoder.colortype().map_err(broken)? {
        ColorType::Gray(_) => 1,
        ColorType::GrayA(_) => 2,
        ColorType::RGB(_) => 3,
        ColorType::RGBA(_) => 4,
        ColorType::Multiband { num_samples, .. } => usize::from(num_samples),
        _ => return Err(COLOURS.to_owned()),
    };
    let values = match decoder.read_image().map_err(broken)? {
        DecodingResult::U8(values) => floats(values),
        DecodingResult::U16(values) => floats(values),
        DecodingResult::U32(values) => values.into_iter().map(|value| value as f32).collect(),
        DecodingResult::U64(values) => values.into_iter().map(|value| value as f32).collect(),
        DecodingResult::I8(values) => floats(values),
        DecodingResult::I16(values) => floats(values),
        DecodingResult::I32(values) => values.into_iter().map(|value| value as f32).collect(),
        DecodingResult::I64(values) => values.into_iter().map(|value| value as f32).collect(),
        DecodingResult::F16(values) => values.into_iter().map(f32::from).collect(),
        DecodingResult::F32(values) => values,
        DecodingResult::F64(values) => values.into_iter().map(|value| value as f32).collect(),
    };
    Ok(Samples { size, channels, values })
}

fn npy(bytes: &[u8]) -> Result<Samples, String> {
    let broken = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "is cut off; save it again by numpy.save".to_owned(),
        _ => format!("can't be read as NPY ({error}); save it again by numpy.save"),
    };
    let file = npyz::NpyFile::new(bytes).map_err(broken)?;
    let shape = file.shape().to_vec();
    let (rows, columns, is_flat) = match shape[..] {
        [rows, columns] | [1, rows, columns] | [rows, columns, 1] => (rows, columns, true),
        [rows, columns, _] => (rows, columns, false),
        _ => (0, 0, false),
    };
    if !is_flat {
        return Err(format!(
            "is an array of shape {shape:?}; give one number per pixel: [rows, columns]"
        ));
    }
    check_size((columns, rows))?;
    let npyz::DType::Plain(kind) = file.dtype() else {
        return Err("is an array of records; give one number per pixel".to_owned());
    };
    // The header may say anything; nothing is set aside for what is not there.
    let wanted = (rows * columns).saturating_mul(kind.size_field());
    if wanted > bytes.len() as u64 {
        return Err("is cut off; save it again by numpy.save".to_owned());
    }
    let is_fortran = file.order() == npyz::Order::Fortran;
    let text = kind.to_string();
    let values: Vec<f32> = match &text[1..] {
        "f2" => file
            .into_vec::<half::f16>()
            .map_err(broken)?
            .into_iter()
            .map(f32::from)
            .collect(),
        "f4" => file.into_vec().map_err(broken)?,
        "f8" => file
            .into_vec::<f64>()
            .map_err(broken)?
            .into_iter()
            .map(|v| v as f32)
            .collect(),
        "u1" => floats(file.into_vec::<u8>().map_err(broken)?),
        "u2" => floats(file.into_vec::<u16>().map_err(broken)?),
        _ => {
            return Err(format!(
                "holds numbers of type {text}; give f2, f4, f8, u1 or u2: array.astype(\"float32\")"
            ));
        }
    };
    let (width, height) = (columns as usize, rows as usize);
    let values = if is_fortran {
        (0..width * height)
            .map(|at| values[(at % width) * height + at / width])
            .collect()
    } else {
        values
    };
    Ok(Samples {
        size: (columns, rows),
        channels: 1,
        values,
    })
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
