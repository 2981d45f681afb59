//! Colours of a photo become sRGB, whatever its file says that they are: an ICC profile, PNG's `cICP`, `gAMA` and `cHRM`
//! chunks, or EXIF's mark of Adobe RGB.

use image::{DynamicImage, Rgb32FImage};
use moxcms::{
    Chromaticity, CicpColorPrimaries, CicpProfile, ColorPrimaries, ColorProfile, DataColorSpace, Layout,
    MatrixCoefficients, ProfileText, ToneReprCurve, TransferCharacteristics, TransformExecutor, TransformOptions, XyY,
};
use rayon::prelude::*;

/// A profile that moves no colour by this much or more is sRGB under another name, and the pixels are left alone: half a
/// step of 8 bits, so that no value moves by a whole one.
const SAME_COLOUR: f32 = 0.5 / 255.0;
/// Levels per channel of the colours by which that is tried.
const PROBE_LEVELS: usize = 9;
/// Pixels that are converted in one piece.
const PIECE_PX: usize = 1 << 14;
/// File gammas that mean sRGB's curve: 1/2.2 as programs round it (PNG specification, 3rd edition, 13.13).
const SRGB_GAMMA: std::ops::RangeInclusive<f32> = 0.45..=0.46;
/// Points of a curve that is computed.
const CURVE_POINTS: usize = 4096;
/// Longest name of a profile that is repeated in a note, in characters.
const MAX_NAME: usize = 60;

/// What a file says of its colours.
pub(super) enum Encoding {
    /// An ICC profile.
    Icc(Vec<u8>),
    /// Anything else, with its name.
    Described(Box<ColorProfile>, String),
}

impl Encoding {
    /// Adobe RGB (1998).
    pub(super) fn adobe_rgb() -> Self {
        Self::Described(Box::new(ColorProfile::new_adobe_rgb()), "Adobe RGB".to_owned())
    }

    /// Code points of ITU-T H.273, as PNG's `cICP` has them.
    ///
    /// # Errors
    /// In words, for those that have no one look on a display of ordinary range.
    pub(super) fn of_code_points(primaries: u8, transfer: u8, is_full_range: bool) -> Result<Self, String> {
        let name = format!("the colours of code points {primaries}/{transfer}");
        let unknown = || format!("{name} can't be converted to sRGB; convert it to sRGB first");
        let (Ok(color_primaries), Ok(transfer_characteristics)) = (
            CicpColorPrimaries::try_from(primaries),
            TransferCharacteristics::try_from(transfer),
        ) else {
            return Err(format!("has {}", unknown()));
        };
        if matches!(
            transfer_characteristics,
            TransferCharacteristics::Smpte2084 | TransferCharacteristics::Hlg
        ) {
            return Err(
                "is of high dynamic range (PQ or HLG), which has no one look in sRGB; convert it first".to_owned(),
            );
        }
        if !is_full_range {
            return Err("has samples of narrow (video) range; convert it to full range first".to_owned());
        }
        let profile = ColorProfile::new_from_cicp(CicpProfile {
            color_primaries,
            transfer_characteristics,
            matrix_coefficients: MatrixCoefficients::Identity,
            full_range: true,
        });
        if profile.red_trc.is_none() {
            return Err(format!("has {}", unknown()));
        }
        Ok(Self::Described(Box::new(profile), name))
    }

