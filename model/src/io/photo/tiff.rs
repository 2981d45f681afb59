//! TIFF and its form for large files, with what its tags say of samples, alpha and pages.

use std::io::{Cursor, Read, Seek};

use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer, Rgb32FImage, Rgba32FImage};
use tiff::decoder::{BufferLayoutPreference, Decoder, DecodingResult, Limits};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

use super::colour::{self, Encoding};
use super::{Decoded, MAX_DECODER_BYTES, MAX_MEGAPIXELS, check_size, truncated};

/// Largest sample of a float TIFF: what sharpening overshoots is cut off, another scale is refused.
const MAX_FLOAT: f32 = 1.5;
/// Tags of EXIF and DNG that tell a raw file.
const MAKE: u16 = 271;
const SUB_IFDS: u16 = 330;
const DNG_VERSION: u16 = 50706;
/// Weights of luma other than the default ones.
const YCBCR_COEFFICIENTS: Tag = Tag::Unknown(529);
/// Colours of a sensor, and of one behind its linearisation (DNG specification).
const RAW_INTERPRETATIONS: [u32; 2] = [32803, 34892];
/// The bit of `NewSubfileType` that says that a page is a smaller version of another.
const REDUCED: u32 = 1;

/// Samples of all pixels, interleaved.
struct Samples {
    size: (u32, u32),
    per_pixel: usize,
    values: Values,
}

enum Values {
    Bytes(Vec<u8>),
    Words(Vec<u16>),
    Floats(Vec<f32>),
}

/// What the samples beyond the colours are.
#[derive(Clone, Copy, PartialEq)]
enum Extra {
    None,
    Alpha,
    PremultipliedAlpha,
}

/// Decodes, or says in words why not.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    if let Some(maker) = maker_of_raw(bytes) {
        return Err(format!(
            "is a raw file ({maker}), whose pixels have to be developed first; export it as 16-bit TIFF, PNG or JPEG"
        ));
    }
    let mut limits = Limits::default();
    limits.decoding_buffer_size = MAX_DECODER_BYTES as usize;
    limits.intermediate_buffer_size = MAX_DECODER_BYTES as usize;
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(explain)?.with_limits(limits);
    skip_thumbnails(&mut decoder)?;
    let size = decoder.dimensions().map_err(explain)?;
    check_size(size)?;
    let colours = decoder.colortype().map_err(explain)?;
    let orientation = decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten();
    let orientation = orientation.and_then(Orientation::from_exif);
    let extra = extra_samples(&mut decoder);
    let encoding = decoder.get_tag_u8_vec(Tag::IccProfile).ok().map(Encoding::Icc);
    let mut samples = read(&mut decoder, size, colours)?;
    let mut notes = Vec::new();
    let (image, encoding) = match colours {
        ColorType::Gray(_) | ColorType::Multiband { num_samples: 2, .. } => (image_of(samples, 1, extra)?, encoding),
        ColorType::RGB(_) | ColorType::RGBA(_) => (image_of(samples, 3, extra)?, encoding),
        ColorType::YCbCr(8) if decoder.find_tag(YCBCR_COEFFICIENTS).ok().flatten().is_none() => {
            if let Values::Bytes(values) = &mut samples.values {
                rgb_of_ycbcr(values);
            }
            (image_of(samples, 3, extra)?, encoding)
        }
        ColorType::CMYK(_) => {
            let inks = samples.values.into_floats();
            let (rgb, note) = colour::rgb_of_inks(&inks, size, encoding.as_ref());
            notes.extend(note);
            (DynamicImage::ImageRgb32F(rgb), None)
        }
        other => {
            return Err(format!(
                "has colours that can't be read ({other:?}); save it as RGB TIFF or PNG"
            ));
        }
    };
    Ok(Decoded {
        image,
        orientation,
        encoding,
        notes,
    })
}

