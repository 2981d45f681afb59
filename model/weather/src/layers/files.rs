//! The layers as files: what a user of a dataset puts a degraded image together from, without this program.
//!
//! `layers.json` says for every step, in order, which formula it follows and in which space, and for every term of the formula
//! the file that it is in or its value. A stored value times the term's `scale` is the value in the term's `unit`. Planes
//! and lights are 16-bit PNG unless NPY is asked for; what has a sign or no upper end (depth, radii, kernels, residuals) is
//! always NPY, 32-bit floats, little-endian.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Cursor;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, Rgb32FImage};
use mdsd3_words::WordsError;
use mdsd3_words::weather::{MapFormat, Space};
use npyz::WriterBuilder;
use rayon::prelude::*;
use serde::Serialize;

use super::{Light, Operation, Step};
use crate::depth::{DepthSource, SceneDepth};
use crate::plane::Plane;
use crate::{Degraded, Parameters};

/// Version of `layers.json`; it changes when an older reader would put something else together.
const VERSION: u32 = 1;
/// How the steps make the image, in words that a program can be written from.
const FORMULA: &str = "v = clean; for each step in order: v in the step's space; after = the step's formula; \
                       v = v + (after - v) * region where the step has a region, else v = after; \
                       at the end: v in srgb, held to 0..1";
/// The two spaces, as formulas.
const SPACES: [(&str, &str); 2] = [
    (
        "srgb",
        "values as image files have them, encoded by the curve of IEC 61966-2-1",
    ),
    (
        "linear",
        "v / 12.92 up to 0.04045, else ((v + 0.055) / 1.055)^2.4, of encoded v; mirrored below 0, and going on above 1",
    ),
];
/// Largest stored value of a 16-bit PNG.
const FULL: f32 = 65_535.0;

/// All files of a degraded image's layers, by name, the description `layers.json` last.
///
/// # Errors
/// [`WordsError::BadInput`] when the operations were not kept ([`crate::Options::layers`]) or the scene has no pixels.
pub fn files(
    scene: &Rgb32FImage,
    depth: &SceneDepth,
    degraded: &Degraded,
    format: MapFormat,
) -> Result<Vec<(String, Vec<u8>)>, WordsError> {
    let bad = |message: &str| WordsError::BadInput(message.to_owned());
    let steps = degraded
        .steps
        .as_ref()
        .ok_or_else(|| bad("the layers of this image were not kept; degrade it again with layers"))?;
    if scene.is_empty() {
        return Err(bad("the scene has no pixels, so it has no layers; give a photo"));
    }
    let mut maps = Maps {
        format,
        all: Vec::new(),
    };
    let clean = maps.add("clean".to_owned(), Kind::Light, Numbers::image(scene), "encoded value");
    let metres = maps.add("depth".to_owned(), Kind::Any, Numbers::plane(&depth.metres), "metres");
    let sky = maps.add(
        "sky".to_owned(),
        Kind::Share,
        Numbers::plane(&depth.sky),
        "share of the pixel",
    );
    let (source, name) = match &depth.source {
        DepthSource::Estimate => ("estimate", None),
        DepthSource::File(name) => ("file", Some(name.as_str())),
        DepthSource::Network(name) => ("network", Some(name.as_str())),
    };
    let document = Document {
        format: "mdsd3-layers",
        version: VERSION,
        width: scene.width(),
        height: scene.height(),
        formula: FORMULA,
        spaces: BTreeMap::from(SPACES),
        clean,
        depth: Depth {
            map: metres,
            source,
            name,
            notes: &depth.notes,
        },
        sky,
        steps: steps
            .iter()
            .enumerate()
            .map(|(i, step)| maps.add_step(i + 1, step))
            .collect(),
        parameters: &degraded.parameters,
    };
    let text = serde_json::to_vec_pretty(&document).map_err(|error| bad(&format!("layers.json: {error}")))?;
    let mut files = maps.all.par_iter().map(Map::encoded).collect::<Result<Vec<_>, _>>()?;
    files.push(("layers.json".to_owned(), text));
    Ok(files)
}

/// `layers.json`.
#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    version: u32,
    width: u32,
    height: u32,
    formula: &'static str,
    spaces: BTreeMap<&'static str, &'static str>,
    clean: Term,
    depth: Depth<'a>,
    sky: Term,
    steps: Vec<StepEntry>,
    parameters: &'a Parameters,
}

