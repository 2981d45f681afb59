//! The layers as files: what a user of a dataset puts a degraded image together from, without this program.
//!
//! `layers.json` says for every step, in order, which formula it follows and in which space, and for every term of the
//! formula the file that it is in or its value. A stored value times the term's `scale` is the value in the term's
//! `unit`. Planes and lights are 16-bit PNG unless NPY is asked for; what has a sign or no upper end (depth, radii,
//! kernels, residuals) is always NPY, 32-bit floats, little-endian.

use std::collections::BTreeMap;

use image::Rgb32FImage;
use mdsd3_words::WordsError;
use mdsd3_words::weather::{MapFormat, Space};
use rayon::prelude::*;
use serde::Serialize;

use super::map::{Kind, Map, Numbers};
use super::{Light, Operation, Step};
use crate::depth::{DepthSource, SceneDepth};
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

/// The files so far.
struct Maps<'a> {
    format: MapFormat,
    all: Vec<Map<'a>>,
}

impl<'a> Maps<'a> {
    fn add(&mut self, name: String, kind: Kind, values: Numbers<'a>, unit: &'static str) -> Term {
        let map = Map::new(&name, kind, values, self.format);
        let term = Term::File {
            file: map.file.clone(),
            scale: map.scale(),
            unit,
        };
        self.all.push(map);
        term
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
                add(
                    "opacity",
                    Kind::Share,
                    Numbers::opacity(keep),
                    "share of the light behind",
                );
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
                add("kernel", Kind::Any, Numbers::kernel(kernel), "share of the light");
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
