//! Photos: decoded by content, upright, opaque, in full precision, or refused with the reason.

mod colour;
mod fit;
mod jpeg;
mod raster;
mod sniff;
mod tiff;

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat, Rgb32FImage};
use sha2::{Digest, Sha256};

use crate::error::ModelError;
use crate::guard::guarded;
use colour::Encoding;
pub use fit::{Window, fit_aspect, fit_square};

/// Shortest side accepted, in pixels: less than this and no degradation can be told from the scene.
pub const MIN_SIDE_PX: u32 = 16;
/// Longest side over shortest side accepted.
pub const MAX_ASPECT: u32 = 16;
/// Most pixels accepted, in millions; decoded as floats that is 770 MB.
pub const MAX_MEGAPIXELS: u32 = 64;
/// Largest file accepted, in bytes: a 64-megapixel photo with 16-bit colour and alpha, uncompressed, fits.
const MAX_FILE_BYTES: u64 = 512 << 20;
/// What a decoder may allocate for itself, in bytes.
const MAX_DECODER_BYTES: u64 = 1 << 30;

/// Extensions of photos that can be opened, in lower case, for dialogs that know no content.
pub const EXTENSIONS: [&str; 9] = ["bmp", "jfif", "jpe", "jpeg", "jpg", "png", "tif", "tiff", "webp"];

/// A decoded photo.
#[derive(Debug, Clone)]
pub struct Photo {
    /// Pixels, sRGB-encoded in `0..=1`, upright, with transparency laid on white.
    pub rgb: Rgb32FImage,
    /// Width and height as a viewer shows them (after EXIF orientation), in pixels.
    pub original_size: (u32, u32),
    /// What had to be converted or guessed, one sentence without a full stop each; none for an ordinary photo.
    pub notes: Vec<String>,
}

/// What a decoder makes of a file.
struct Decoded {
    image: DynamicImage,
    /// How the photo was held, when the file says so.
    orientation: Option<Orientation>,
    /// What the colours are, when the file says so and they aren't sRGB yet.
    encoding: Option<Encoding>,
    /// As [`Photo::notes`].
    notes: Vec<String>,
}

/// Reads and decodes a PNG, JPEG, WebP, TIFF or BMP file; the content decides the format, not the name. Colours are
/// converted to sRGB from what the file says they are.
///
/// # Errors
/// [`ModelError::BadInput`] that names the file and says what is wrong with it: missing, empty, truncated, no image,
/// too small, too elongated or too large. [`ModelError::Io`] when the system can't read it.
pub fn load_photo(path: &Path) -> Result<Photo, ModelError> {
    decode_photo(&read_photo(path)?, &path.display().to_string())
}

/// Whether the first bytes of a file (64 are enough) are those of a format that is read.
///
/// # Errors
/// In words that follow the file's name: what it is instead.
pub fn check_format(start: &[u8]) -> Result<(), String> {
    sniff::format_of(start).map(|_| ())
}

/// Decodes a photo from the bytes of its file; `name` is how messages call it.
///
/// # Errors
/// As [`load_photo`].
pub fn decode_photo(bytes: &[u8], name: &str) -> Result<Photo, ModelError> {
    // Decoders panic on some damaged files.
    let decoded = guarded(|| decode(bytes))
        .unwrap_or_else(|panic| Err(format!("can't be decoded, it is damaged ({panic}); export it again")));
    decoded.map_err(|reason| ModelError::BadInput(format!("{name}: {reason}").replace(['\n', '\r'], " ")))
}

/// A number for a scene's pixels and size, the scene's part of the noise key: equal scenes get equal noise,
/// whatever their files are called. It is the head of the SHA-256 of the size and the pixels rounded to 8 bits.
pub fn scene_key(rgb: &Rgb32FImage) -> u64 {
    let mut hash = Sha256::new();
    hash.update(rgb.width().to_le_bytes());
    hash.update(rgb.height().to_le_bytes());
    let bytes: Vec<u8> = rgb
        .iter()
        .map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8)
        .collect();
    hash.update(&bytes);
    hash.finalize()[..8]
        .iter()
        .rev()
        .fold(0, |key, byte| key << 8 | u64::from(*byte))
}