#[derive(Serialize)]
struct Depth<'a> {
    #[serde(flatten)]
    map: Term,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct StepEntry {
    class: &'static str,
    name: &'static str,
    space: Space,
    operation: &'static str,
    formula: &'static str,
    /// What the formula names beside `v`.
    terms: BTreeMap<&'static str, Term>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Term>,
    /// What describes the step and no formula needs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    maps: BTreeMap<&'static str, Term>,
}

/// A term of a formula: a file, or its value.
#[derive(Serialize)]
#[serde(untagged)]
enum Term {
    File {
        file: String,
        /// What a stored value is multiplied by.
        scale: f32,
        unit: &'static str,
    },
    Value {
        /// Red, green, blue.
        value: [f32; 3],
        unit: &'static str,
    },
}

/// What is known of a map's values.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// 0 to 1.
    Share,
    /// 0 or more, rarely above 1.
    Light,
    /// Any number.
    Any,
}

/// Numbers with their shape.
#[derive(Clone)]
struct Numbers<'a> {
    rows: usize,
    columns: usize,
    /// 1 or 3.
    channels: usize,
    values: Cow<'a, [f32]>,
}

impl<'a> Numbers<'a> {
    fn plane(plane: &'a Plane) -> Self {
        Self {
            rows: plane.height,
            columns: plane.width,
            channels: 1,
            values: Cow::Borrowed(&plane.values),
        }
    }

    fn image(image: &'a Rgb32FImage) -> Self {
        Self {
            rows: image.height() as usize,
            columns: image.width() as usize,
            channels: 3,
            values: Cow::Borrowed(image.as_raw()),
        }
    }
}

/// One file that is to be written.
struct Map<'a> {
    file: String,
    /// `None` for NPY.
    png_scale: Option<f32>,
    values: Numbers<'a>,
}

/// The files so far.
struct Maps<'a> {
    format: MapFormat,
    all: Vec<Map<'a>>,
}

impl<'a> Maps<'a> {
    fn add(&mut self, name: String, kind: Kind, values: Numbers<'a>, unit: &'static str) -> Term {
        let largest = || values.values.iter().copied().fold(1.0, f32::max);
        let png_scale = match (self.format, kind) {
            (MapFormat::Npy, _) | (_, Kind::Any) => None,
            (MapFormat::Png, Kind::Share) => Some(1.0 / FULL),
            (MapFormat::Png, Kind::Light) => Some(largest() / FULL),
        };
        let file = format!("{name}.{}", if png_scale.is_some() { "png" } else { "npy" });
        self.all.push(Map {
            file: file.clone(),
            png_scale,
            values,
        });
        Term::File {
            file,
            scale: png_scale.unwrap_or(1.0),
            unit,
        }
    }

    fn add_step(&mut self, number: usize, step: &'a Step) -> StepEntry {
        let named = |term: &str| format!("{number:02}-{}-{}-{term}", step.class, step.name);
        let unit = match step.space {
            Space::Srgb => "encoded value",
            Space::Linear => "linear light",
        };
        let mut terms = BTreeMap::new();
        let (operation, formula) = self.add_terms(step, &named, unit, &mut terms);
        let share = "share of the pixel";
        let region = step.region.as_ref();
        let region = region.map(|region| self.add(named("region"), Kind::Share, Numbers::plane(region), share));
        let maps = step.maps.iter().map(|(name, plane)| {
            let unit = if name.ends_with("_px") { "pixels" } else { "as named" };
            (*name, self.add(named(name), Kind::Any, Numbers::plane(plane), unit))
        });
        StepEntry {
            class: step.class,
            name: step.name,
            space: step.space,
            operation,
            formula,
            maps: maps.collect(),
            terms,
            region,
        }
    }

