use std::collections::HashMap;

use image::{Rgb, Rgb32FImage};
use mdsd3_words::weather::{MapFormat, Space};
use serde_json::Value;

use super::*;
use crate::depth::estimate;
use crate::{CLASSES, Options, Region, degrade};

/// Bright and dark parts, colours and edges.
fn scene() -> Rgb32FImage {
    Rgb32FImage::from_fn(56, 40, |x, y| {
        let (u, v) = (x as f32 / 56.0, y as f32 / 40.0);
        let stripe = f32::from((x / 6 + y / 9) % 2 == 0);
        Rgb([0.05 + 0.9 * u, 0.1 + 0.5 * v + 0.3 * stripe, 0.9 - 0.8 * u * v])
    })
}

/// What a reader has: the files by name, and the description.
struct Reader {
    files: HashMap<String, Vec<u8>>,
    description: Value,
}

impl Reader {
    fn new(files: Vec<(String, Vec<u8>)>) -> Self {
        assert_eq!(
            files.last().expect("files").0,
            "layers.json",
            "a broken-off folder has no description"
        );
        let files: HashMap<_, _> = files.into_iter().collect();
        let description = serde_json::from_slice(&files["layers.json"]).expect("JSON");
        Self { files, description }
    }

    /// Shape and values of a term.
    fn values(&self, term: &Value) -> (Vec<u64>, Vec<f32>) {
        let name = term["file"].as_str().expect("a file");
        let bytes = &self.files[name];
        let scale = term["scale"].as_f64().expect("a scale") as f32;
        if bytes.starts_with(b"\x93NUMPY") {
            let file = npyz::NpyFile::new(&bytes[..]).expect("NPY");
            let shape = file.shape().to_vec();
            let values = file.into_vec::<f32>().expect("floats");
            return (shape, values.iter().map(|value| scale * value).collect());
        }
        let image = image::load_from_memory(bytes).expect("PNG");
        let (rows, columns) = (u64::from(image.height()), u64::from(image.width()));
        let (channels, stored) = match &image {
            image::DynamicImage::ImageLuma16(image) => (1, image.as_raw()),
            image::DynamicImage::ImageRgb16(image) => (3, image.as_raw()),
            other => panic!("{name} is {:?}", other.color()),
        };
        let values = stored.iter().map(|value| scale * f32::from(*value)).collect();
        (vec![rows, columns, channels], values)
    }

    fn plane(&self, term: &Value) -> Plane {
        let (shape, values) = self.values(term);
        Plane {
            width: shape[1] as usize,
            height: shape[0] as usize,
            values,
        }
    }

    fn image(&self, term: &Value) -> Rgb32FImage {
        let (shape, values) = self.values(term);
        Rgb32FImage::from_raw(shape[1] as u32, shape[0] as u32, values).expect("its shape")
    }

    fn step(&self, step: &Value) -> Step {
        let terms = &step["terms"];
        let colour = |term: &Value| -> [f32; 3] { serde_json::from_value(term["value"].clone()).expect("a colour") };
        let passed = || {
            let mut keep = self.plane(&terms["opacity"]);
            keep.values.iter_mut().for_each(|value| *value = 1.0 - *value);
            keep
        };
        let operation = match step["operation"].as_str().expect("an operation") {
            "veil" => Operation::Blend {
                keep: self.plane(&terms["transmission"]),
                light: Light::Uniform {
                    colour: colour(&terms["airlight"]),
                    amount: None,
                },
            },
            "cover" => Operation::Blend {
                keep: passed(),
                light: Light::Uniform {
                    colour: colour(&terms["colour"]),
                    amount: None,
                },
            },
            "shine" => Operation::Blend {
                keep: passed(),
                light: Light::Uniform {
                    colour: colour(&terms["colour"]),
                    amount: Some(self.plane(&terms["amount"])),
                },
            },
            "light" => Operation::Blend {
                keep: passed(),
                light: Light::PerPixel(self.image(&terms["light"])),
            },
            "gain" => Operation::Gain(colour(&terms["gain"])),
            "add" => Operation::Add(self.image(&terms["residual"])),
            "convolve" => {
                let kernel = self.plane(&terms["kernel"]);
                Operation::Convolve(Kernel {
                    width: kernel.width,
                    height: kernel.height,
                    weights: kernel.values,
                })
            }
            "replace" => Operation::Replace(self.image(&terms["image"])),
            other => panic!("operation {other}"),
        };
        Step {
            class: "read",
            name: "read",
            space: serde_json::from_value(step["space"].clone()).expect("a space"),
            operation,
            region: step.get("region").map(|region| self.plane(region)),
            maps: Vec::new(),
        }
    }

