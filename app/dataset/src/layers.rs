//! What each class did to a pair, as files: of formulas every operation, of the network depth and the residual of each class.

use std::collections::BTreeMap;

use image::Rgb32FImage;
use mdsd3_model::pipeline::Latents;
use mdsd3_render::RenderError;
use mdsd3_render::loaded::Decoder;
use mdsd3_weather::layers;
use mdsd3_words::Mix;
use mdsd3_words::weather::MapFormat;
use serde::Serialize;
use serde_json::Value;

use crate::check::bad;
use crate::pair::{Made, SceneInWork, without};

/// Version of the JSON beside residuals; it changes when an older reader would take them for something else.
const VERSION: u32 = 1;
/// What a residual is.
const FORMULA: &str = "residual = decode(mix) - decode(mix without the class), on the same noise, both in encoded values and before masks; the \
                       mix without its only class is decode(encode(gt))";

/// The JSON beside the residuals of a network's pair.
#[derive(Serialize)]
struct Document {
    format: &'static str,
    version: u32,
    width: u32,
    height: u32,
    formula: &'static str,
    depth: Value,
    sky: Map,
    residuals: BTreeMap<String, Residual>,
}

#[derive(Serialize)]
struct Map {
    file: String,
    unit: &'static str,
}

#[derive(Serialize)]
struct Residual {
    #[serde(flatten)]
    map: Map,
    /// The mix that is taken away.
    without: String,
}

/// The files of a pair's layers, by name, their JSON `layers.json` last.
///
/// # Errors
/// [`RenderError`] for latents that can't be decoded.
pub(super) fn files(
    scene: &SceneInWork,
    (mix, made): (&Mix, &Made),
    decoder: Option<&Decoder>,
) -> Result<Vec<(String, Vec<u8>)>, RenderError> {
    let weather = scene.weather.as_ref();
    match (made, weather, decoder) {
        (Made::Physical(degraded), Some(weather), _) => Ok(layers::files(
            &scene.fitted.rgb,
            &weather.depth,
            degraded,
            MapFormat::Png,
        )?),
        (
            Made::Sampled {
                latents,
                others,
                scene: encoded,
                ..
            },
            Some(_),
            Some(decoder),
        ) => residuals(scene, mix, (latents, others, encoded), decoder),
        _ => Err(RenderError::Panicked {
            message: "layers of a scene without weather".to_owned(),
        }),
    }
}

fn residuals(
    scene: &SceneInWork,
    mix: &Mix,
    (latents, others, encoded): (&Latents, &[(Mix, Latents)], &Latents),
    decoder: &Decoder,
) -> Result<Vec<(String, Vec<u8>)>, RenderError> {
    let failed = |error: std::io::Error| bad(format!("layers can't be written ({error})"));
    let weather = scene.weather.as_ref().ok_or_else(|| RenderError::Panicked {
        message: "layers of a scene without weather".to_owned(),
    })?;
    let (width, height) = (scene.fitted.rgb.width(), scene.fitted.rgb.height());
    let shape = [height as usize, width as usize];
    let whole = decoder.rgb_from_latents(latents)?;
    let mut files = vec![
        (
            "depth.npy".to_owned(),
            layers::npy(&shape, &weather.depth.metres.values).map_err(failed)?,
        ),
        (
            "sky.npy".to_owned(),
            layers::npy(&shape, &weather.depth.sky.values).map_err(failed)?,
        ),
    ];
    let mut depth = weather.depth_as_json();
    (depth["file"], depth["unit"]) = ("depth.npy".into(), "metres".into());
    let mut residuals = BTreeMap::new();
    for (class, _) in mix.active() {
        let rest = without(mix, class)?;
        let before: Rgb32FImage = match others.iter().find(|(other, _)| *other == rest) {
            Some((_, latents)) => decoder.rgb_from_latents(latents)?,
            None => (*scene.autoencoded(decoder, encoded)?).clone(),
        };
        let values = whole.iter().zip(before.iter()).map(|(after, before)| after - before);
        let file = format!("{class}-residual.npy");
        let shape = [shape[0], shape[1], 3];
        files.push((
            file.clone(),
            layers::npy(&shape, &values.collect::<Vec<f32>>()).map_err(failed)?,
        ));
        let map = Map {
            file,
            unit: "encoded value",
        };
        let without = rest.to_string();
        residuals.insert(class.to_owned(), Residual { map, without });
    }
    let document = Document {
        format: "mdsd3-residuals",
        version: VERSION,
        width,
        height,
        formula: FORMULA,
        depth,
        sky: Map {
            file: "sky.npy".to_owned(),
            unit: "share of the pixel",
        },
        residuals,
    };
    let json = serde_json::to_vec_pretty(&document).map_err(|error| bad(format!("layers have no JSON ({error})")))?;
    files.push(("layers.json".to_owned(), json));
    Ok(files)
}
