//! What a file is, by its first bytes.

use image::ImageFormat::{self, Bmp, Jpeg, Png, Tiff, WebP};

/// Formats that are read.
const READABLE: &str = "PNG, JPEG, WebP, TIFF or BMP";

/// The format of an image file that can be read, or in words what the bytes are instead.
pub(super) fn format_of(bytes: &[u8]) -> Result<ImageFormat, String> {
    if bytes.is_empty() {
        return Err("is empty (0 bytes); copy or download it again".to_owned());
    }
    if let Some(camera) = camera_of(bytes) {
        return Err(format!(
            "is a raw file ({camera}), whose pixels have to be developed first; export it as 16-bit TIFF, PNG or JPEG"
        ));
    }
    if let [b'I', b'I', 43, 0, ..] | [b'M', b'M', 0, 43, ..] = bytes {
        return Ok(Tiff); // BigTIFF
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
        ImageFormat::OpenExr => "OpenEXR".to_owned(),
        ImageFormat::Hdr => "Radiance HDR".to_owned(),
        ImageFormat::Farbfeld => "farbfeld".to_owned(),
        other => format!("{other:?}").to_uppercase(),
    }
}

/// The kind of raw file, of those that don't look like a TIFF or look like a damaged one.
fn camera_of(bytes: &[u8]) -> Option<&'static str> {
    Some(match bytes {
        [b'I', b'I', 42, 0, _, _, _, _, b'C', b'R', ..] => "Canon CR2",
        [_, _, _, _, b'f', b't', b'y', b'p', b'c', b'r', b'x', ..] => "Canon CR3",
        [b'I', b'I', b'U', 0, ..] => "Panasonic RW2",
        [b'I', b'I', b'R', b'O' | b'S', ..] | [b'M', b'M', b'O', b'R', ..] => "Olympus ORF",
        [b'F', b'O', b'V', b'b', ..] => "Sigma X3F",
        [0, b'M', b'R', b'M', ..] => "Minolta MRW",
        _ if bytes.starts_with(b"FUJIFILMCCD-RAW") => "Fujifilm RAF",
        _ => return None,
    })
}

/// Names what people hand over by mistake.
fn describe(bytes: &[u8]) -> &'static str {
    const JPEG_2000: &[u8] = b"\0\0\0\x0cjP  \r\n\x87\n";
    const JPEG_XL: &[u8] = b"\0\0\0\x0cJXL \r\n\x87\n";
    match bytes {
        // Protocol 2 and up; PyTorch's checkpoints are such pickles, in a zip archive since 1.6.
        [0x80, 2..=5, ..] => "is a Python pickle, not a photo",
        [b'P', b'K', 3, 4, ..] => "is a zip archive (a PyTorch checkpoint or a document), not a photo",
        [b'G', b'G', b'U', b'F', ..] => "is a GGUF model, not a photo",
        [0xFF, 0x0A, ..] => "is a JPEG XL photo, which is not read",
        [0xFF, 0x4F, 0xFF, 0x51, ..] => "is a JPEG 2000 photo, which is not read",
        [b'8', b'B', b'P', b'S', ..] => "is a Photoshop document (PSD), which is not read",
        [b'%', b'P', b'D', b'F', ..] => "is a PDF, not a photo",
        [0x1A, 0x45, 0xDF, 0xA3, ..] => "is a Matroska or WebM video, not a photo",
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => describe_brand(brand),
        _ if bytes.starts_with(JPEG_XL) => "is a JPEG XL photo, which is not read",
        _ if bytes.starts_with(JPEG_2000) => "is a JPEG 2000 photo, which is not read",
        _ if std::str::from_utf8(&bytes[..bytes.len().min(64)]).is_ok_and(is_plain) => describe_text(bytes),
        _ => "is not an image that can be read",
    }
}

/// Names a file of the ISO base media format by its brands (ISO/IEC 14496-12, 23008-12).
fn describe_brand(brands: &[u8]) -> &'static str {
    match brands {
        [b'h', b'e', ..] | [b'm', b'i' | b's', b'f', b'1', ..] => "is a HEIC or HEIF photo, which is not read",
        [b'a', b'v', b'i', ..] => "is an AVIF photo, which is not read",
        _ => "is a video (MP4 or QuickTime), not a photo",
    }
}

fn describe_text(bytes: &[u8]) -> &'static str {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).to_lowercase();
    if start.starts_with("version https://git-lfs") {
        "is a pointer of Git LFS, not the photo itself (`git lfs pull` fetches it)"
    } else if start.contains("<svg") {
        "is an SVG drawing, which is not read"
    } else if start.contains("<html") || start.contains("<!doctype html") {
        "is a web page, not a photo; the download may have failed"
    } else {
        "is text, not a photo"
    }
}

fn is_plain(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() || c.is_whitespace())
}