    fn put_together(&self) -> Rgb32FImage {
        let steps = self.description["steps"].as_array().expect("steps");
        let steps: Vec<_> = steps.iter().map(|step| self.step(step)).collect();
        put_together(&self.image(&self.description["clean"]), &steps)
    }
}

fn written(mix: &str, options: &Options<'_>, format: MapFormat) -> (Rgb32FImage, Reader) {
    let scene = scene();
    let depth = estimate(&scene);
    let degraded = degrade(&scene, &depth, &mix.parse().expect(mix), 7, options).expect(mix);
    let files = files(&scene, &depth, &degraded, format).expect("files");
    (degraded.image, Reader::new(files))
}

fn check(mix: &str, options: &Options<'_>, format: MapFormat) {
    let (image, reader) = written(mix, options, format);
    let again = reader.put_together();
    let largest = image
        .iter()
        .zip(again.iter())
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(
        largest < 1.0 / 255.0,
        "{mix}, {:?}, {format:?}: {}/255",
        options.space,
        255.0 * largest
    );
}

#[test]
fn the_files_put_together_are_the_image() {
    let together = CLASSES.map(|class| format!("{class}=0.6")).join(",");
    let mixes = CLASSES
        .map(|class| format!("{class}=1"))
        .into_iter()
        .chain([together, String::new()]);
    let half = Plane::from_rows(56, 40, |_, row| row[..24].fill(0.7));
    let regions = CLASSES.map(|class| Region {
        class: class.to_owned(),
        mask: half.clone(),
    });
    for mix in mixes {
        for (space, format, regions) in [
            (Space::Srgb, MapFormat::Png, &[][..]),
            (Space::Linear, MapFormat::Npy, &[][..]),
            (Space::Linear, MapFormat::Png, &regions[..]),
        ] {
            let options = Options {
                space,
                regions,
                layers: true,
                ..Options::default()
            };
            check(&mix, &options, format);
        }
    }
}

#[test]
fn the_description_says_what_every_file_is() {
    let options = Options {
        layers: true,
        ..Options::default()
    };
    let (_, reader) = written("haze=1,motion_blur=1,noise=1,defocus=1", &options, MapFormat::Png);
    let description = &reader.description;
    assert_eq!(
        (&description["format"], &description["version"]),
        (&"mdsd3-layers".into(), &1.into())
    );
    assert_eq!(description["depth"]["unit"], "metres");
    let (shape, metres) = reader.values(&description["depth"]);
    assert_eq!(shape, [40, 56]);
    assert_eq!(metres, estimate(&scene()).metres.values, "depth is not rounded");
    let steps = description["steps"].as_array().expect("steps");
    let formulas: Vec<_> = steps
        .iter()
        .map(|step| (step["class"].clone(), step["formula"].clone()))
        .collect();
    assert_eq!(formulas[0].1, "v * transmission + airlight * (1 - transmission)");
    assert_eq!(formulas.last().expect("steps").1, "v + residual");
    let blur = steps.iter().find(|step| step["class"] == "defocus").expect("a step");
    assert_eq!(blur["maps"]["radius_px"]["unit"], "pixels");
    let named: usize = description.to_string().matches("\"file\":").count();
    assert_eq!(
        named + 1,
        reader.files.len(),
        "every file is in the description, which is one more"
    );
    assert_eq!(description["parameters"]["seed"], 7);
}

#[test]
fn layers_that_were_not_kept_or_have_no_pixels_are_refused() {
    let scene = scene();
    let depth = estimate(&scene);
    let degraded = degrade(&scene, &depth, &"haze=1".parse().expect("mix"), 7, &Options::default()).expect("haze");
    let error = files(&scene, &depth, &degraded, MapFormat::Png).expect_err("not kept");
    assert!(
        error.is_bad_input() && error.to_string().contains("not kept"),
        "{error}"
    );
}
