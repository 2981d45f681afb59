//! What a file is, by its first bytes, and whether a JPEG is all there.

use image::ImageFormat::{self, Bmp, Jpeg, Png, Tiff, WebP};

/// Formats that are read.
const READABLE: &str = "PNG, JPEG, WebP, TIFF or BMP";

/// The format of an image file that can be read, or in words what the bytes are instead.
pub(super) fn format_of(bytes: &[u8]) -> Result<ImageFormat, String> {
    if bytes.is_empty() {
        return Err("is empty (0 bytes); copy or download it again".to_owned());
    }
    match image::guess_format(bytes) {
        Ok(format @ (Png | Jpeg | WebP | Tiff | Bmp)) => Ok(format),
        Ok(other) => Err(format!(
            "is {}, which is not read; save it as {READABLE}",
            name_of(other)
        )),
        Err(_) => Err(format!("{}; give a {READABLE} photo", describe(bytes))),
    }
}

/// A format's usual name.
pub(super) fn name_of(format: ImageFormat) -> String {
    match format {
        WebP => "WebP".to_owned(),
        other => format!("{other:?}").to_uppercase(),
    }
}

/// Names what people hand over by mistake.
fn describe(bytes: &[u8]) -> &'static str {
    match bytes {
        // Protocol 2 and up; PyTorch's checkpoints are such pickles, in a zip archive since 1.6.
        [0x80, 2..=5, ..] => "is a Python pickle, not a photo",
        [b'P', b'K', 3, 4, ..] => "is a zip archive (a PyTorch checkpoint or a document), not a photo",
        [_, _, _, _, b'f', b't', b'y', b'p', b'h', b'e', ..] => "is a HEIC photo, which is not read",
        [b'%', b'P', b'D', b'F', ..] => "is a PDF, not a photo",
        _ if std::str::from_utf8(&bytes[..bytes.len().min(64)]).is_ok_and(is_plain) => "is text, not a photo",
        _ => "is not an image that can be read",
    }
}

fn is_plain(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() || c.is_whitespace())
}

/// Whether a JPEG's segments lead to its end-of-image marker (ITU-T T.81, annex B).
///
/// Decoders fill what is missing with grey and report success, so the check has to be made before them. Thumbnails
/// inside EXIF segments have end markers of their own, hence the walk from segment to segment rather than a search.
pub(super) fn jpeg_is_complete(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    const END_OF_IMAGE: u8 = 0xD9;
    let mut position = 2;
    while let Some((marker, after)) = next_marker(bytes, position) {
        position = match marker {
            END_OF_IMAGE => return true,
            // Stuffed zeros and restart markers belong to the coded data; 0x01 stands alone.
            0x00 | 0x01 | 0xD0..=0xD8 => after,
            // The header of a scan has a length, the coded data after it has none: the next marker ends it.
            START_OF_SCAN | 0x02..=0xFE => match bytes.get(after..after + 2) {
                Some(length) => after + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2),
                None => return false,
            },
            0xFF => after - 1,
        };
    }
    false
}

/// The byte after the next `0xFF` at or after `position`, and the position behind it.
fn next_marker(bytes: &[u8], position: usize) -> Option<(u8, usize)> {
    let start = position + bytes.get(position..)?.iter().position(|byte| *byte == 0xFF)?;
    Some((*bytes.get(start + 1)?, start + 2))
}
