//! Photos of kinds that are easily decoded to the wrong pixels. Expected values are from `LittleCMS`, libjpeg or the tests'
//! own samples.

use super::tests::{BASELINE, assert_close, encode, refusal, with_exif_block};
use super::*;
use image::{ImageBuffer, ImageEncoder, Rgb, RgbImage, Rgba};

const SCAN_PER_COMPONENT: &[u8] = include_bytes!("testdata/scan-per-component.jpg");
const ARITHMETIC: &[u8] = include_bytes!("testdata/arithmetic.jpg");
const DISPLAY_P3: &[u8] = include_bytes!("testdata/display-p3.icc");
const CICP_P3: &[u8] = include_bytes!("testdata/cicp-p3.png");
const CICP_PQ: &[u8] = include_bytes!("testdata/cicp-pq.png");
const SHORT_PALETTE: &[u8] = include_bytes!("testdata/short-palette.png");

/// A step of 8 bits.
const STEP: f32 = 1.0 / 255.0;

fn bytes_rgb(rgb: [u8; 3]) -> [f32; 3] {
    rgb.map(|value| f32::from(value) / 255.0)
}

fn with_profile(colour: [u8; 3], profile: &[u8]) -> Vec<u8> {
    let mut png = Vec::new();
    let mut encoder = image::codecs::png::PngEncoder::new(&mut png);
    encoder.set_icc_profile(profile.to_vec()).expect("PNG takes profiles");
    let image = RgbImage::from_pixel(16, 16, Rgb(colour));
    encoder
        .write_image(&image, 16, 16, image::ExtendedColorType::Rgb8)
        .expect("encodes");
    png
}

#[test]
fn profiles_are_converted_as_littlecms_does() {
    for (stored, shown) in [
        ([212, 61, 52], [231, 40, 40]),
        ([200, 100, 50], [215, 93, 31]),
        ([10, 20, 30], [7, 20, 31]),
        ([120, 200, 90], [89, 203, 71]),
        ([240, 230, 120], [242, 230, 100]),
        ([90, 160, 200], [61, 162, 204]),
    ] {
        let photo = decode_photo(&with_profile(stored, DISPLAY_P3), "p3").expect("decodes");
        assert_close(&photo.rgb[(3, 3)], bytes_rgb(shown), STEP);
        assert_eq!(photo.notes, ["colours converted from Display P3 to sRGB"]);
    }
}

#[test]
fn a_profile_of_srgb_changes_no_bit() {
    let srgb = moxcms::ColorProfile::new_srgb().encode().expect("a profile");
    let photo = decode_photo(&with_profile([212, 61, 52], &srgb), "srgb").expect("decodes");
    assert_close(&photo.rgb[(3, 3)], bytes_rgb([212, 61, 52]), 0.0);
    assert!(photo.notes.is_empty(), "{:?}", photo.notes);
}

#[test]
fn a_profile_that_cannot_be_read_is_named_and_left() {
    let photo = decode_photo(&with_profile([212, 61, 52], b"no profile"), "odd").expect("decodes");
    assert_close(&photo.rgb[(3, 3)], bytes_rgb([212, 61, 52]), 0.0);
    assert!(photo.notes[0].contains("taken as sRGB"), "{:?}", photo.notes);
}

#[test]
fn code_points_and_gammas_of_a_png_are_converted() {
    let photo = decode_photo(CICP_P3, "cicp").expect("decodes");
    assert_close(&photo.rgb[(3, 3)], bytes_rgb([231, 40, 40]), STEP);
    assert!(refusal(CICP_PQ).contains("high dynamic range"));
    // IEC 61966-2-1: linear 0.2140 is 0.5 encoded.
    for (gamma, expected) in [(1.0, 0.5), (0.45455, 0.2140)] {
        let mut png = Vec::new();
        let mut encoder = png::Encoder::new(&mut png, 16, 16);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Sixteen);
        encoder.set_source_gamma(png::ScaledFloat::new(gamma));
        let samples: Vec<u8> = [14_025_u16.to_be_bytes(); 16 * 16 * 3].concat();
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(&samples).expect("encodes");
        writer.finish().expect("ends");
        let photo = decode_photo(&png, "gamma").expect("decodes");
        assert_close(&photo.rgb[(3, 3)], [expected; 3], 0.001);
        assert_eq!(photo.notes.len(), usize::from(gamma > 0.9), "{:?}", photo.notes);
    }
}

