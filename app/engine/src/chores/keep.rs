//! Images that are kept as files named after what they hold.

use std::path::{Path, PathBuf};

use mdsd3_render::metadata;
use mdsd3_words::hash::sha256_hex;
use mdsd3_words::image::Rgba8;

use super::thread::make_folder;
use crate::error::EngineError;

/// Writes the image under a name made of its pixels' hash: pasting it twice gives one file.
pub(super) fn keep(stem: &str, image: &Rgba8, folder: &Path) -> Result<PathBuf, EngineError> {
    make_folder(folder)?;
    let hash = sha256_hex(&image.pixels);
    let path = folder.join(format!("{stem}-{hash:.12}.png"));
    if !path.exists() {
        metadata::write_png(&path, image, None)?;
    }
    Ok(path)
}

/// Black, and white in a rectangle of at least one pixel; `corners` are left, top, right and bottom in shares of the sides.
pub(super) fn rectangle((width, height): (u32, u32), [left, top, right, bottom]: [f32; 4]) -> Rgba8 {
    let range = |from: f32, to: f32, length: u32| {
        let at = |share: f32| (f64::from(share.clamp(0.0, 1.0)) * f64::from(length)).round() as u32;
        let first = at(from).min(length.saturating_sub(1));
        first..at(to).max(first + 1)
    };
    let (columns, rows) = (range(left, right, width), range(top, bottom, height));
    let pixels = (0..height).flat_map(|y| {
        let (columns, is_row) = (columns.clone(), rows.contains(&y));
        (0..width).flat_map(move |x| {
            let level = if is_row && columns.contains(&x) { 255 } else { 0 };
            [level, level, level, 255]
        })
    });
    Rgba8 {
        width,
        height,
        pixels: pixels.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rectangle_is_white_in_its_corners_alone_and_never_empty() {
        let levels = |corners| {
            let mask = rectangle((4, 2), corners);
            assert_eq!((mask.width, mask.height), (4, 2));
            mask.pixels.chunks_exact(4).map(|pixel| pixel[0]).collect::<Vec<_>>()
        };
        assert_eq!(levels([0.25, 0.5, 0.75, 1.0]), [0, 0, 0, 0, 0, 255, 255, 0]);
        assert_eq!(levels([0.5, 0.0, 0.5, 0.0]), [0, 0, 255, 0, 0, 0, 0, 0]);
        assert_eq!(levels([1.0, 1.0, 1.0, 1.0]), [0, 0, 0, 0, 0, 0, 0, 255]);
        assert_eq!(levels([-3.0, 0.0, 7.0, 1.0]), [255; 8]);
    }
}
