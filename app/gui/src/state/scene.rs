//! The photo, and what of it the model sees.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use mdsd3_words::image::{Rgba8, SpectrumFrame};

/// The photo as the model sees it.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Its path; `None` for the demo photo.
    pub path: Option<PathBuf>,
    /// The fitted image.
    pub image: Rgba8,
    /// Its spectrum.
    pub spectrum: SpectrumFrame,
    /// Width and height before fitting, in pixels.
    pub original_size_px: (u32, u32),
}

impl Scene {
    /// The file's name, or "Demo photo".
    pub fn name(&self) -> String {
        file_name(self.path.as_deref())
    }

    /// Width and height of the part of the photo that the model sees, in the photo's pixels: its middle.
    fn seen_px(&self) -> (u32, u32) {
        let (width, height) = self.original_size_px;
        let (fitted_width, fitted_height) = (f64::from(self.image.width), f64::from(self.image.height));
        let scale = (fitted_width / f64::from(width)).max(fitted_height / f64::from(height));
        let seen = |fitted: f64, whole: u32| ((fitted / scale).round() as u32).min(whole);
        (seen(fitted_width, width), seen(fitted_height, height))
    }

    /// Shares of the photo's width and height that the model sees, around its middle; `None` for all of it.
    pub fn seen(&self) -> Option<(f32, f32)> {
        let ((width, height), (seen_width, seen_height)) = (self.original_size_px, self.seen_px());
        // A pixel more or less is rounding.
        let is_cropped = seen_width + 1 < width || seen_height + 1 < height;
        is_cropped.then(|| (seen_width as f32 / width as f32, seen_height as f32 / height as f32))
    }

    /// What becomes of the photo: "the middle 4000 × 4000 of 6000 × 4000 px, shrunk to 256 × 256".
    pub fn fit_in_words(&self) -> String {
        let ((width, height), (seen_width, seen_height)) = (self.original_size_px, self.seen_px());
        let part = match self.seen() {
            Some(_) => format!("the middle {seen_width} × {seen_height} of {width} × {height} px"),
            None => format!("all {width} × {height} px"),
        };
        let (fitted_width, fitted_height) = (self.image.width, self.image.height);
        match fitted_width.cmp(&seen_width) {
            Ordering::Less => format!("{part}, shrunk to {fitted_width} × {fitted_height}"),
            Ordering::Equal => part,
            Ordering::Greater => format!("{part}, enlarged to {fitted_width} × {fitted_height}"),
        }
    }

    /// Whether the photo has fewer pixels than the model sees.
    pub fn is_enlarged(&self) -> bool {
        self.image.width > self.seen_px().0
    }
}

/// The last part of a path, or what the demo photo is called.
pub fn file_name(path: Option<&Path>) -> String {
    path.map_or_else(
        || "Demo photo".to_owned(),
        |path| {
            path.file_name()
                .unwrap_or(path.as_os_str())
                .to_string_lossy()
                .into_owned()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(original_size_px: (u32, u32), (width, height): (u32, u32)) -> Scene {
        Scene {
            path: None,
            image: Rgba8 {
                width,
                height,
                pixels: vec![0; (width * height * 4) as usize].into(),
            },
            spectrum: SpectrumFrame {
                width: 0,
                height: 0,
                log_power: Vec::new().into(),
                radial: Vec::new().into(),
            },
            original_size_px,
        }
    }

    #[test]
    fn what_is_cut_off_shrunk_and_enlarged_is_said() {
        let words = |original, fitted| scene(original, fitted).fit_in_words();
        assert_eq!(
            words((6000, 4000), (256, 256)),
            "the middle 4000 × 4000 of 6000 × 4000 px, shrunk to 256 × 256"
        );
        assert_eq!(words((256, 256), (256, 256)), "all 256 × 256 px");
        assert_eq!(words((40, 40), (256, 256)), "all 40 × 40 px, enlarged to 256 × 256");
        assert!(scene((40, 40), (256, 256)).is_enlarged() && !scene((300, 256), (256, 256)).is_enlarged());
        // Kept in its aspect: 1600 x 1067 becomes 384 x 256, of which rounding alone takes something.
        assert_eq!(
            words((1600, 1067), (384, 256)),
            "all 1600 × 1067 px, shrunk to 384 × 256"
        );
        let (width, height) = scene((6000, 4000), (256, 256)).seen().expect("a part of it");
        assert!((width - 2.0 / 3.0).abs() < 1e-6 && (height - 1.0).abs() < 1e-6);
    }
}
