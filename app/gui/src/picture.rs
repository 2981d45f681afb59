//! Maps of numbers as pictures: depth and the layers of the weather, each with the scale that its colours mean. Nothing is drawn
//! here.

use std::sync::Arc;

use egui::Color32;
use mdsd3_engine::protocol::SceneWeatherView;
use mdsd3_words::image::{DepthView, LayerView, Rgba8};

use crate::colormap::ColorMap;

/// A value that is no number.
const NO_NUMBER: [u8; 4] = [255, 0, 255, 255];
/// Pictures that are kept.
const KEPT: usize = 3;

/// A map as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// What it is, such as "Depth" or "haze: transmission".
    pub title: String,
    /// Its pixels.
    pub image: Rgba8,
    /// What its colours mean.
    pub scale: Scale,
    source: Source,
}

/// What a picture was made of.
#[derive(Debug, Clone)]
pub enum Source {
    /// The depth of a scene.
    Depth(Arc<SceneWeatherView>),
    /// A layer, by its place.
    Layer(Arc<[LayerView]>, usize),
}

/// What colours mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// Values at the left end and at the right end.
    pub ends: [f32; 2],
    /// Whether equal steps are equal ratios.
    is_log: bool,
    /// Unit in words; empty without one.
    pub unit: &'static str,
    /// Whether its colours are those of the table, from left to right; otherwise it is a picture in its own colours.
    pub table: Option<(ColorMap, bool)>,
    /// Whether the sky has a colour of its own.
    pub has_sky: bool,
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Depth(one), Self::Depth(other)) => Arc::ptr_eq(one, other),
            (Self::Layer(one, at), Self::Layer(other, other_at)) => Arc::ptr_eq(one, other) && at == other_at,
            _ => false,
        }
    }
}

impl Scale {
    fn new(ends: [f32; 2], unit: &'static str) -> Self {
        Self {
            ends,
            is_log: false,
            unit,
            table: None,
            has_sky: false,
        }
    }

    /// Where a value is between the ends, 0 to 1.
    pub fn share(&self, value: f32) -> f32 {
        let [low, high] = self.ends;
        let (value, low, high) = if self.is_log {
            (value.ln(), low.ln(), high.ln())
        } else {
            (value, low, high)
        };
        ((value - low) / (high - low).max(1e-12)).clamp(0.0, 1.0)
    }

    /// Round values between the ends, with their places from 0 to 1.
    pub fn ticks(&self) -> Vec<(f32, String)> {
        let [low, high] = self.ends;
        let values: Vec<f32> = if self.is_log {
            let decades = -2..=5;
            let steps = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|step| step * 10_f32.powi(decade)));
            steps.filter(|value| (low..=high).contains(value)).collect()
        } else {
            vec![low, f32::midpoint(low, high), high]
        };
        values
            .into_iter()
            .map(|value| (self.share(value), number(value)))
            .collect()
    }

    /// "from 2 to 150 m, near is bright".
    pub fn in_words(&self) -> String {
        let [low, high] = self.ends.map(number);
        let unit = if self.unit.is_empty() { "" } else { " " };
        format!("from {low} to {high}{unit}{}", self.unit)
    }

    /// The colour of a value.
    fn color(&self, value: f32) -> [u8; 4] {
        if !value.is_finite() {
            return NO_NUMBER;
        }
        let share = self.share(value);
        if let Some((map, is_reversed)) = self.table {
            return map.color(if is_reversed { 1.0 - share } else { share }).to_array();
        }
        let level = (share * 255.0).round() as u8;
        [level, level, level, 255]
    }
}

/// A number with three significant digits.
pub fn number(value: f32) -> String {
    let value = if value == 0.0 { 0.0 } else { value };
    let decimals = (2 - value.abs().max(1e-3).log10().floor() as i32).clamp(0, 4) as usize;
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    text.replace('-', "−")
}

impl Picture {
    /// Where there is sky in a depth map: a colour that no scale has.
    pub const SKY: [u8; 4] = [120, 148, 176, 255];

    /// The depth of a scene: bright is near, equal ratios are equal steps, and the sky has a colour of its own.
    pub fn of_depth(view: &Arc<SceneWeatherView>, map: ColorMap) -> Self {
        let DepthView {
            width,
            height,
            metres,
            sky,
            ..
        } = &view.depth;
        let is_sky = |at: usize| sky.get(at).is_some_and(|share| *share >= 0.5);
        let ground = metres
            .iter()
            .enumerate()
            .filter(|(at, _)| !is_sky(*at))
            .map(|(_, metres)| *metres);
        let scale = Scale {
            is_log: true,
            table: Some((map, true)),
            has_sky: (0..metres.len()).any(is_sky),
            ..Scale::new(ends_of(ground.filter(|metres| *metres > 0.0)), "m")
        };
        let pixel = |(at, metres): (usize, &f32)| if is_sky(at) { Self::SKY } else { scale.color(*metres) };
        let pixels: Vec<[u8; 4]> = metres.iter().enumerate().map(pixel).collect();
        Self {
            title: "Depth".to_owned(),
            image: Rgba8 {
                width: *width,
                height: *height,
                pixels: pixels.concat().into(),
            },
            scale,
            source: Source::Depth(Arc::clone(view)),
        }
    }