/// The maker of the camera, when a file is its raw data: such files hold a thumbnail first that decoders take for the
/// photo.
fn maker_of_raw(bytes: &[u8]) -> Option<String> {
    let (fields, _) = exif::parse_exif(bytes).ok()?;
    let field = |number: u16| {
        fields
            .iter()
            .find(|field| field.ifd_num == exif::In::PRIMARY && field.tag == exif::Tag(exif::Context::Tiff, number))
    };
    let number = |tag: u16| field(tag).and_then(|field| field.value.get_uint(0)).unwrap_or_default();
    let is_thumbnail = number(Tag::NewSubfileType.to_u16()) & REDUCED != 0;
    let is_raw = field(DNG_VERSION).is_some()
        || is_thumbnail && field(SUB_IFDS).is_some()
        || RAW_INTERPRETATIONS.contains(&number(Tag::PhotometricInterpretation.to_u16()));
    let maker = field(MAKE).map(|field| field.display_value().to_string());
    let maker = maker.map(|maker| maker.trim_matches('"').trim().to_owned());
    is_raw.then(|| maker.unwrap_or_else(|| "of an unnamed camera".to_owned()))
}

/// Goes to the first page that is no smaller version of another.
fn skip_thumbnails<R: Read + Seek>(decoder: &mut Decoder<R>) -> Result<(), String> {
    while decoder
        .find_tag_unsigned::<u32>(Tag::NewSubfileType)
        .ok()
        .flatten()
        .is_some_and(|kind| kind & REDUCED != 0)
    {
        if !decoder.more_images() {
            return Err("holds thumbnails only; export the photo itself".to_owned());
        }
        decoder.next_image().map_err(explain)?;
    }
    Ok(())
}

fn extra_samples<R: Read + Seek>(decoder: &mut Decoder<R>) -> Extra {
    let kinds = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).ok().flatten();
    match kinds.as_deref() {
        Some([1, ..]) => Extra::PremultipliedAlpha,
        Some([2, ..]) => Extra::Alpha,
        _ => Extra::None,
    }
}

fn read<R: Read + Seek>(decoder: &mut Decoder<R>, size: (u32, u32), colours: ColorType) -> Result<Samples, String> {
    let mut read = DecodingResult::U8(Vec::new());
    let layout = decoder.read_image_to_buffer(&mut read).map_err(explain)?;
    if read.as_buffer(0).as_bytes().len() < layout.complete_len {
        return Err(explain(TiffError::LimitsExceeded));
    }
    let values = match read {
        DecodingResult::U8(bits) if colours.bit_depth() < 8 => Values::Bytes(unpacked(&bits, size, colours)?),
        DecodingResult::U8(bytes) => Values::Bytes(bytes),
        DecodingResult::U16(words) if colours.bit_depth() == 16 => Values::Words(words),
        DecodingResult::U32(values) if colours.bit_depth() == 32 => {
            Values::Words(values.into_iter().map(|value| (value >> 16) as u16).collect())
        }
        DecodingResult::U64(values) if colours.bit_depth() == 64 => {
            Values::Words(values.into_iter().map(|value| (value >> 48) as u16).collect())
        }
        DecodingResult::F16(values) => of_unit_scale(values.into_iter().map(f32::from).collect())?,
        DecodingResult::F32(values) => of_unit_scale(values)?,
        DecodingResult::F64(values) => of_unit_scale(values.into_iter().map(|value| value as f32).collect())?,
        DecodingResult::I8(_) | DecodingResult::I16(_) | DecodingResult::I32(_) | DecodingResult::I64(_) => {
            return Err(
                "has signed samples, of which nothing says what is white; save it as 16-bit TIFF or PNG".into(),
            );
        }
        _ => {
            let bits = colours.bit_depth();
            return Err(format!(
                "has {bits} bits per sample, which are not read; save it as 16-bit TIFF or PNG"
            ));
        }
    };
    let per_pixel = usize::from(colours.num_samples());
    Ok(Samples {
        size,
        per_pixel,
        values: match values {
            Values::Bytes(values) => Values::Bytes(interleaved(values, &layout)),
            Values::Words(values) => Values::Words(interleaved(values, &layout)),
            Values::Floats(values) => Values::Floats(interleaved(values, &layout)),
        },
    })
}

/// Samples pixel by pixel, of samples plane by plane.
fn interleaved<T: Copy>(values: Vec<T>, layout: &BufferLayoutPreference) -> Vec<T> {
    if layout.planes <= 1 || values.is_empty() {
        return values;
    }
    let plane = values.len() / layout.planes;
    (0..plane)
        .flat_map(|pixel| (0..layout.planes).map(move |index| index * plane + pixel))
        .map(|index| values[index])
        .collect()
}

