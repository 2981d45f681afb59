//! A photo's weather in motion: numbered PNGs and one animated PNG of all of them.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use mdsd3_model::io::atomic::write_atomically;

use crate::degrade::PhotoInWork;
use crate::error::{RenderError, bad};
use crate::metadata::PARAMETERS_KEYWORD;
use crate::{metadata, picture};

/// The most frames of a sequence: some minutes.
const MAX_FRAMES: u32 = 10_000;
/// The most frames per second.
const MAX_FPS: f32 = 240.0;
/// Parts of a frame per second that an animated PNG tells apart.
const FPS_PARTS: f32 = 100.0;
/// What the animated PNG is called, in the folder of the frames.
pub const ANIMATION: &str = "animation.png";

/// How many frames, and how fast they follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Motion {
    /// Frames, 2 or more.
    pub frames: u32,
    /// Frames per second.
    pub fps: f32,
}

impl Motion {
    /// Refuses numbers that make no sequence.
    ///
    /// # Errors
    /// Bad input that names the number and its range.
    pub fn check(self) -> Result<(), RenderError> {
        if !(2..=MAX_FRAMES).contains(&self.frames) {
            return Err(bad(format!("frames {} is outside 2 to {MAX_FRAMES}", self.frames)));
        }
        if !(1.0..=MAX_FPS).contains(&self.fps) {
            return Err(bad(format!("fps {} is outside 1 to {MAX_FPS}", self.fps)));
        }
        Ok(())
    }
}

/// Writes a sequence of the same drops, flakes and air as they move: `0001.png` and so on and [`ANIMATION`] in a folder, which is
/// made when it isn't there.
///
/// # Arguments
/// - `words`: what is kept in each PNG for people to read
/// - `done`: called with the number of frames that are there
///
/// # Errors
/// Bad input for a class that is wrong; what the file system reports.
pub fn write(
    photo: &PhotoInWork<'_>,
    (folder, motion): (&Path, Motion),
    words: &str,
    done: &mut dyn FnMut(u32),
) -> Result<PathBuf, RenderError> {
    motion.check()?;
    fs::create_dir_all(folder).map_err(|source| RenderError::Io {
        path: folder.to_owned(),
        source,
    })?;
    let path = folder.join(ANIMATION);
    let mut failed = None;
    let written = write_atomically(&path, |file| {
        write_frames(photo, (folder, motion), words, (&mut BufWriter::new(file), done)).map_err(|error| {
            failed = Some(error);
            io::Error::other("a frame could not be written")
        })
    });
    match (written, failed) {
        (_, Some(error)) => Err(error),
        (written, None) => Ok(written.map(|()| path)?),
    }
}

fn write_frames(
    photo: &PhotoInWork<'_>,
    (folder, motion): (&Path, Motion),
    words: &str,
    (animation, done): (&mut dyn Write, &mut dyn FnMut(u32)),
) -> Result<(), RenderError> {
    let failed = |error: png::EncodingError| bad(format!("an animated PNG could not be written ({error})"));
    let (width, height) = photo.scene().dimensions();
    let mut encoder = png::Encoder::new(animation, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
    encoder.set_animated(motion.frames, 0).map_err(failed)?;
    let parts = (motion.fps * FPS_PARTS).round() as u16;
    encoder.set_frame_delay(FPS_PARTS as u16, parts).map_err(failed)?;
    let mut writer = encoder.write_header().map_err(failed)?;
    for frame in 0..motion.frames {
        let image = photo.degraded((frame as f32 / motion.fps, frame), false)?.image;
        let texts = [(
            PARAMETERS_KEYWORD,
            format!("{words}\nFrame: {} of {}", frame + 1, motion.frames),
        )];
        let path = folder.join(format!("{:04}.png", frame + 1));
        metadata::write_file(&path, &picture::encode(&image, 8, &texts)?)?;
        writer.write_image_data(&picture::samples(&image, 8)).map_err(failed)?;
        done(frame + 1);
    }
    writer.finish().map_err(failed)
}
