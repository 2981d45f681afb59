//! Depth and layers for a window: plain numbers with their names and units.

use image::Rgb32FImage;
use mdsd3_weather::depth::{DepthSource, SceneDepth};
use mdsd3_weather::layers::{Light, Operation, Step};
use mdsd3_weather::plane::Plane;
use mdsd3_words::image::{DepthView, LayerView};

use super::SceneWeather;

/// A scene's depth for a window, without tensors.
pub fn depth_view(weather: &SceneWeather) -> DepthView {
    let depth = &weather.depth;
    DepthView {
        width: depth.metres.width as u32,
        height: depth.metres.height as u32,
        metres: depth.metres.values.as_slice().into(),
        sky: depth.sky.values.as_slice().into(),
        source: match &depth.source {
            DepthSource::Estimate => "estimated from the photo".to_owned(),
            DepthSource::File(name) => format!("from {name}"),
            DepthSource::Network(name) => format!("computed by {name}"),
        },
        notes: weather.notes.clone(),
    }
}

/// Where classes act, for a window: a mask for each region, named after its class.
pub fn region_views(weather: &SceneWeather) -> Vec<LayerView> {
    let regions = weather.regions.iter();
    regions
        .map(|region| of_plane(region.class.clone(), "share", &region.mask))
        .collect()
}

/// The maps of a degraded image for a window: depth and sky, then what each operation did, in order.
pub fn layer_views(depth: &SceneDepth, steps: &[Step]) -> Vec<LayerView> {
    let mut views = vec![
        of_plane("depth".to_owned(), "m", &depth.metres),
        of_plane("sky".to_owned(), "share", &depth.sky),
    ];
    for step in steps {
        let name = |what: &str| format!("{} {}: {what}", step.class, step.name);
        match &step.operation {
            Operation::Blend { keep, light } => {
                let passes = if step.class == "haze" {
                    "transmission"
                } else {
                    "share that passes"
                };
                views.push(of_plane(name(passes), "share", keep));
                views.push(match light {
                    Light::PerPixel(light) => of_image(name("light"), light),
                    Light::Uniform { colour, amount } => {
                        let amount = |at: usize| {
                            amount
                                .as_ref()
                                .map_or(1.0 - keep.values[at], |amount| amount.values[at])
                        };
                        let values = (0..keep.values.len()).flat_map(|at| colour.map(|light| light * amount(at)));
                        LayerView {
                            name: name("light"),
                            unit: "value",
                            width: keep.width as u32,
                            height: keep.height as u32,
                            channels: 3,
                            values: values.collect(),
                        }
                    }
                });
            }
            Operation::Add(residual) => views.push(of_image(name("residual"), residual)),
            Operation::Replace(image) => views.push(of_image(name("image"), image)),
            Operation::Convolve(kernel) => views.push(LayerView {
                name: name("kernel"),
                unit: "weight",
                width: kernel.width as u32,
                height: kernel.height as u32,
                channels: 1,
                values: kernel.weights.as_slice().into(),
            }),
            // Three numbers, which the parameters have.
            Operation::Gain(_) => {}
        }
        views.extend(step.maps.iter().map(|(what, plane)| of_plane(name(what), "", plane)));
    }
    views
}

fn of_plane(name: String, unit: &'static str, plane: &Plane) -> LayerView {
    LayerView {
        name,
        unit,
        width: plane.width as u32,
        height: plane.height as u32,
        channels: 1,
        values: plane.values.as_slice().into(),
    }
}

fn of_image(name: String, image: &Rgb32FImage) -> LayerView {
    LayerView {
        name,
        unit: "value",
        width: image.width(),
        height: image.height(),
        channels: 3,
        values: image.as_raw().as_slice().into(),
    }
}