    /// PNG's `gAMA` and `cHRM`: the exponent of encoding, and x and y of white, red, green and blue. What is not given is
    /// sRGB's.
    pub(super) fn of_gamma(gamma: Option<f32>, chromaticities: Option<[(f32, f32); 4]>) -> Self {
        let mut profile = ColorProfile::new_srgb();
        let mut names = Vec::new();
        if let Some(gamma) = gamma.filter(|gamma| *gamma > 0.0 && !SRGB_GAMMA.contains(gamma)) {
            let curve = Some(ToneReprCurve::Parametric(vec![1.0 / gamma]));
            (profile.red_trc, profile.green_trc, profile.blue_trc) = (curve.clone(), curve.clone(), curve);
            names.push(format!("gamma {gamma}"));
        }
        // The code points outrank the curves and colorants.
        profile.cicp = None;
        if let Some([white, red, green, blue]) = chromaticities.filter(|points| points.iter().all(|(_, y)| *y > 0.0)) {
            let at = |(x, y): (f32, f32)| Chromaticity { x, y };
            let primaries = ColorPrimaries {
                red: at(red),
                green: at(green),
                blue: at(blue),
            };
            profile.update_rgb_colorimetry(XyY::new(f64::from(white.0), f64::from(white.1), 1.0), primaries);
            names.push("primaries of its own".to_owned());
        }
        Self::Described(Box::new(profile), names.join(" and "))
    }
}

/// Converts pixels to sRGB where `encoding` says that they are something else; alpha stays. The second value says in words
/// what was converted, or why it couldn't be.
pub(super) fn to_srgb(image: DynamicImage, encoding: &Encoding) -> (DynamicImage, Option<String>) {
    let is_grey = !image.color().has_color();
    let (profile, name) = match of(encoding) {
        Ok(found) => found,
        Err(reason) => return (image, Some(format!("{reason}; colours are taken as sRGB"))),
    };
    let profile = match profile.color_space {
        DataColorSpace::Rgb => profile,
        DataColorSpace::Gray if is_grey && profile.gray_trc.is_some() => with_curve_of_grey(&profile),
        other => {
            let pixels = if is_grey { "grey" } else { "RGB" };
            let note =
                format!("its {other:?} profile {name} doesn't fit its {pixels} pixels; colours are taken as sRGB");
            return (image, Some(note));
        }
    };
    let layout = if image.color().has_alpha() {
        Layout::Rgba
    } else {
        Layout::Rgb
    };
    let Ok(transform) = transform(&profile, layout) else {
        return (
            image,
            Some(format!(
                "its profile {name} can't be applied; colours are taken as sRGB"
            )),
        );
    };
    if changes_nothing(&*transform, layout) {
        return (image, None);
    }
    let converted = if image.color().has_alpha() {
        let mut rgba = image.into_rgba32f();
        apply(&*transform, &mut rgba, layout);
        DynamicImage::ImageRgba32F(rgba)
    } else {
        let mut rgb = image.into_rgb32f();
        apply(&*transform, &mut rgb, layout);
        DynamicImage::ImageRgb32F(rgb)
    };
    (converted, Some(format!("colours converted from {name} to sRGB")))
}

/// Shares of cyan, magenta, yellow and black, four a pixel in `0..=1`, as sRGB: by the file's profile where it has one for
/// such pixels, otherwise as ideal inks on white.
pub(super) fn rgb_of_inks(
    inks: &[f32],
    (width, height): (u32, u32),
    encoding: Option<&Encoding>,
) -> (Rgb32FImage, Option<String>) {
    let mut rgb = Rgb32FImage::new(width, height);
    let found = encoding.map(of);
    if let Some(Ok((profile, name))) = &found
        && profile.color_space == DataColorSpace::Cmyk
        && let Ok(transform) = transform(profile, Layout::Rgba)
    {
        let pieces = rgb.par_chunks_mut(PIECE_PX * 3).zip(inks.par_chunks(PIECE_PX * 4));
        // Lengths match by construction, the only thing that a transform checks.
        pieces.for_each(|(rgb, inks)| {
            let _ = transform.transform(inks, rgb);
        });
        return (rgb, Some(format!("colours converted from {name} to sRGB")));
    }
    for (rgb, ink) in rgb.chunks_exact_mut(3).zip(inks.chunks_exact(4)) {
        for (value, share) in rgb.iter_mut().zip(ink) {
            *value = (1.0 - share) * (1.0 - ink[3]);
        }
    }
    (rgb, Some("inks (CMYK) converted to sRGB without a profile".to_owned()))
}