#[test]
fn exif_marks_adobe_rgb() {
    let jpeg = encode(RgbImage::from_pixel(16, 16, Rgb([212, 61, 52])), ImageFormat::Jpeg);
    // One entry in the first directory, which leads to EXIF's, whose one entry is the colour space.
    let mut block = b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x1A\0\0\0\0\0\0\0".to_vec();
    block.extend(b"\x01\0\x01\xA0\x03\0\x01\0\0\0\x02\0\0\0\0\0\0\0");
    let photo = decode_photo(&with_exif_block(&jpeg, &block), "adobe").expect("decodes");
    assert_close(&photo.rgb[(3, 3)], bytes_rgb([245, 59, 48]), 3.0 * STEP);
    assert_eq!(photo.notes, ["colours converted from Adobe RGB to sRGB"]);
}

#[test]
fn the_rare_members_of_the_jpeg_family_decode_as_libjpeg_does() {
    for file in [SCAN_PER_COMPONENT, ARITHMETIC] {
        let photo = decode_photo(file, "rare").expect("decodes");
        assert_eq!(photo.original_size, (32, 32));
        assert_close(&photo.rgb[(4, 16)], bytes_rgb([200, 40, 40]), STEP);
        assert_close(&photo.rgb[(28, 16)], bytes_rgb([41, 60, 199]), STEP);
    }
}

/// Where the frame header of a JPEG is: its marker, length, bits, height and width.
fn frame_of(jpeg: &[u8]) -> usize {
    let is_frame = |pair: &[u8]| pair[0] == 0xFF && matches!(pair[1], 0xC0..=0xC2);
    jpeg.windows(2).position(is_frame).expect("a frame")
}

#[test]
fn jpegs_that_no_decoder_reads_are_named() {
    let mut deep = BASELINE.to_vec();
    let frame = frame_of(&deep);
    deep[frame + 4] = 12;
    assert!(refusal(&deep).contains("12 bits per sample"));
    let mut lossless = BASELINE.to_vec();
    lossless[frame + 1] = 0xC3;
    assert!(refusal(&lossless).contains("lossless JPEG"));
}

#[test]
fn a_jpeg_without_its_end_marker_is_taken_when_its_pixels_are_there() {
    let whole = decode_photo(BASELINE, "whole").expect("decodes");
    let without_end = &BASELINE[..BASELINE.len() - 2];
    let trailer = [without_end, &[0; 40], b"Image_UTC_Data1500000000SEFT"].concat();
    for file in [without_end, &trailer] {
        let photo = decode_photo(file, "no end").expect("decodes");
        assert!(photo.rgb == whole.rgb);
        assert!(photo.notes[0].contains("no end marker"), "{:?}", photo.notes);
    }
}

#[test]
fn a_jpeg_that_claims_more_than_it_holds_is_truncated() {
    let mut claims = BASELINE.to_vec();
    let size = frame_of(&claims) + 5;
    claims[size..size + 4].copy_from_slice(&[0x1F, 0x40, 0x1F, 0x40]);
    assert!(refusal(&claims).contains("JPEG data ends early"));
}