/// The bytes of a photo's file, for callers that also need its hash.
///
/// # Errors
/// As [`load_photo`], but for what only decoding can find.
pub fn read_photo(path: &Path) -> Result<Vec<u8>, ModelError> {
    let refused = |reason: &str| ModelError::BadInput(format!("{}: {reason}", path.display()));
    let failed = |source: std::io::Error| match source.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => refused("there is no such file; check the path"),
        _ => ModelError::Io {
            path: path.to_owned(),
            source,
        },
    };
    let metadata = path.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(refused("is a folder; give a photo in it"));
    }
    // A pipe or a device may never end.
    if !metadata.is_file() {
        return Err(refused("is no regular file; give a photo"));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(refused("is larger than 512 MB; downscale it first"));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes))
        .map_err(failed)?;
    Ok(bytes)
}

/// Decodes, or says in words why not.
fn decode(bytes: &[u8]) -> Result<Photo, String> {
    let Decoded {
        mut image,
        orientation,
        encoding,
        mut notes,
    } = match sniff::format_of(bytes)? {
        ImageFormat::Jpeg => jpeg::decode(bytes)?,
        ImageFormat::Tiff => tiff::decode(bytes)?,
        format => raster::decode(bytes, format)?,
    };
    if let Some(encoding) = encoding {
        let (converted, note) = colour::to_srgb(image, &encoding);
        image = converted;
        notes.extend(note);
    }
    image.apply_orientation(orientation.unwrap_or(Orientation::NoTransforms));
    let rgb = opaque_rgb(image);
    Ok(Photo {
        original_size: rgb.dimensions(),
        rgb,
        notes,
    })
}

/// Whether an EXIF block says that the colours are Adobe RGB: by its colour space, or by the index of DCF's optional
/// colour space (JEITA CP-3461).
fn is_adobe_rgb(exif: &[u8]) -> bool {
    let Ok((fields, _)) = exif::parse_exif(exif) else {
        return false;
    };
    fields.iter().any(|field| match field.tag {
        exif::Tag::ColorSpace => field.value.get_uint(0) == Some(2),
        exif::Tag::InteroperabilityIndex => field.display_value().to_string().contains("R03"),
        _ => false,
    })
}

/// Refuses sizes that can't become a scene, before anything is decoded.
fn check_size((width, height): (u32, u32)) -> Result<(), String> {
    let (short, long) = (width.min(height), width.max(height));
    if u64::from(long) > u64::from(short) * u64::from(MAX_ASPECT) {
        return Err(format!(
            "is {width}x{height} px; an aspect beyond {MAX_ASPECT}:1 can't be fitted, crop it first"
        ));
    }
    if short < MIN_SIDE_PX {
        return Err(format!(
            "is {width}x{height} px; a photo needs at least {MIN_SIDE_PX} px on each side"
        ));
    }
    if u64::from(width) * u64::from(height) > u64::from(MAX_MEGAPIXELS) * 1_000_000 {
        return Err(format!(
            "is {width}x{height} px; the limit is {MAX_MEGAPIXELS} megapixels, downscale it first"
        ));
    }
    Ok(())
}

/// Floats without alpha: white shows through where the photo is transparent. Float formats may hold anything, so
/// values are held to `0..=1`.
fn opaque_rgb(image: DynamicImage) -> Rgb32FImage {
    let mut rgb = if image.color().has_alpha() {
        let rgba = image.into_rgba32f();
        let (width, height) = rgba.dimensions();
        let mut rgb = Rgb32FImage::new(width, height);
        for (opaque, pixel) in rgb.pixels_mut().zip(rgba.pixels()) {
            let alpha = pixel[3];
            opaque.0 = [pixel[0], pixel[1], pixel[2]].map(|value| value * alpha + (1.0 - alpha));
        }
        rgb
    } else {
        image.into_rgb32f()
    };
    rgb.iter_mut()
        .for_each(|value| *value = if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) });
    rgb
}

/// What to say of a file of the format `name` that ends before its pixels do.
fn truncated(name: &str) -> String {
    format!("the {name} data ends early, the file is truncated; copy or download it again")
}

#[cfg(test)]
mod odd_tests;
#[cfg(test)]
mod tests;