/// The profile and its name.
fn of(encoding: &Encoding) -> Result<(ColorProfile, String), String> {
    match encoding {
        Encoding::Described(profile, name) => Ok(((**profile).clone(), name.clone())),
        Encoding::Icc(bytes) => {
            let profile = ColorProfile::new_from_slice(bytes)
                .map_err(|error| format!("its ICC profile can't be read ({error})"))?;
            let name = name_of(&profile);
            Ok((profile, name))
        }
    }
}

/// A profile's description, as far as it can be printed.
fn name_of(profile: &ColorProfile) -> String {
    let text = match &profile.description {
        Some(ProfileText::PlainString(text)) => text.as_str(),
        Some(ProfileText::Localizable(texts)) => texts.first().map_or("", |text| text.value.as_str()),
        Some(ProfileText::Description(text)) => text.ascii_string.as_str(),
        None => "",
    };
    let name: String = text.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    let name = name.trim();
    if name.is_empty() {
        "an unnamed ICC profile".to_owned()
    } else {
        name.to_owned()
    }
}

/// sRGB with the curve of a grey profile: its effect on grey pixels, which have become RGB.
fn with_curve_of_grey(profile: &ColorProfile) -> ColorProfile {
    let mut rgb = ColorProfile::new_srgb();
    let curve = if profile.pcs == DataColorSpace::Lab {
        profile.gray_trc.as_ref().and_then(luminance_of_lightness)
    } else {
        profile.gray_trc.clone()
    };
    (rgb.red_trc, rgb.green_trc, rgb.blue_trc) = (curve.clone(), curve.clone(), curve);
    // The code points outrank the curves.
    rgb.cicp = None;
    rgb
}

/// The curve to luminance of a curve to CIE lightness.
fn luminance_of_lightness(curve: &ToneReprCurve) -> Option<ToneReprCurve> {
    let lightness = curve.make_linear_evaluator().ok()?;
    let luminance = |index: usize| {
        let share = lightness.evaluate_value(index as f32 / (CURVE_POINTS - 1) as f32);
        let root = (100.0 * share + 16.0) / 116.0;
        let luminance = if root > 6.0 / 29.0 {
            root.powi(3)
        } else {
            (root - 4.0 / 29.0) * 108.0 / 841.0
        };
        (luminance.clamp(0.0, 1.0) * 65_535.0).round() as u16
    };
    Some(ToneReprCurve::Lut((0..CURVE_POINTS).map(luminance).collect()))
}

type Transform = dyn TransformExecutor<f32> + Send + Sync;

fn transform(profile: &ColorProfile, layout: Layout) -> Result<std::sync::Arc<Transform>, moxcms::CmsError> {
    let output = match (profile.color_space, layout) {
        (DataColorSpace::Cmyk, _) => Layout::Rgb,
        (_, layout) => layout,
    };
    profile.create_transform_f32(layout, &ColorProfile::new_srgb(), output, TransformOptions::default())
}

fn changes_nothing(transform: &Transform, layout: Layout) -> bool {
    let level = |index: usize| (index % PROBE_LEVELS) as f32 / (PROBE_LEVELS - 1) as f32;
    let colour = |index| {
        [
            level(index),
            level(index / PROBE_LEVELS),
            level(index / PROBE_LEVELS.pow(2)),
            1.0,
        ]
    };
    let probe: Vec<f32> = (0..PROBE_LEVELS.pow(3))
        .flat_map(|index| colour(index).into_iter().take(layout.channels()))
        .collect();
    let mut converted = vec![0.0; probe.len()];
    transform.transform(&probe, &mut converted).is_ok()
        && probe
            .iter()
            .zip(&converted)
            .all(|(before, after)| (before - after).abs() < SAME_COLOUR)
}

fn apply(transform: &Transform, samples: &mut [f32], layout: Layout) {
    samples.par_chunks_mut(PIECE_PX * layout.channels()).for_each(|piece| {
        let before: Vec<f32> = piece.iter().map(|value| value.clamp(0.0, 1.0)).collect();
        // Lengths match by construction, the only thing that a transform checks.
        let _ = transform.transform(&before, piece);
    });
}