/// A little-endian TIFF of one strip: 16x16 pixels of `pixel`, and tags beyond those that all have, as type, tag and
/// value.
fn tiff_of(pixel: &[u8], samples: u16, (bits, format): (u16, u16), more: &[(u16, u16, u32)]) -> Vec<u8> {
    let data = pixel.repeat(16 * 16);
    let mut tags = vec![
        (4, 256, 16),
        (4, 257, 16),
        (3, 258, u32::from(bits)),
        (3, 259, 1),
        (3, 262, 2),
        (4, 273, 8),
        (3, 277, u32::from(samples)),
        (4, 278, 16),
        (4, 279, data.len() as u32),
        (3, 339, u32::from(format)),
    ];
    tags.retain(|(_, tag, _)| more.iter().all(|(_, other, _)| other != tag));
    tags.extend(more);
    tags.sort_by_key(|(_, tag, _)| *tag);
    let mut file = b"II*\0".to_vec();
    file.extend((8 + data.len() as u32).to_le_bytes());
    file.extend(data);
    file.extend((tags.len() as u16).to_le_bytes());
    for (kind, tag, value) in tags {
        file.extend(tag.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file
}

fn floats(values: [f32; 3]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn tiff_samples_of_every_kind_keep_their_scale() {
    let expected = [0.2, 0.4, 0.8];
    let of_bits = |bits: u32| expected.map(|value: f64| (value * (2_f64.powi(bits as i32) - 1.0)) as u64);
    let words = |bits: u32| -> Vec<u8> {
        let bytes = of_bits(bits).map(|value| value.to_le_bytes()[..bits as usize / 8].to_vec());
        bytes.concat()
    };
    let singles = floats(expected.map(|value| value as f32));
    let doubles: Vec<u8> = expected.iter().flat_map(|value| value.to_le_bytes()).collect();
    for (pixel, bits, format) in [
        (words(8), 8, 1),
        (words(16), 16, 1),
        (words(32), 32, 1),
        (singles, 32, 3),
        (doubles, 64, 3),
    ] {
        let photo = decode_photo(&tiff_of(&pixel, 3, (bits, format), &[]), "tiff").expect("decodes");
        assert_close(&photo.rgb[(3, 3)], expected.map(|value| value as f32), STEP);
    }
    let grey = decode_photo(&tiff_of(&0.4_f32.to_le_bytes(), 1, (32, 3), &[(3, 262, 1)]), "grey").expect("decodes");
    assert_close(&grey.rgb[(3, 3)], [0.4; 3], 1e-6);
}

#[test]
fn tiff_samples_without_a_scale_are_refused() {
    let bytes_as_floats = tiff_of(&floats([40.0, 100.0, 230.0]), 3, (32, 3), &[]);
    assert!(refusal(&bytes_as_floats).contains("float samples up to 230"));
    assert!(refusal(&tiff_of(&[1; 6], 3, (16, 2), &[])).contains("signed samples"));
}

#[test]
fn alpha_of_a_tiff_is_what_its_tag_says() {
    // Red at a fifth, by each convention; an extra sample of no meaning is no alpha.
    let colour = |pixel: [u8; 4], kind| {
        let photo = decode_photo(&tiff_of(&pixel, 4, (8, 1), &[(3, 338, kind)]), "alpha").expect("decodes");
        photo.rgb[(3, 3)]
    };
    assert_close(&colour([51, 0, 0, 51], 1), [1.0, 0.8, 0.8], STEP);
    assert_close(&colour([255, 0, 0, 51], 2), [1.0, 0.8, 0.8], STEP);
    assert_close(&colour([255, 0, 0, 51], 0), [1.0, 0.0, 0.0], STEP);
}

#[test]
fn raw_files_are_named_rather_than_their_thumbnails_taken() {
    let maker = u32::from_le_bytes(*b"ACM\0");
    for tags in [
        [(4, 254, 1), (4, 330, 8), (2, 271, maker)].as_slice(),
        &[(1, 50706, 0x0401)],
        &[(3, 262, 32803)],
    ] {
        assert!(refusal(&tiff_of(&[9; 3], 3, (8, 1), tags)).contains("is a raw file"));
    }
    let thumbnail = tiff_of(&[9; 3], 3, (8, 1), &[(4, 254, 1)]);
    assert!(refusal(&thumbnail).contains("thumbnails only"));
    assert!(refusal(b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom").contains("Canon CR3"));
}

#[test]
fn a_bmp_whose_alpha_is_empty_is_opaque() {
    let empty = ImageBuffer::from_pixel(16, 16, Rgba([51_u8, 102, 204, 0]));
    let photo = decode_photo(&encode(empty.clone(), ImageFormat::Bmp), "bmp").expect("decodes");
    assert_close(&photo.rgb[(3, 3)], [0.2, 0.4, 0.8], 1e-6);
    // In a PNG, transparent is what it says.
    let photo = decode_photo(&encode(empty.clone(), ImageFormat::Png), "png").expect("decodes");
    assert_close(&photo.rgb[(3, 3)], [1.0; 3], 1e-6);
    let mut partly = empty;
    partly[(0, 0)][3] = 1;
    let photo = decode_photo(&encode(partly, ImageFormat::Bmp), "bmp").expect("decodes");
    assert_close(&photo.rgb[(3, 3)], [1.0; 3], 1e-6);
}

#[test]
fn a_decoder_that_panics_refuses_the_photo() {
    assert!(refusal(SHORT_PALETTE).contains("it is damaged"));
}

#[test]
fn formats_that_are_not_read_are_named() {
    for (start, name) in [
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic".as_slice(), "HEIC or HEIF"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "AVIF"),
        (b"\xff\x0a\x11\x11\x11\x11", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"8BPS\0\x01", "Photoshop"),
        (b"GGUF\x03\0\0\0", "GGUF"),
        (b"FUJIFILMCCD-RAW 0201", "Fujifilm RAF"),
        (b"\0\0\0\x18ftypisom\0\0\x02\0", "video"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"<?xml version=\"1.0\"?><svg xmlns", "SVG"),
    ] {
        assert!(refusal(start).contains(name), "{name}: {}", refusal(start));
    }
}
