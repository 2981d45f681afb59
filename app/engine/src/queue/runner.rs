//! The queue's thread.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use image::Rgb32FImage;
use image::imageops::FilterType;
use mdsd3_dataset::open::{default_folder, open};
use mdsd3_dataset::plan::{GridRequest, grid_plan};
use mdsd3_dataset::run;
use mdsd3_dataset::{Job, Outcome, Plan, RunOptions, Shard, Sweep, SweepObserver};
use mdsd3_render::RenderError;
use mdsd3_render::bundled::{DEMO_PHOTO, DEMO_PHOTO_FILE};
use mdsd3_render::loaded::LoadedModel;
use mdsd3_render::{frames, memory, metadata};
use mdsd3_words::RenderRequest;
use mdsd3_words::error::panic_message;
use mdsd3_words::image::Rgba8;

use super::{List, PairThumbnail, QueueFailure, QueueId, QueueState, Shared, Slot, Source, StopAs, THUMBNAILS};
use crate::error::EngineError;

/// The least time between two thumbnails: more can't be looked at.
const THUMBNAIL_INTERVAL: Duration = Duration::from_millis(250);
/// Longer side of a thumbnail in pixels.
const THUMBNAIL_PX: u32 = 144;
/// Plans of one name that are told apart by a number.
const MAX_PLANS: usize = 10_000;

/// The thread's body: makes dataset after dataset until the queue closes.
pub(super) fn run(shared: &Shared) {
    // Kept between datasets of one model that follow each other; gigabytes are no toll for a queue that has ended.
    let mut model = None;
    while let Some((id, source)) = next(shared) {
        // Unwind safety: the sweep's state is on disk, and the model is loaded anew.
        let result = catch_unwind(AssertUnwindSafe(|| make(shared, id, &source, &mut model)));
        let result = result.unwrap_or_else(|payload| Err(EngineError::panicked(panic_message(payload.as_ref()))));
        end(shared, id, result);
        if !shared.list().slots.iter().any(is_waiting) {
            model = None;
            memory::release_unused();
        }
    }
}

fn is_waiting(slot: &Slot) -> bool {
    slot.entry.state == QueueState::Waiting
}

/// The first entry that waits, now being prepared; `None` when the queue closes.
fn next(shared: &Shared) -> Option<(QueueId, Source)> {
    let mut list = shared.list();
    loop {
        if shared.is_closing.load(Ordering::SeqCst) {
            return None;
        }
        if let Some(slot) = list.slots.iter_mut().find(|slot| is_waiting(slot)) {
            slot.entry.state = QueueState::Preparing;
            slot.stop_as = None;
            let found = (slot.entry.id, slot.source.clone());
            list.is_changed = true;
            return Some(found);
        }
        list = shared.news.wait(list).unwrap_or_else(PoisonError::into_inner);
    }
}

fn make(shared: &Shared, id: QueueId, source: &Source, kept: &mut Option<LoadedModel>) -> Result<Outcome, EngineError> {
    let (plan_path, given) = match source {
        Source::Plan { plan, folder } => (plan.clone(), folder.clone()),
        Source::Grid { grid, root } => (write_plan(grid, root)?, None),
    };
    let (sweep, model) = open(Plan::read(&plan_path)?, kept.take())?;
    *kept = model.as_ref().and_then(LoadedModel::share);
    let folder = given.unwrap_or_else(|| {
        let beside = plan_path.parent().unwrap_or(Path::new(""));
        beside.join(default_folder(&plan_path, &sweep))
    });
    shared.change(id, |slot| {
        // From now on its plan is a file, also when it is resumed.
        slot.source = Source::Plan {
            plan: plan_path.clone(),
            folder: Some(folder.clone()),
        };
        let entry = &mut slot.entry;
        entry.name = plan_path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        (entry.plan, entry.folder) = (Some(plan_path.clone()), Some(folder.clone()));
        (entry.total, entry.failures, entry.pairs_per_sec) = (sweep.len(), Vec::new(), None);
        if entry.state == QueueState::Preparing {
            entry.state = QueueState::Running;
        }
    });
    let watch = Watch {
        shared,
        id,
        sweep: &sweep,
        pace: Mutex::default(),
    };
    let options = RunOptions {
        shard: Shard::ALL,
        resume: true,
        force: false,
    };
    Ok(run::run(&sweep, model, &folder, &options, &watch)?)
}

fn end(shared: &Shared, id: QueueId, result: Result<Outcome, EngineError>) {
    shared.change(id, |slot| {
        let stop_as = slot.stop_as.take();
        slot.entry.state = match result {
            Err(error) => QueueState::Failed(error.one_line()),
            Ok(outcome) => {
                slot.entry.done = outcome.done;
                slot.entry.sampler_busy = (outcome.made > 1).then_some(outcome.sampler_busy);
                if outcome.unread_scenes > 0 {
                    QueueState::Failed(format!(
                        "{} of the photos could not be read this time; resume to try again",
                        outcome.unread_scenes
                    ))
                } else if outcome.is_finished && outcome.done == 0 {
                    QueueState::Failed("none of the photos could be used".to_owned())
                } else if outcome.is_finished {
                    QueueState::Finished
                } else if stop_as == Some(StopAs::Cancelled) {
                    QueueState::Cancelled
                } else {
                    QueueState::Paused
                }
            }
        };
    });
}