    /// A layer: numbers in colours, and what has three channels as an image; grey in the middle where it can be negative.
    pub fn of_layer(layers: &Arc<[LayerView]>, index: usize, map: ColorMap) -> Option<Self> {
        let layer = layers.get(index)?;
        let [low, high] = ends_of(layer.values.iter().copied());
        let scale = match (layer.channels, layer.unit) {
            (3, _) if low < 0.0 => {
                let largest = low.abs().max(high);
                Scale::new([-largest, largest], layer.unit)
            }
            (3, _) => Scale::new([0.0, 1.0], layer.unit),
            (_, unit) => Scale {
                is_log: unit == "m" && low > 0.0,
                table: Some((map, unit == "m")),
                ..Scale::new(if unit == "share" { [0.0, 1.0] } else { [low, high] }, unit)
            },
        };
        let channels = usize::from(layer.channels).max(1);
        let pixels: Vec<[u8; 4]> = layer
            .values
            .chunks_exact(channels)
            .map(|values| match values {
                [red, green, blue] => {
                    let [red, green, blue] = [red, green, blue].map(|value| scale.color(*value)[0]);
                    [red, green, blue, 255]
                }
                _ => scale.color(values[0]),
            })
            .collect();
        Some(Self {
            title: layer.name.clone(),
            image: Rgba8 {
                width: layer.width,
                height: layer.height,
                pixels: pixels.concat().into(),
            },
            scale,
            source: Source::Layer(Arc::clone(layers), index),
        })
    }

    /// The value of a pixel in words, such as "18.2 m".
    pub fn value_at(&self, x: u32, y: u32) -> Option<String> {
        let at = (y * self.image.width + x) as usize;
        let (values, channels) = match &self.source {
            Source::Depth(view) if view.depth.sky.get(at)? >= &0.5 => return Some("sky".to_owned()),
            Source::Depth(view) => (&view.depth.metres, 1),
            Source::Layer(layers, index) => {
                let layer = layers.get(*index)?;
                (&layer.values, usize::from(layer.channels).max(1))
            }
        };
        let values = values.get(at * channels..(at + 1) * channels)?;
        let texts: Vec<String> = values.iter().map(|value| number(*value)).collect();
        Some(format!("{} {}", texts.join(" "), self.scale.unit).trim_end().to_owned())
    }

    /// What it is and what its colours mean, for the file that it is saved in.
    pub fn in_words(&self) -> String {
        let sky = if self.scale.has_sky {
            ", sky in its own colour"
        } else {
            ""
        };
        let steps = if self.scale.is_log { ", logarithmic" } else { "" };
        format!("{}, {}{steps}{sky}", self.title, self.scale.in_words())
    }
}

/// The least and the greatest of numbers; 0 and 1 where there are none.
fn ends_of(values: impl Iterator<Item = f32>) -> [f32; 2] {
    let ends = values
        .filter(|value| value.is_finite())
        .fold(None, |ends: Option<[f32; 2]>, value| {
            let [low, high] = ends.unwrap_or([value; 2]);
            Some([low.min(value), high.max(value)])
        });
    match ends {
        Some([low, high]) if high > low => [low, high],
        // One value is in the middle of its scale.
        Some([low, _]) if low > 0.0 => [low / 2.0, low * 2.0],
        Some([low, _]) => [low - 1.0, low + 1.0],
        None => [0.0, 1.0],
    }
}

/// The pictures that were shown lately: they are made once.
#[derive(Debug, Default)]
pub struct Pictures {
    maps: Vec<(ColorMap, Arc<Picture>)>,
    overlay: Option<(Arc<SceneWeatherView>, Vec<Color32>, Rgba8)>,
}

impl Pictures {
    /// The picture of a map; `None` for a layer that isn't there.
    pub fn get(&mut self, source: &Source, map: ColorMap) -> Option<Arc<Picture>> {
        let is_it = |(known, picture): &(ColorMap, Arc<Picture>)| *known == map && picture.source == *source;
        if let Some((_, picture)) = self.maps.iter().find(|entry| is_it(entry)) {
            return Some(Arc::clone(picture));
        }
        let picture = Arc::new(match source {
            Source::Depth(view) => Picture::of_depth(view, map),
            Source::Layer(layers, index) => Picture::of_layer(layers, *index, map)?,
        });
        self.maps.truncate(KEPT - 1);
        self.maps.insert(0, (map, Arc::clone(&picture)));
        Some(picture)
    }

    /// The regions of a scene, each in its colour, to be laid over the photo; `None` without any.
    pub fn overlay(&mut self, view: &Arc<SceneWeatherView>, colors: &[Color32]) -> Option<Rgba8> {
        let known = self.overlay.as_ref();
        if let Some((_, _, image)) = known.filter(|(of, by, _)| Arc::ptr_eq(of, view) && by == colors) {
            return Some(image.clone());
        }
        let image = overlay(&view.regions, colors)?;
        self.overlay = Some((Arc::clone(view), colors.to_vec(), image.clone()));
        Some(image)
    }
}

/// How much of the photo an overlay hides at most.
const OVERLAY: f32 = 0.45;

fn overlay(regions: &[LayerView], colors: &[Color32]) -> Option<Rgba8> {
    let first = regions.first()?;
    let pixels = (0..first.values.len()).flat_map(|at| {
        let shares = regions
            .iter()
            .map(|region| region.values.get(at).copied().unwrap_or(0.0));
        let (mut sum, mut all, mut most) = ([0.0; 3], 0.0, 0.0_f32);
        for (share, color) in shares.zip(colors) {
            let [red, green, blue, _] = color.to_array();
            let channels = sum.iter_mut().zip([red, green, blue]);
            channels.for_each(|(sum, level)| *sum += share * f32::from(level));
            (all, most) = (all + share, most.max(share));
        }
        let [red, green, blue] = sum.map(|sum| (sum / all.max(1e-6)).round() as u8);
        [red, green, blue, (most * OVERLAY * 255.0).round() as u8]
    });
    Some(Rgba8 {
        width: first.width,
        height: first.height,
        pixels: pixels.collect(),
    })
}

#[cfg(test)]
mod tests;
