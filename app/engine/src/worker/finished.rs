//! Finished lanes, kept so that they can be saved.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use mdsd3_render::loaded::LazyIdentity;
use mdsd3_render::metadata;
use mdsd3_words::RenderRequest;
use mdsd3_words::image::Rgba8;
use mdsd3_words::lane::{LaneId, LaneKind};
use mdsd3_words::made::RunSettings;

use crate::error::EngineError;
use crate::protocol::LaneRequest;

/// A lane with its image.
pub(super) struct Made {
    pub(super) lane: LaneRequest,
    pub(super) image: Rgba8,
    /// SHA-256 of its photo's file.
    pub(super) scene_sha256: String,
    /// SHA-256 over the files of its weather; `None` without any.
    pub(super) weather_sha256: Option<String>,
}

/// Finished lanes that can be saved; the oldest are forgotten first.
const MAX_FINISHED: usize = 64;

/// Bytes that their images may take together; those of the newest run are kept whatever they take.
const MAX_FINISHED_BYTES: usize = 256 << 20;

/// A finished lane that can be saved.
struct Finished {
    lane: LaneId,
    kind: LaneKind,
    request: RenderRequest,
    image: Rgba8,
    model: Arc<LazyIdentity>,
    scene_sha256: String,
    weather_sha256: Option<String>,
}

/// The lanes that were finished lately, oldest first.
#[derive(Default)]
pub(super) struct FinishedLanes(VecDeque<Finished>);

impl FinishedLanes {
    /// Keeps the lanes of a run, made by `model`; a lane's earlier result goes, and the oldest go where there are too many.
    pub(super) fn add(&mut self, made: Vec<Made>, model: &Arc<LazyIdentity>) {
        let newest = made.len();
        for made in made {
            let LaneRequest { lane, kind, request } = made.lane;
            self.0.retain(|older| older.lane != lane);
            self.0.push_back(Finished {
                lane,
                kind,
                request,
                image: made.image,
                model: Arc::clone(model),
                scene_sha256: made.scene_sha256,
                weather_sha256: made.weather_sha256,
            });
        }
        let sizes = self.0.iter().map(|finished| finished.image.pixels.len());
        let excess = self.0.len() - lanes_to_keep(sizes.rev(), newest);
        self.0.drain(..excess);
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Saves a lane's image, with its settings.
    ///
    /// # Errors
    /// Bad input for a lane without a result; [`EngineError`] when the file can't be written.
    pub(super) fn save(&self, lane: LaneId, path: &Path) -> Result<(), EngineError> {
        let finished = self.0.iter().find(|finished| finished.lane == lane).ok_or_else(|| {
            EngineError::bad_input("nothing to save: this lane has no finished result; press Mix first".to_owned())
        })?;
        save_png(finished, path)
    }
}

/// How many lanes can be kept, given the bytes of each from the newest on; at least those of the newest run.
fn lanes_to_keep(newest_first: impl Iterator<Item = usize>, newest_run: usize) -> usize {
    let mut bytes = 0;
    let fit = newest_first.take_while(|size| {
        bytes += size;
        bytes <= MAX_FINISHED_BYTES
    });
    fit.count().min(MAX_FINISHED).max(newest_run)
}

fn save_png(finished: &Finished, path: &Path) -> Result<(), EngineError> {
    let settings_of = match finished.kind {
        LaneKind::Sampled => RunSettings::new,
        LaneKind::Physical => RunSettings::physical,
    };
    let mut settings = settings_of(
        finished.request.clone(),
        finished.model.resolve()?,
        finished.scene_sha256.clone(),
    );
    settings.weather_sha256.clone_from(&finished.weather_sha256);
    Ok(metadata::write_png(path, &finished.image, Some(&settings))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_forgotten_by_number_and_by_size_but_not_the_newest_run() {
        let keep =
            |lanes: usize, bytes: usize, newest_run| lanes_to_keep(std::iter::repeat_n(bytes, lanes), newest_run);
        assert_eq!((keep(10, 1 << 18, 1), keep(100, 1 << 18, 1)), (10, MAX_FINISHED));
        assert_eq!(keep(64, 16 << 20, 4), 16, "large images are fewer");
        assert_eq!(keep(64, 16 << 20, 20), 20);
        assert_eq!(keep(1, 1 << 30, 1), 1);
    }
}
