//! Samples of fixed seeds, so that strips of different steps can be compared.

use image::{Rgb32FImage, imageops};

/// One row per scene: the scene, what it should become, and what the network makes of it.
pub fn strip(rows: &[[Rgb32FImage; 3]]) -> Rgb32FImage {
    let (width, height) = rows.first().map_or((0, 0), |row| row[0].dimensions());
    let mut picture = Rgb32FImage::new(3 * width, height * rows.len() as u32);
    for (y, row) in rows.iter().enumerate() {
        for (x, image) in row.iter().enumerate() {
            imageops::replace(
                &mut picture,
                image,
                x as i64 * i64::from(width),
                y as i64 * i64::from(height),
            );
        }
    }
    picture
}
