//! Seconds per pair of one class each, as JSON: `cargo run --release -p mdsd3-weather --example speed -- PHOTO haze,rain`.
//!
//! From 8-bit values to 8-bit values, with the depth given; `depth` is its estimate, once per photo.
//! `tests/bench/weather.py` runs it beside other libraries.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Instant;

use image::{Rgb32FImage, RgbImage};
use mdsd3_weather::depth::{SceneDepth, estimate};
use mdsd3_weather::{Options, degrade};
use mdsd3_words::{Mix, WordsError};
use rayon::prelude::*;

/// Each figure is the mean over pairs made for at least so long.
const LEAST_SECS: f64 = 0.4;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(classes)) = (arguments.next(), arguments.next()) else {
        return Err("usage: speed PHOTO CLASS,CLASS".into());
    };
    let photo = image::open(path)?.to_rgb8();
    let depth = estimate(&scene_of(&photo));
    let estimated = seconds_each(|_| {
        std::hint::black_box(estimate(&scene_of(&photo)));
        Ok(())
    })?;
    let mut seconds = BTreeMap::from([("depth".to_owned(), estimated)]);
    for class in classes.split(',') {
        let mix = format!("{class}=1").parse()?;
        let secs = seconds_each(|seed| pair(&scene_of(&photo), &depth, &mix, seed))?;
        seconds.insert(class.to_owned(), secs);
    }
    println!("{}", serde_json::to_string(&seconds)?);
    Ok(())
}

fn scene_of(photo: &RgbImage) -> Rgb32FImage {
    let mut scene = Rgb32FImage::new(photo.width(), photo.height());
    let values = scene.par_iter_mut().zip(photo.as_raw().par_iter());
    values.for_each(|(value, byte)| *value = f32::from(*byte) / 255.0);
    scene
}

/// Makes one pair and its 8-bit values.
fn pair(scene: &Rgb32FImage, depth: &SceneDepth, mix: &Mix, seed: u64) -> Result<(), WordsError> {
    let degraded = degrade(scene, depth, mix, seed, &Options::default())?;
    let bytes: Vec<u8> = degraded
        .image
        .as_raw()
        .par_iter()
        .map(|value| (value * 255.0).round() as u8)
        .collect();
    std::hint::black_box(bytes);
    Ok(())
}

/// Mean seconds of a call, which gets its number.
fn seconds_each(mut call: impl FnMut(u64) -> Result<(), WordsError>) -> Result<f64, WordsError> {
    let (start, mut calls) = (Instant::now(), 0);
    while calls == 0 || start.elapsed().as_secs_f64() < LEAST_SECS {
        call(calls)?;
        calls += 1;
    }
    Ok(start.elapsed().as_secs_f64() / calls as f64)
}
