//! PNG, WebP and BMP, as the image crate decodes them.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::colour::Encoding;
use super::{Decoded, MAX_DECODER_BYTES, MAX_MEGAPIXELS, check_size, is_adobe_rgb, sniff, truncated};

/// Decodes, or says in words why not.
pub(super) fn decode(bytes: &[u8], format: ImageFormat) -> Result<Decoded, String> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    reader.limits(limits);
    let explain = |error| explain(format, error);
    let mut decoder = reader.into_decoder().map_err(explain)?;
    check_size(decoder.dimensions())?;
    // Damaged EXIF data doesn't make the pixels unusable, nor does a profile that can't be found.
    let orientation = decoder.orientation().ok();
    let exif = decoder.exif_metadata().ok().flatten();
    let encoding = if format == ImageFormat::Png {
        encoding_of_png(bytes)?
    } else {
        decoder.icc_profile().ok().flatten().map(Encoding::Icc)
    };
    let encoding = encoding.or_else(|| exif.is_some_and(|exif| is_adobe_rgb(&exif)).then(Encoding::adobe_rgb));
    let mut image = DynamicImage::from_decoder(decoder).map_err(explain)?;
    if format == ImageFormat::Bmp {
        forget_empty_alpha(&mut image);
    }
    Ok(Decoded {
        image,
        orientation,
        encoding,
        notes: Vec::new(),
    })
}

/// What the chunks of a PNG say of its colours, the one that counts first (PNG specification, 3rd edition, 4.3).
fn encoding_of_png(bytes: &[u8]) -> Result<Option<Encoding>, String> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_ignore_text_chunk(true);
    let Ok(reader) = decoder.read_info() else {
        return Ok(None);
    };
    let info = reader.info();
    if let Some(points) = info.coding_independent_code_points {
        let is_full_range = points.is_video_full_range_image;
        return Encoding::of_code_points(points.color_primaries, points.transfer_function, is_full_range).map(Some);
    }
    if let Some(icc) = &info.icc_profile {
        return Ok(Some(Encoding::Icc(icc.to_vec())));
    }
    if info.srgb.is_some() || (info.gama_chunk.is_none() && info.chrm_chunk.is_none()) {
        return Ok(None);
    }
    let chromaticities = info.chrm_chunk.map(|points| {
        [points.white, points.red, points.green, points.blue].map(|(x, y)| (x.into_value(), y.into_value()))
    });
    let gamma = info.gama_chunk.map(png::ScaledFloat::into_value);
    Ok(Some(Encoding::of_gamma(gamma, chromaticities)))
}

/// Makes a BMP opaque whose alpha is zero everywhere: programs that know no alpha leave the fourth byte empty, and all
/// viewers show such files.
fn forget_empty_alpha(image: &mut DynamicImage) {
    if let DynamicImage::ImageRgba8(rgba) = image
        && rgba.pixels().all(|pixel| pixel[3] == 0)
    {
        rgba.pixels_mut().for_each(|pixel| pixel[3] = 255);
    }
}

fn explain(format: ImageFormat, error: ImageError) -> String {
    let name = sniff::name_of(format);
    match error {
        ImageError::IoError(_) => truncated(&name),
        ImageError::Limits(_) => format!("is too large to decode; the limit is {MAX_MEGAPIXELS} megapixels"),
        ImageError::Unsupported(error) => format!("uses a {name} feature that can't be read ({error}); save it as PNG"),
        error => format!("is no readable {name} ({error}); it may be damaged, export it again"),
    }
}
