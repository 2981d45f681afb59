//! JPEG files that carry their settings: for layouts whose degraded images are JPEG.
//!
//! The texts are COM segments (ITU-T T.81, B.2.4.5) of `keyword NUL text` right behind the start of the image, where every
//! reader passes over them.

use image::Rgb32FImage;
use image::codecs::jpeg::JpegEncoder;

use crate::error::{RenderError, bad};
use crate::picture;

/// Quality of the encoder, 1 to 100: RESIDE's own files are about this good.
const QUALITY: u8 = 95;
/// Longest keyword and text of a comment, whose length has 16 bits and counts itself.
pub const LONGEST_TEXT_BYTES: usize = u16::MAX as usize - 2;
const START: [u8; 2] = [0xff, 0xd8];
const COMMENT: u8 = 0xfe;
/// Behind it come the pixels.
const START_OF_SCAN: u8 = 0xda;

/// Encodes sRGB values in `0..=1` (held to it).
///
/// # Arguments
/// - `texts`: keyword and text of each comment
pub fn encode(rgb: &Rgb32FImage, texts: &[(&str, String)]) -> Result<Vec<u8>, RenderError> {
    let failed = |reason: &dyn std::fmt::Display| bad(format!("a JPEG could not be encoded ({reason})"));
    let mut pixels = Vec::new();
    JpegEncoder::new_with_quality(&mut pixels, QUALITY)
        .encode(
            &picture::samples(rgb, 8),
            rgb.width(),
            rgb.height(),
            image::ExtendedColorType::Rgb8,
        )
        .map_err(|error| failed(&error))?;
    let rest = pixels
        .strip_prefix(&START)
        .ok_or_else(|| failed(&"it has no start of image"))?;
    let mut bytes = START.to_vec();
    for (keyword, text) in texts {
        let body = [keyword.as_bytes(), b"\0", text.as_bytes()].concat();
        let length = u16::try_from(body.len() + 2).map_err(|_| failed(&"its settings are too long"))?;
        bytes.extend([0xff, COMMENT]);
        bytes.extend(length.to_be_bytes());
        bytes.extend(body);
    }
    bytes.extend_from_slice(rest);
    Ok(bytes)
}

/// The text of a keyword; `None` for files that are no JPEG or don't have it.
pub fn text_of(bytes: &[u8], keyword: &str) -> Option<String> {
    let mut rest = bytes.strip_prefix(&START)?;
    while let [0xff, marker, high, low, ..] = *rest {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let body = rest.get(4..2 + length)?;
        let text = body
            .strip_prefix(keyword.as_bytes())
            .and_then(|body| body.strip_prefix(b"\0"));
        match (marker, text) {
            (COMMENT, Some(text)) => return String::from_utf8(text.to_vec()).ok(),
            (START_OF_SCAN, _) => return None,
            _ => rest = &rest[2 + length..],
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_and_pixels_stay_readable() {
        let rgb = Rgb32FImage::from_fn(24, 16, |x, y| image::Rgb([x as f32 / 24.0, y as f32 / 16.0, 0.5]));
        let texts = [("parameters", "雨".to_owned()), ("mdsd3", "{}".to_owned())];
        let bytes = encode(&rgb, &texts).expect("encoded");
        assert_eq!(text_of(&bytes, "mdsd3").as_deref(), Some("{}"));
        assert_eq!(text_of(&bytes, "parameters").as_deref(), Some("雨"));
        assert_eq!(text_of(&bytes, "mdsd"), None);
        let decoded = image::load_from_memory(&bytes).expect("readable").to_rgb32f();
        let worst = rgb
            .iter()
            .zip(decoded.iter())
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst < 0.06, "{worst}");
    }

    #[test]
    fn damaged_files_have_no_text() {
        let texts = [("mdsd3", "{}".to_owned())];
        let bytes = encode(&Rgb32FImage::new(8, 8), &texts).expect("encoded");
        for length in 0..bytes.len().min(16) {
            assert_eq!(text_of(&bytes[..length], "absent"), None);
        }
        assert_eq!(text_of(b"\xff\xd8\xff\xfe\x00\x00", "mdsd3"), None);
    }
}