    /// Adds an operation's terms and says what it is and its formula.
    fn add_terms(
        &mut self,
        step: &'a Step,
        named: &impl Fn(&str) -> String,
        unit: &'static str,
        terms: &mut BTreeMap<&'static str, Term>,
    ) -> (&'static str, &'static str) {
        let mut add = |term: &'static str, kind: Kind, values: Numbers<'a>, unit: &'static str| {
            let file = self.add(named(term), kind, values, unit);
            terms.insert(term, file);
        };
        match &step.operation {
            Operation::Blend {
                keep,
                light: Light::Uniform { colour, amount: None },
            } if step.name == "veil" => {
                add(
                    "transmission",
                    Kind::Share,
                    Numbers::plane(keep),
                    "share of the light behind",
                );
                terms.insert("airlight", Term::Value { value: *colour, unit });
                ("veil", "v * transmission + airlight * (1 - transmission)")
            }
            Operation::Blend { keep, light } => {
                add("opacity", Kind::Share, opacity(keep), "share of the light behind");
                match light {
                    Light::Uniform { colour, amount } => {
                        let is_own = amount.is_some();
                        if let Some(amount) = amount {
                            add("amount", Kind::Light, Numbers::plane(amount), "share of the colour");
                        }
                        terms.insert("colour", Term::Value { value: *colour, unit });
                        if is_own {
                            ("shine", "v * (1 - opacity) + colour * amount")
                        } else {
                            ("cover", "v * (1 - opacity) + colour * opacity")
                        }
                    }
                    Light::PerPixel(light) => {
                        add("light", Kind::Light, Numbers::image(light), unit);
                        ("light", "v * (1 - opacity) + light")
                    }
                }
            }
            Operation::Gain(gain) => {
                let unit = "factor on red, green, blue";
                terms.insert("gain", Term::Value { value: *gain, unit });
                ("gain", "v * gain")
            }
            Operation::Add(residual) => {
                add("residual", Kind::Any, Numbers::image(residual), unit);
                ("add", "v + residual")
            }
            Operation::Convolve(kernel) => {
                let values = Numbers {
                    rows: kernel.height,
                    columns: kernel.width,
                    channels: 1,
                    values: Cow::Borrowed(&kernel.weights),
                };
                add("kernel", Kind::Any, values, "share of the light");
                (
                    "convolve",
                    "each channel of v convolved with kernel, about its middle; beyond the border edge pixels continue",
                )
            }
            Operation::Replace(image) => {
                add("image", Kind::Light, Numbers::image(image), unit);
                ("replace", "image")
            }
        }
    }
}

/// What hides the light behind: 1 less what passes.
fn opacity(keep: &Plane) -> Numbers<'static> {
    Numbers {
        rows: keep.height,
        columns: keep.width,
        channels: 1,
        values: keep.values.iter().map(|keep| 1.0 - keep).collect(),
    }
}

impl Map<'_> {
    fn encoded(&self) -> Result<(String, Vec<u8>), WordsError> {
        let bytes = match self.png_scale {
            Some(scale) => self.png(scale).map_err(|error| error.to_string()),
            None => self.npy().map_err(|error| error.to_string()),
        };
        let bytes = bytes.map_err(|error| WordsError::BadInput(format!("{}: {error}", self.file)))?;
        Ok((self.file.clone(), bytes))
    }

    fn png(&self, scale: f32) -> image::ImageResult<Vec<u8>> {
        let stored = |value: &f32| ((value / scale).round().clamp(0.0, FULL) as u16).to_ne_bytes();
        let values: Vec<u8> = self.values.values.iter().flat_map(stored).collect();
        let colour = if self.values.channels == 3 {
            ExtendedColorType::Rgb16
        } else {
            ExtendedColorType::L16
        };
        let mut bytes = Vec::new();
        let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive);
        encoder.write_image(&values, self.values.columns as u32, self.values.rows as u32, colour)?;
        Ok(bytes)
    }

    fn npy(&self) -> std::io::Result<Vec<u8>> {
        let Numbers {
            rows,
            columns,
            channels,
            values,
        } = &self.values;
        let mut shape = vec![*rows as u64, *columns as u64];
        if *channels > 1 {
            shape.push(*channels as u64);
        }
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = npyz::WriteOptions::<f32>::new()
            .dtype(npyz::DType::Plain("<f4".parse().expect("a type that npyz knows")))
            .shape(&shape)
            .writer(&mut bytes)
            .begin_nd()?;
        writer.extend(values.iter().copied())?;
        writer.finish()?;
        Ok(bytes.into_inner())
    }
}
