use std::io::Cursor;

use super::*;
use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba};

const CMYK: &[u8] = include_bytes!("testdata/cmyk.jpg");
pub(super) const BASELINE: &[u8] = include_bytes!("testdata/baseline.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("testdata/progressive.jpg");
const LOSSY_WEBP: &[u8] = include_bytes!("testdata/lossy.webp");
const PALETTE: &[u8] = include_bytes!("testdata/palette.png");

pub(super) fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).expect("encodes");
    bytes.into_inner()
}

fn gradient(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 7 % 256) as u8, (y * 5 % 256) as u8, ((x * y) % 256) as u8])
    })
}

pub(super) fn refusal(bytes: &[u8]) -> String {
    let error = decode_photo(bytes, "a.png").expect_err("refused");
    let message = error.to_string();
    assert!(
        error.is_bad_input() && message.starts_with("a.png: ") && !message.contains('\n'),
        "{message}"
    );
    message
}

pub(super) fn assert_close(actual: &Rgb<f32>, expected: [f32; 3], tolerance: f32) {
    let close = actual.0.iter().zip(expected).all(|(a, b)| (a - b).abs() <= tolerance);
    assert!(close, "{actual:?} is not {expected:?}");
}

#[test]
fn lossless_formats_keep_every_value() {
    let image = gradient(40, 24);
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::WebP] {
        let photo = decode_photo(&encode(image.clone(), format), "photo").expect("decodes");
        assert_eq!(photo.original_size, (40, 24));
        for (pixel, original) in photo.rgb.pixels().zip(image.pixels()) {
            assert_close(pixel, original.0.map(|byte| f32::from(byte) / 255.0), 1e-6);
        }
    }
}

#[test]
fn sixteen_bits_keep_their_precision() {
    let image = ImageBuffer::from_fn(16, 16, |x, y| Rgb([(x * 4001) as u16, (y * 4003) as u16, 32_769]));
    let bytes = encode(DynamicImage::ImageRgb16(image.clone()), ImageFormat::Png);
    let photo = decode_photo(&bytes, "photo").expect("decodes");
    for (pixel, original) in photo.rgb.pixels().zip(image.pixels()) {
        assert_close(pixel, original.0.map(|value| f32::from(value) / 65_535.0), 1e-6);
    }
}

#[test]
fn grey_palette_and_alpha_become_opaque_rgb() {
    let grey = encode(GrayImage::from_pixel(16, 16, Luma([51])), ImageFormat::Png);
    assert_close(
        &decode_photo(&grey, "grey").expect("decodes").rgb[(3, 3)],
        [0.2; 3],
        1e-6,
    );
    assert_eq!(
        decode_photo(PALETTE, "palette").expect("decodes").original_size,
        (32, 32)
    );
    let glass = ImageBuffer::from_pixel(16, 16, Rgba([255_u8, 0, 0, 51]));
    let photo = decode_photo(&encode(glass, ImageFormat::Png), "glass").expect("decodes");
    assert_close(&photo.rgb[(3, 3)], [1.0, 0.8, 0.8], 1e-6);
}

#[test]
fn cmyk_jpegs_convert() {
    let photo = decode_photo(CMYK, "cmyk").expect("decodes");
    assert_close(&photo.rgb[(4, 8)], [1.0, 0.5, 0.0], 0.02);
    assert_close(&photo.rgb[(27, 8)], [0.0, 0.12, 0.6], 0.02);
}

/// A JPEG with an EXIF segment that says `orientation` and holds an end-of-image marker, as a thumbnail would.
fn with_exif(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xD9]);
    with_exif_block(jpeg, &block)
}

/// A JPEG with an EXIF segment.
pub(super) fn with_exif_block(jpeg: &[u8], block: &[u8]) -> Vec<u8> {
    let length = (block.len() + 8) as u16;
    [
        &jpeg[..2],
        &[0xFF, 0xE1],
        &length.to_be_bytes(),
        b"Exif\0\0",
        block,
        &jpeg[2..],
    ]
    .concat()
}

#[test]
fn exif_orientation_is_applied() {
    let mut image = RgbImage::from_pixel(48, 32, Rgb([0, 0, 0]));
    image
        .enumerate_pixels_mut()
        .filter(|(x, y, _)| *x < 24 && *y < 16)
        .for_each(|(_, _, pixel)| pixel.0 = [255; 3]);
    let jpeg = encode(image, ImageFormat::Jpeg);
    // The bright corner is stored top left; 6 means turn clockwise (it ends top right), 3 means upside down.
    for (orientation, size, bright) in [(1, (48, 32), (8, 8)), (6, (32, 48), (24, 8)), (3, (48, 32), (40, 24))] {
        let photo = decode_photo(&with_exif(&jpeg, orientation), "turned").expect("decodes");
        assert_eq!(photo.original_size, size);
        assert_close(&photo.rgb[bright], [1.0; 3], 0.02);
        assert_close(
            &photo.rgb[(size.0 - 1 - bright.0, size.1 - 1 - bright.1)],
            [0.0; 3],
            0.02,
        );
    }
    let thumbnail = with_exif(&jpeg, 1);
    assert!(refusal(&thumbnail[..thumbnail.len() - 20]).contains("truncated"));
}

