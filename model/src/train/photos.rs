//! Clean training photos.

use image::Rgb32FImage;
use image::imageops::{self, FilterType};
use mdsd3_weather::depth::{SceneDepth, estimate};
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;

use super::recipe::{Frame, Recipe};
use crate::error::ModelError;
use crate::io::photo::load_photo;
use crate::sampler::noise::Stream;

/// Shorter sides, in pixels over the side of a pair, that every photo is kept at: near and far views of its texture.
const SCALES: [f32; 2] = [1.0, 1.5];

/// The photos of a split at a few sizes, in memory, each with its depth.
pub struct Photos {
    images: Vec<(Rgb32FImage, SceneDepth)>,
    /// Side of a pair in pixels.
    side: u32,
}

impl Photos {
    /// Loads the recipe's training split.
    ///
    /// # Errors
    /// Bad input when the manifest or a photo is missing, saying how to get them.
    pub fn load(recipe: &Recipe) -> Result<Self, ModelError> {
        let paths = manifest_paths(recipe, &recipe.split)?;
        if paths.is_empty() {
            return Err(ModelError::BadInput(format!(
                "{}: no photo of split {}",
                recipe.manifest.display(),
                recipe.split
            )));
        }
        Self::of(recipe, &paths)
    }

    /// Loads up to `count` photos of the validation split; `None` when there are none.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_held_out(recipe: &Recipe, count: usize) -> Result<Option<Self>, ModelError> {
        let mut paths = manifest_paths(recipe, &recipe.validation_split)?;
        paths.truncate(count);
        if paths.is_empty() {
            return Ok(None);
        }
        Self::of(recipe, &paths).map(Some)
    }

    fn of(recipe: &Recipe, paths: &[String]) -> Result<Self, ModelError> {
        let side = recipe.pairs.side;
        let shorter = |&frame: &Frame| frame.pixels(side).0.min(frame.pixels(side).1);
        let mut sizes: Vec<u32> = SCALES.iter().map(|s| (s * side as f32) as u32).collect();
        sizes.extend(recipe.pairs.frames().iter().map(shorter));
        sizes.sort_unstable();
        sizes.dedup();
        let images = paths
            .par_iter()
            .map(|path| {
                let photo = load_photo(&recipe.photos.join(path)).map_err(|e| {
                    ModelError::BadInput(format!(
                        "{e}; assets/recipes/get_photos.sh {} fetches the photos",
                        recipe.photos.display()
                    ))
                })?;
                Ok(sizes.iter().map(|&s| shorter_side(&photo.rgb, s)).collect::<Vec<_>>())
            })
            .collect::<Result<Vec<_>, ModelError>>()?;
        Ok(Self {
            images: with_depth(images.into_iter().flatten().collect()),
            side,
        })
    }

    /// From images that are at least `side` pixels a side already.
    #[cfg(test)]
    pub fn from_images(images: Vec<Rgb32FImage>, side: u32) -> Self {
        Self {
            images: with_depth(images),
            side,
        }
    }

    /// A crop, mirrored half of the time. Photos kept at a size much larger than it are left out: their texture would
    /// be that of a detail.
    pub fn crop(&self, (width, height): (u32, u32), stream: &mut Stream) -> (Rgb32FImage, SceneDepth) {
        let farthest = SCALES[1] * width.min(height).max(self.side) as f32;
        let fits = |(image, _): &&(Rgb32FImage, SceneDepth)| {
            let (w, h) = image.dimensions();
            w >= width && h >= height && w.min(h) as f32 <= farthest
        };
        let count = self.images.iter().filter(fits).count().max(1);
        let chosen = (stream.next_u32() as usize) % count;
        let (image, depth) = self.images.iter().filter(fits).nth(chosen).unwrap_or(&self.images[0]);
        let (width, height) = (width.min(image.width()), height.min(image.height()));
        let x = stream.next_u32() % (image.width() - width + 1);
        let y = stream.next_u32() % (image.height() - height + 1);
        let crop = imageops::crop_imm(image, x, y, width, height).to_image();
        let depth = depth.crop((x as usize, y as usize), (width as usize, height as usize));
        if stream.next_u32() & 1 == 0 {
            (crop, depth)
        } else {
            (imageops::flip_horizontal(&crop), depth.mirrored())
        }
    }
}

fn with_depth(images: Vec<Rgb32FImage>) -> Vec<(Rgb32FImage, SceneDepth)> {
    let with_its_own = |image: Rgb32FImage| {
        let depth = estimate(&image);
        (image, depth)
    };
    images.into_iter().map(with_its_own).collect()
}

fn shorter_side(image: &Rgb32FImage, side: u32) -> Rgb32FImage {
    let (width, height) = image.dimensions();
    let scale = f64::from(side) / f64::from(width.min(height));
    let scaled = |length: u32| ((f64::from(length) * scale).round() as u32).max(side);
    imageops::resize(image, scaled(width), scaled(height), FilterType::CatmullRom)
}

fn manifest_paths(recipe: &Recipe, split_name: &str) -> Result<Vec<String>, ModelError> {
    let bad = |message: String| ModelError::BadInput(format!("{}: {message}", recipe.manifest.display()));
    let mut table = csv::ReaderBuilder::new()
        .delimiter(b'\t')
        .quoting(false)
        .from_path(&recipe.manifest)
        .map_err(|e| bad(format!("cannot read the manifest ({e})")))?;
    let headers = table.headers().map_err(|e| bad(e.to_string()))?.clone();
    let column = |name: &str| {
        headers
            .iter()
            .position(|h| h == name)
            .ok_or_else(|| bad(format!("no column {name}")))
    };
    let (split, path) = (column("split")?, column("path")?);
    let mut paths = Vec::new();
    for row in table.records() {
        let row = row.map_err(|e| bad(e.to_string()))?;
        if row.get(split) == Some(split_name) {
            paths.extend(row.get(path).map(str::to_owned));
        }
    }
    Ok(paths)
}