/// Writes the plan of a mix; the same plan is written once, another of the same name gets a number.
fn write_plan(grid: &GridRequest, root: &Path) -> Result<PathBuf, EngineError> {
    fs::create_dir_all(root).map_err(|error| {
        let root = root.display();
        EngineError::bad_input(format!(
            "{root}: can't be made ({error}); choose another folder for datasets"
        ))
    })?;
    let mut grid = grid.clone();
    if grid.scenes.is_empty() {
        metadata::write_file(&root.join(DEMO_PHOTO_FILE), DEMO_PHOTO)?;
        grid.scenes = vec![DEMO_PHOTO_FILE.to_owned()];
    }
    make_absolute(&mut grid.run)?;
    let text = grid_plan(&grid)?;
    let classes: Vec<&str> = grid.run.sampling.mix.active().map(|(class, _)| class).collect();
    let stem = classes.join("-");
    for number in 1..MAX_PLANS {
        let name = if number == 1 {
            format!("{stem}.toml")
        } else {
            format!("{stem}-{number}.toml")
        };
        let path = root.join(name);
        match fs::read_to_string(&path) {
            Ok(there) if there == text => return Ok(path),
            Ok(_) => {}
            Err(_) => {
                metadata::write_file(&path, text.as_bytes())?;
                return Ok(path);
            }
        }
    }
    Err(EngineError::bad_input(format!(
        "{}: holds too many plans called {stem}; choose another output folder",
        root.display()
    )))
}

/// Paths of a run are from the working folder, those of a plan from its own.
fn make_absolute(run: &mut RenderRequest) -> Result<(), EngineError> {
    for path in run.model.paths_mut() {
        *path = std::path::absolute(&path).map_err(|source| RenderError::reading(path, source))?;
    }
    Ok(())
}

/// When pairs were made.
#[derive(Default)]
struct Pace {
    /// Time and pairs of the first report of this start.
    first: Option<(Instant, usize)>,
    last_thumbnail: Option<Instant>,
}

struct Watch<'a> {
    shared: &'a Shared,
    id: QueueId,
    sweep: &'a Sweep,
    pace: Mutex<Pace>,
}

impl SweepObserver for Watch<'_> {
    fn progress(&self, done: usize, total: usize) {
        let rate = {
            let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
            let (since, before) = *pace.first.get_or_insert_with(|| (Instant::now(), done));
            let secs = since.elapsed().as_secs_f32();
            (done > before && secs > 0.0).then(|| (done - before) as f32 / secs)
        };
        self.shared.change(self.id, |slot| {
            let entry = &mut slot.entry;
            (entry.done, entry.total, entry.pairs_per_sec) = (done, total, rate);
            if matches!(entry.state, QueueState::NoRoom(_)) {
                entry.state = QueueState::Running;
            }
        });
    }

    fn pair_made(&self, job: &Job, lq: &Rgb32FImage) {
        {
            let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
            if pace.last_thumbnail.is_some_and(|at| at.elapsed() < THUMBNAIL_INTERVAL) {
                return;
            }
            pace.last_thumbnail = Some(Instant::now());
        }
        let thumbnail = PairThumbnail {
            index: job.index,
            mix: job.mix.to_string(),
            lq: shrunk(lq),
        };
        self.shared.change(self.id, |slot| {
            let thumbnails = &mut slot.entry.thumbnails;
            thumbnails.push(thumbnail);
            if thumbnails.len() > THUMBNAILS {
                thumbnails.remove(0);
            }
        });
    }

    fn scene_failed(&self, scene: &str, reason: &str) {
        let failure = QueueFailure {
            scene: scene.to_owned(),
            reason: reason.to_owned(),
        };
        let pairs = self.sweep.jobs_per_scene();
        tracing::warn!("{scene}: {pairs} pairs skipped: {reason}");
        self.shared.change(self.id, |slot| slot.entry.failures.push(failure));
    }

    fn disk_full(&self, message: &str) {
        self.shared.change(self.id, |slot| {
            if slot.entry.state == QueueState::Running {
                slot.entry.state = QueueState::NoRoom(message.to_owned());
            }
        });
    }

    fn should_stop(&self) -> bool {
        let is_stopped = |list: &mut List| list.slot(self.id).is_none_or(|slot| slot.stop_as.is_some());
        self.shared.is_closing.load(Ordering::SeqCst) || is_stopped(&mut self.shared.list())
    }
}

fn shrunk(rgb: &Rgb32FImage) -> Rgba8 {
    let (width, height) = rgb.dimensions();
    let scale = f64::from(THUMBNAIL_PX) / f64::from(width.max(height).max(1));
    let side = |length: u32| ((f64::from(length) * scale).round() as u32).clamp(1, length.max(1));
    // `imageops::thumbnail` rounds as for whole numbers: it would add a half to values in 0..=1.
    let small = image::imageops::resize(rgb, side(width), side(height), FilterType::Triangle);
    frames::rgba8_from_rgb(&small)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbnail_is_as_bright_as_its_image() {
        let image = Rgb32FImage::from_pixel(400, 200, image::Rgb([0.2, 0.4, 0.6]));
        let small = shrunk(&image);
        assert_eq!((small.width, small.height), (THUMBNAIL_PX, THUMBNAIL_PX / 2));
        assert_eq!(small.pixels[..4], [51, 102, 153, 255]);
    }
}