#[test]
fn truncated_files_are_refused() {
    let image = gradient(64, 48);
    let formats = [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
        ImageFormat::WebP,
    ];
    let mut files: Vec<Vec<u8>> = formats.iter().map(|format| encode(image.clone(), *format)).collect();
    files.extend([BASELINE, PROGRESSIVE, CMYK, LOSSY_WEBP, PALETTE].map(<[u8]>::to_vec));
    for file in files {
        let whole = decode_photo(&file, "whole").expect("decodes").rgb;
        for length in (1..file.len()).rev().step_by(file.len().div_ceil(60)) {
            // Containers end with a few bytes that hold no pixels: without them the photo may load, but then all of it.
            match decode_photo(&file[..length], "a.png") {
                Ok(photo) => assert!(
                    photo.rgb == whole && length + 16 > file.len(),
                    "{length} of {}",
                    file.len()
                ),
                Err(error) => assert!(error.is_bad_input(), "{error}"),
            }
        }
    }
    assert!(refusal(&BASELINE[..BASELINE.len() - 100]).contains("JPEG data ends early"));
}

#[test]
fn what_is_no_photo_is_named() {
    assert!(refusal(b"").contains("0 bytes"));
    assert!(refusal(b"hello, I am no photo\n").contains("is text"));
    assert!(refusal(b"\x80\x02}q\x00.").contains("pickle"));
    assert!(refusal(b"PK\x03\x04\x00\x00\x08\x08archive/data.pkl").contains("PyTorch checkpoint"));
    assert!(refusal(b"\0\0\0\x18ftypheic\0\0\0\0").contains("HEIC"));
    assert!(refusal(b"GIF89a\x01\0\x01\0\0\0\0").contains("GIF"));
    assert!(refusal(&[0xA5; 64]).contains("not an image"));
    assert!(refusal(b"\x89PNG\r\n\x1a\nrubbish rubbish rubbish").contains("PNG"));
}

#[test]
fn sizes_that_cannot_become_scenes_are_refused() {
    assert!(refusal(&encode(gradient(1, 1), ImageFormat::Png)).contains("at least 16 px"));
    assert!(refusal(&encode(gradient(15, 40), ImageFormat::Png)).contains("15x40"));
    assert!(refusal(&encode(gradient(20_000, 1), ImageFormat::Png)).contains("beyond 16:1"));
    assert!(decode_photo(&encode(gradient(256, 16), ImageFormat::Png), "thin").is_ok());
    // A header that promises more than there is must not allocate it: width and height of a BMP stand at 18 and 22.
    let mut bomb = encode(gradient(16, 16), ImageFormat::Bmp);
    bomb[18..26].copy_from_slice(&[0x20, 0x4E, 0, 0, 0x20, 0x4E, 0, 0]);
    assert!(refusal(&bomb).contains("megapixels"));
}

#[test]
fn paths_that_are_no_files_are_refused() {
    let folder = tempfile::tempdir().expect("folder");
    for (path, part) in [
        (folder.path().to_owned(), "is a folder"),
        (folder.path().join("none.png"), "no such file"),
    ] {
        let error = load_photo(&path).expect_err(part);
        assert!(error.is_bad_input() && error.to_string().contains(part), "{error}");
    }
    let path = folder.path().join("named wrongly.jpg");
    std::fs::write(&path, encode(gradient(20, 20), ImageFormat::Png)).expect("writes");
    assert_eq!(load_photo(&path).expect("content decides").original_size, (20, 20));
}

#[test]
fn fitting_crops_the_centre_and_keeps_the_aspect() {
    // Grey with a bright frame on the left and right that a centred square must not see.
    let photo = Rgb32FImage::from_fn(
        200,
        100,
        |x, _| Rgb([if (50..150).contains(&x) { 0.4 } else { 1.0 }; 3]),
    );
    let square = fit_square(&photo, 32);
    assert_eq!(square.dimensions(), (32, 32));
    square.pixels().for_each(|pixel| assert_close(pixel, [0.4; 3], 1e-4));
    assert_eq!(fit_square(&photo, 300).dimensions(), (300, 300));
    assert_eq!(fit_aspect(&photo, 64, 16).dimensions(), (128, 64));
    assert_eq!(fit_aspect(&photo, 64, 48).dimensions(), (96, 64));
    let upright = Rgb32FImage::new(100, 149);
    assert_eq!(fit_aspect(&upright, 64, 16).dimensions(), (64, 80));
    assert_eq!(fit_aspect(&Rgb32FImage::new(100, 101), 64, 16).dimensions(), (64, 64));
}

#[test]
fn fitting_never_overshoots() {
    let edges = Rgb32FImage::from_fn(90, 90, |x, y| Rgb([f32::from(u8::from((x / 9 + y / 9) % 2 == 0)); 3]));
    for size in [32, 128] {
        assert!(fit_square(&edges, size).iter().all(|value| (0.0..=1.0).contains(value)));
    }
}

#[test]
fn scene_keys_follow_pixels_and_size() {
    let a = Rgb32FImage::from_pixel(16, 32, Rgb([0.5; 3]));
    let transposed = Rgb32FImage::from_pixel(32, 16, Rgb([0.5; 3]));
    let mut other = a.clone();
    other[(3, 3)] = Rgb([0.6; 3]);
    assert_eq!(scene_key(&a), scene_key(&a.clone()));
    assert_ne!(scene_key(&a), scene_key(&transposed));
    assert_ne!(scene_key(&a), scene_key(&other));
}
