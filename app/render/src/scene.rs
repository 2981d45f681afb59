//! Scenes: clean photos, decoded and fitted to the size a model takes.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use image::Rgb32FImage;
use mdsd3_model::io::photo::{self, Window};
use mdsd3_words::hash::hex;
use mdsd3_words::scene::DEMO_PHOTO_NAME;
use mdsd3_words::{CropAt, Fit};
use sha2::{Digest, Sha256};

use crate::bundled;
use crate::error::RenderError;

/// What decides a fitted scene's pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SceneKey {
    /// SHA-256 of the photo's file: a file that changes on disk is another scene, a copy is the same one.
    content: [u8; 32],
    size_px: u32,
    fit: Fit,
    multiple_px: u32,
    crop: Option<CropAt>,
}

/// A photo as the model will see it.
#[derive(Debug, Clone)]
pub struct FittedScene {
    /// Identifies the pixels.
    pub key: SceneKey,
    /// sRGB in `0..=1`.
    pub rgb: Rgb32FImage,
    /// Width and height of the photo before fitting, in pixels, upright.
    pub original_size: (u32, u32),
    /// The part of it that the scene shows.
    pub window: Window,
    /// What had to be converted or guessed when it was read, such as its colours; one sentence each.
    pub notes: Vec<String>,
}

/// Loads scenes and keeps the last one, so that runs on the same photo decode it once.
#[derive(Debug, Default)]
pub struct SceneLoader {
    last: Option<Arc<FittedScene>>,
}

impl SceneKey {
    /// SHA-256 of the photo's file in hexadecimal digits.
    pub fn content_sha256(&self) -> String {
        hex(&self.content)
    }
}

impl SceneLoader {
    /// Reads, decodes and fits a photo (the bundled demo photo when `path` is `None`).
    ///
    /// # Arguments
    /// - `size_px`: the side to fit to, a multiple of `multiple_px`
    /// - `multiple_px`: with [`Fit::Aspect`] the longer side is cropped to a multiple of it
    ///
    /// # Errors
    /// [`RenderError::BadInput`] or [`RenderError::Model`] that names the file and what is wrong with it.
    pub fn load(
        &mut self,
        path: Option<&Path>,
        size_px: u32,
        fit: Fit,
        multiple_px: u32,
    ) -> Result<Arc<FittedScene>, RenderError> {
        self.load_cropped(path, None, size_px, fit, multiple_px)
    }

    /// As [`Self::load`], of the square `crop` when it is given.
    ///
    /// # Errors
    /// As [`Self::load`]; [`RenderError::BadInput`] for a photo that is smaller than the crop.
    pub fn load_cropped(
        &mut self,
        path: Option<&Path>,
        crop: Option<CropAt>,
        size_px: u32,
        fit: Fit,
        multiple_px: u32,
    ) -> Result<Arc<FittedScene>, RenderError> {
        let (bytes, name) = read(path)?;
        let multiple_px = if fit == Fit::Square { 1 } else { multiple_px };
        let key = SceneKey {
            content: Sha256::digest(&bytes).into(),
            size_px,
            fit,
            multiple_px,
            crop,
        };
        if let Some(last) = self.last.as_ref().filter(|last| last.key == key) {
            return Ok(Arc::clone(last));
        }
        let mut photo = photo::decode_photo(&bytes, &name)?;
        let mut outer = Window::whole(photo.rgb.dimensions());
        if let Some(crop) = crop {
            outer = cut_out(&photo.rgb, crop, &name)?;
            photo.rgb = outer.cut(&photo.rgb);
        }
        let (rgb, inner) = match fit {
            Fit::Square => (
                photo::fit_square(&photo.rgb, size_px),
                Window::square(photo.rgb.dimensions()),
            ),
            Fit::Aspect => (
                photo::fit_aspect(&photo.rgb, size_px, multiple_px),
                Window::aspect(photo.rgb.dimensions(), size_px, multiple_px).0,
            ),
        };
        let scene = Arc::new(FittedScene {
            key,
            rgb,
            original_size: photo.original_size,
            window: inner.within(outer),
            notes: photo.notes,
        });
        self.last = Some(Arc::clone(&scene));
        Ok(scene)
    }
}

/// A photo at its own size.
///
/// # Errors
/// As [`SceneLoader::load`].
pub fn at_own_size(path: &Path) -> Result<FittedScene, RenderError> {
    let (bytes, name) = read(Some(path))?;
    let photo = photo::decode_photo(&bytes, &name)?;
    Ok(FittedScene {
        key: SceneKey {
            content: Sha256::digest(&bytes).into(),
            size_px: photo.rgb.width().min(photo.rgb.height()),
            fit: Fit::Aspect,
            multiple_px: 1,
            crop: None,
        },
        window: Window::whole(photo.rgb.dimensions()),
        rgb: photo.rgb,
        original_size: photo.original_size,
        notes: photo.notes,
    })
}

fn cut_out(rgb: &Rgb32FImage, crop: CropAt, name: &str) -> Result<Window, RenderError> {
    let (width, height) = rgb.dimensions();
    let side_px = crop.side_px;
    if width.min(height) < side_px {
        return Err(RenderError::BadInput(format!(
            "{name}: is {width}x{height} px, smaller than the crop of {side_px} px"
        )));
    }
    // 0x8000 of 0xffff rounds an odd rest down, as halving does.
    let place = |length: u32, share: u16| (u64::from(length - side_px) * u64::from(share) / 0xffff) as u32;
    let (left, top) = (place(width, crop.share[0]), place(height, crop.share[1]));
    Ok(Window {
        left,
        top,
        width: side_px,
        height: side_px,
    })
}

/// A photo's bytes and the name to use in messages.
fn read(path: Option<&Path>) -> Result<(Cow<'static, [u8]>, String), RenderError> {
    match path {
        Some(path) => Ok((photo::read_photo(path)?.into(), path.display().to_string())),
        None => Ok((bundled::DEMO_PHOTO.into(), DEMO_PHOTO_NAME.to_owned())),
    }
}
