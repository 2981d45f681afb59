//! JPEG: ordinary files by zune-jpeg, the rest of the family by libjpeg, both of which agree where both can.

mod structure;

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use mozjpeg::{ColorSpace, Decompress};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace as ZuneColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::colour::{self, Encoding};
use super::{Decoded, check_size, is_adobe_rgb, truncated};
use crate::guard::guarded;
use structure::Structure;

/// Fewest bits of coded data that a block takes without looking suspicious: plain sky takes about six.
const USUAL_BITS_PER_BLOCK: u64 = 4;
/// Bytes put where coded data ends, to see whether a decoder still needs any.
const PADDING_BYTES: usize = 64;
const END_OF_IMAGE: [u8; 2] = [0xFF, 0xD9];

/// Decodes, or says in words why not.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    let structure = Structure::of(bytes)?;
    check_size(structure.size)?;
    check_process(&structure)?;
    let encoding = match structure.icc() {
        Some(icc) => Some(Encoding::Icc(icc)),
        None => structure
            .exif
            .as_deref()
            .is_some_and(is_adobe_rgb)
            .then(Encoding::adobe_rgb),
    };
    let orientation = structure.exif.as_deref().and_then(Orientation::from_exif_chunk);
    let mut notes = Vec::new();
    if structure.end.is_none() {
        notes.push("has no end marker, though all of its pixels are there".to_owned());
    }
    let pixels = pixels(bytes, &structure)?;
    let (image, encoding) = match pixels {
        Pixels::Image(image) => (image, encoding),
        Pixels::Inks(inks) => {
            let (rgb, note) = colour::rgb_of_inks(&inks, structure.size, encoding.as_ref());
            notes.extend(note);
            (DynamicImage::ImageRgb32F(rgb), None)
        }
    };
    Ok(Decoded {
        image,
        orientation,
        encoding,
        notes,
    })
}

/// By the decoder that is right for such a file, once it is sure that nothing is missing.
fn pixels(bytes: &[u8], structure: &Structure) -> Result<Pixels, String> {
    let is_plausible = structure.coded_bytes as u64 * 8 >= structure.blocks() * USUAL_BITS_PER_BLOCK;
    let checked = if structure.end.is_some() && is_plausible {
        None
    } else {
        Some(by_libjpeg(bytes, structure)?)
    };
    if is_ordinary(structure) {
        // Nothing behind the end of the image, which may be a film or a second photo, nor a lack of it irritates it so.
        let data = &bytes[..structure.end.unwrap_or(bytes.len())];
        if let Some(image) = by_zune(&[data, &END_OF_IMAGE].concat()) {
            return Ok(Pixels::Image(image));
        }
    }
    checked.map_or_else(|| by_libjpeg(bytes, structure), Ok)
}

/// Refuses the processes that neither decoder knows, by name.
fn check_process(structure: &Structure) -> Result<(), String> {
    let kind = match structure.process {
        3 | 11 => "a lossless JPEG",
        5..=7 | 13..=15 => "a hierarchical JPEG",
        _ if structure.bits != 8 => {
            return Err(format!(
                "is a JPEG of {} bits per sample, which is not read; save it as 16-bit PNG or TIFF",
                structure.bits
            ));
        }
        _ => return Ok(()),
    };
    Err(format!("is {kind}, which is not read; save it as PNG or TIFF"))
}

/// Whether zune-jpeg decodes such a file as libjpeg does, to within rounding: of the ways to sample chroma and to order
/// scans that encoders know it gets some wrong.
fn is_ordinary(structure: &Structure) -> bool {
    let is_baseline = structure.process <= 1 && structure.first_scan == structure.sampling.len();
    let is_progressive = structure.process == 2;
    let is_sampled_usually = match structure.sampling.as_slice() {
        [_] => true,
        [(1 | 2 | 4, 1 | 2 | 4), chroma @ ..] => chroma.len() == 2 && chroma.iter().all(|factors| *factors == (1, 1)),
        _ => false,
    };
    (is_baseline || is_progressive) && is_sampled_usually
}

/// By zune-jpeg; `None` where the file is not quite as it should be.
fn by_zune(bytes: &[u8]) -> Option<DynamicImage> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().ok()?;
    let is_grey = decoder.input_colorspace()? == ZuneColorSpace::Luma;
    let output = if is_grey {
        ZuneColorSpace::Luma
    } else {
        ZuneColorSpace::RGB
    };
    decoder.set_options(decoder.options().jpeg_set_out_colorspace(output));
    let (width, height) = decoder.dimensions()?;
    let pixels = decoder.decode().ok()?;
    image_of(pixels, (width as u32, height as u32), is_grey)
}

fn image_of(pixels: Vec<u8>, (width, height): (u32, u32), is_grey: bool) -> Option<DynamicImage> {
    if is_grey {
        GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8)
    } else {
        RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8)
    }
}

/// What libjpeg makes of a file.
#[derive(PartialEq)]
enum Pixels {
    Image(DynamicImage),
    /// Shares of four inks, in `0..=1`.
    Inks(Vec<f32>),
}

/// By libjpeg, which fills what is missing with grey and reports success. So the data is decoded twice, with different
/// bytes behind it: where that shows, the pixels are not all there.
fn by_libjpeg(bytes: &[u8], structure: &Structure) -> Result<Pixels, String> {
    // Arithmetic coding leaves zeros at the end of a scan out, so that nothing tells them from what was cut off.
    let is_arithmetic = structure.process >= 9;
    if structure.end.is_none() && (is_arithmetic || !structure.has_all_scans()) {
        return Err(truncated("JPEG"));
    }
    let end = structure.end.unwrap_or(bytes.len());
    if is_arithmetic {
        return decompress(&bytes[..end + END_OF_IMAGE.len()]);
    }
    let followed_by = |padding: u8| [&bytes[..end], &[padding; PADDING_BYTES], &END_OF_IMAGE].concat();
    let pixels = decompress(&followed_by(0))?;
    if decompress(&followed_by(0xAA))? != pixels {
        return Err(truncated("JPEG"));
    }
    Ok(pixels)
}

fn decompress(bytes: &[u8]) -> Result<Pixels, String> {
    let unreadable = |reason: String| {
        let reason = reason.trim_start_matches("libjpeg fatal error: ");
        format!("is no readable JPEG ({reason}); it may be damaged, export it again")
    };
    // libjpeg reports errors by unwinding.
    guarded(|| {
        let decoder = Decompress::new_mem(bytes)?;
        let size = (decoder.width() as u32, decoder.height() as u32);
        let output = match decoder.color_space() {
            ColorSpace::JCS_GRAYSCALE => ColorSpace::JCS_GRAYSCALE,
            ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK => ColorSpace::JCS_CMYK,
            _ => ColorSpace::JCS_RGB,
        };
        let mut decoder = decoder.to_colorspace(output)?;
        let samples: Vec<u8> = decoder.read_scanlines()?;
        Ok::<_, std::io::Error>((samples, size, output))
    })
    .map_err(unreadable)?
    .map_err(|error| unreadable(error.to_string()))
    .and_then(|(samples, size, output)| {
        if output == ColorSpace::JCS_CMYK {
            // Adobe's convention, which all writers follow: 255 is no ink.
            return Ok(Pixels::Inks(
                samples.iter().map(|value| 1.0 - f32::from(*value) / 255.0).collect(),
            ));
        }
        let image = image_of(samples, size, output == ColorSpace::JCS_GRAYSCALE);
        image
            .map(Pixels::Image)
            .ok_or_else(|| unreadable("sizes don't match".to_owned()))
    })
}