/// Bytes of samples of 1, 2 or 4 bits; rows begin at whole bytes.
fn unpacked(bits: &[u8], (width, _): (u32, u32), colours: ColorType) -> Result<Vec<u8>, String> {
    let depth = usize::from(colours.bit_depth());
    if !matches!(depth, 1 | 2 | 4) {
        return Err(format!(
            "has {depth} bits per sample, which are not read; save it as 8-bit TIFF or PNG"
        ));
    }
    let of_row = width as usize * usize::from(colours.num_samples());
    let largest = (1_u16 << depth) - 1;
    let sample = |row: &[u8], index: usize| {
        let shift = 8 - depth - index * depth % 8;
        let value = u16::from(row[index * depth / 8]) >> shift & largest;
        (value * 255 / largest) as u8
    };
    let rows = bits.chunks_exact((of_row * depth).div_ceil(8));
    Ok(rows
        .flat_map(|row| (0..of_row).map(move |index| sample(row, index)))
        .collect())
}

/// Floats from black 0 to white 1; an error when they are of another scale, which no tag tells.
fn of_unit_scale(values: Vec<f32>) -> Result<Values, String> {
    let largest = values
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .fold(0.0, f32::max);
    if largest > MAX_FLOAT {
        return Err(format!(
            "has float samples up to {largest}, where 1 should be white; divide them, or save it as 16-bit TIFF or PNG"
        ));
    }
    Ok(Values::Floats(values))
}

/// The pixels of grey or RGB samples (`colours` of them), then alpha.
fn image_of(samples: Samples, colours: usize, extra: Extra) -> Result<DynamicImage, String> {
    let (width, height) = samples.size;
    let inconsistent = || "has sizes that contradict each other; it may be damaged, export it again".to_owned();
    let image = match (samples.values, samples.per_pixel, colours) {
        (Values::Bytes(values), 1, 1) => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageLuma8),
        (Values::Words(values), 1, 1) => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageLuma16),
        (Values::Bytes(values), 3, 3) => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageRgb8),
        (Values::Words(values), 3, 3) => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageRgb16),
        (values, per_pixel, _) => {
            let values = values.into_floats();
            let pixels = values.chunks_exact(per_pixel);
            let colour = |pixel: &[f32]| [pixel[0], pixel[colours / 2], pixel[colours - 1]];
            if extra == Extra::None || per_pixel == colours {
                let rgb = pixels.flat_map(colour).collect();
                Rgb32FImage::from_raw(width, height, rgb).map(DynamicImage::ImageRgb32F)
            } else {
                let rgba = pixels.flat_map(|pixel| {
                    let alpha = pixel[colours];
                    let share = if extra == Extra::PremultipliedAlpha && alpha > 0.0 {
                        alpha
                    } else {
                        1.0
                    };
                    let [red, green, blue] = colour(pixel).map(|value| value / share);
                    [red, green, blue, alpha]
                });
                Rgba32FImage::from_raw(width, height, rgba.collect()).map(DynamicImage::ImageRgba32F)
            }
        }
    };
    image.ok_or_else(inconsistent)
}

/// RGB of luma and chroma: the colours of JPEG's, ITU-R BT.601 at full range, which are TIFF's default too.
fn rgb_of_ycbcr(values: &mut [u8]) {
    for pixel in values.chunks_exact_mut(3) {
        let [luma, blue, red] = [
            f32::from(pixel[0]),
            f32::from(pixel[1]) - 128.0,
            f32::from(pixel[2]) - 128.0,
        ];
        let rgb = [
            luma + 1.402 * red,
            luma - 0.344_136 * blue - 0.714_136 * red,
            luma + 1.772 * blue,
        ];
        pixel.copy_from_slice(&rgb.map(|value| value.round().clamp(0.0, 255.0) as u8));
    }
}

impl Values {
    fn into_floats(self) -> Vec<f32> {
        match self {
            Self::Bytes(values) => values.into_iter().map(|value| f32::from(value) / 255.0).collect(),
            Self::Words(values) => values.into_iter().map(|value| f32::from(value) / 65_535.0).collect(),
            Self::Floats(values) => values,
        }
    }
}

fn explain(error: TiffError) -> String {
    match error {
        TiffError::IoError(_) => truncated("TIFF"),
        TiffError::LimitsExceeded => format!("is too large to decode; the limit is {MAX_MEGAPIXELS} megapixels"),
        TiffError::UnsupportedError(error) => {
            format!("uses a TIFF feature that can't be read ({error}); save it as uncompressed RGB TIFF or PNG")
        }
        error => format!("is no readable TIFF ({error}); it may be damaged, export it again"),
    }
}
