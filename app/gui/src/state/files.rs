//! Files: photos and exported images that come in, images that go out.

use std::path::{Path, PathBuf};

use mdsd3_engine::chores::{Chore, ChoreEvent, FileKind, StepImage};
use mdsd3_engine::data::PHOTO_EXTENSIONS;
use mdsd3_engine::protocol::{Request, StepView};
use mdsd3_words::image::Rgba8;
use mdsd3_words::lane::LaneKind;
use mdsd3_words::made::RunSettings;
use mdsd3_words::model::ModelPath;
use percent_encoding::percent_decode_str;

use super::{Effect, State};
use crate::commands::Command;
use crate::lane::Lane;
use crate::notice::{Level, Topic};
use crate::pane_id;

/// Files that are being written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Writing {
    /// Files written.
    pub done: usize,
    /// Files in all.
    pub total: usize,
    since_secs: f64,
}

impl Writing {
    /// Seconds until the end at the present pace; `None` before the first file is written.
    pub fn remaining_secs(&self, now_secs: f64) -> Option<f64> {
        let left = self.total.saturating_sub(self.done);
        (self.done > 0).then(|| (now_secs - self.since_secs) / self.done as f64 * left as f64)
    }
}

impl State {
    /// Opens whatever a file or folder is: photos, images that restore their settings, plans, recipes, models and adapters.
    pub fn open_file(&mut self, path: PathBuf) {
        self.send_chore(Chore::Identify { path });
    }

    /// Opens files that came together. Of several photos the first is shown, and all are offered to the queue.
    pub fn open_files(&mut self, paths: Vec<PathBuf>) {
        let (photos, others): (Vec<PathBuf>, Vec<PathBuf>) = paths.into_iter().partition(|path| is_photo(path));
        for path in others {
            self.open_file(path);
        }
        if let [first, _, ..] = &photos[..] {
            let (name, count) = (super::file_name(Some(first)), photos.len());
            let message = format!("{name} is opened, the first of {count} photos; the queue can make the mix of all");
            self.open_file(first.clone());
            self.queue.offered = photos;
            self.messages
                .notify(Level::Info, message, Some((Command::QueueOffered, "Queue all")));
        } else {
            for path in photos {
                self.open_file(path);
            }
        }
    }

    /// Opens a text that was pasted, if it is the path of a file or folder, or a list of them, one a line.
    pub fn open_pasted_text(&mut self, text: &str) {
        // A list of addresses (text/uri-list) may have comments.
        let lines = text
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let (there, missing): (Vec<PathBuf>, Vec<PathBuf>) = lines.map(typed_path).partition(|path| path.exists());
        if there.is_empty() {
            self.messages.notify(
                Level::Warning,
                "The clipboard holds text that is not the path of a file: copy an image, or a file's path",
                Some((Command::OpenPath, "Type a path")),
            );
        } else if let Some(first) = missing.first() {
            let message = format!(
                "{} of the pasted paths lead nowhere; the first: {}",
                missing.len(),
                first.display()
            );
            self.messages.notify(Level::Warning, message, None);
        }
        self.open_files(there);
    }

    /// Opens an image that was pasted; it is kept in `folder`, so that runs on it can be repeated.
    pub fn open_pasted_image(&mut self, image: Rgba8, folder: PathBuf) {
        self.send_chore(Chore::KeepImage { image, folder });
    }

    /// Writes the images of all steps of the shown lane into `folder`.
    pub fn save_steps(&mut self, folder: PathBuf) {
        let made = self
            .lane()
            .map(|lane| (step_images(lane), Box::new(lane.request.clone())));
        let Some((images, request)) = made.filter(|(images, _)| !images.is_empty()) else {
            let message = "There are no steps to save yet: press Mix and wait for the first one";
            self.messages.notify(Level::Warning, message, None);
            return;
        };
        self.writing = Some(Writing {
            done: 0,
            total: images.len(),
            since_secs: self.now_secs,
        });
        self.send_chore(Chore::WriteSteps {
            folder,
            images,
            request,
        });
    }

    /// Stops the writing of files that is going on.
    pub fn cancel_writing(&mut self) {
        if self.writing.is_some() {
            self.effects.push(Effect::CancelChores);
        }
    }

    /// Takes in what became of a chore.
    pub(super) fn apply_chore(&mut self, event: ChoreEvent) {
        match event {
            ChoreEvent::Inspected { key, outcome } => self.model_looked_at(*key, outcome),
            ChoreEvent::Devices(devices) => self.desk.devices = devices,
            ChoreEvent::Identified { path, kind } => self.open_identified(path, kind),
            ChoreEvent::ModelCompared { image, is_same } => {
                if is_same == Some(false) {
                    let name = super::file_name(Some(&image));
                    let message =
                        format!("{name} was made by another version of this model; a mix will differ from it");
                    self.messages.notify(
                        Level::Warning,
                        message,
                        Some((Command::Show(pane_id::MODEL), "Show the model")),
                    );
                }
            }
            ChoreEvent::Kept { path } => self.open_scene(Some(path)),
            ChoreEvent::MaskDrawn { class, path } => self.set_region(&class, Some(path)),
            ChoreEvent::Progress { done, total } => {
                if let Some(writing) = &mut self.writing {
                    (writing.done, writing.total) = (done, total);
                }
            }
            ChoreEvent::Written {
                folder,
                count,
                cancelled,
            } => self.written(&folder, count, cancelled),
            ChoreEvent::Failed { message } => {
                let topic = match self.writing.take() {
                    Some(_) => Topic::Saving,
                    None => Topic::Opening,
                };
                self.messages.problem(topic, message, None);
            }
        }
    }

    fn open_identified(&mut self, path: PathBuf, kind: FileKind) {
        match kind {
            FileKind::Photo => self.open_scene(Some(path)),
            FileKind::Mixed(settings) => self.restore_settings(&path, *settings),
            FileKind::Photos(photos) => self.open_files(photos),
            FileKind::Plan => self.queue_plan(path),
            FileKind::Recipe => {
                self.training.recipe = path.display().to_string();
                self.effects.push(Effect::Show(pane_id::TRAINING));
            }
            FileKind::Depth => self.set_depth(Some(path)),
            FileKind::Model => self.put_in_draft(ModelPath::Model, &path),
            FileKind::Adapter => self.put_in_draft(ModelPath::Adapter, &path),
        }
    }

    /// Writes a path into the Model pane, and shows it there.
    pub fn put_in_draft(&mut self, field: ModelPath, path: &Path) {
        *self.desk.draft.path_mut(field) = path.display().to_string();
        self.effects.push(Effect::Show(pane_id::MODEL));
    }

    fn written(&mut self, folder: &Path, count: usize, cancelled: bool) {
        self.writing = None;
        let folder = folder.display();
        let (level, message) = if cancelled {
            (Level::Warning, format!("Stopped after {count} images in {folder}"))
        } else {
            self.messages.succeeded(Topic::Saving);
            (
                Level::Success,
                format!("Saved {count} images in {folder}, with their table and settings"),
            )
        };
        self.messages.notify(level, message, None);
    }

    /// Sets everything as it was when an image was made. The model stays when the image's is not there any more.
    fn restore_settings(&mut self, path: &Path, settings: RunSettings) {
        let is_by_model = settings.is_by_model();
        let mut request = settings.request;
        let model_is_there = request.model.path.as_ref().is_none_or(|model| model.exists());
        if !model_is_there {
            let missing = request.model.path.take().unwrap_or_default();
            let message = format!(
                "{} was made with {}, which is not there; the model loaded now is used",
                path.display(),
                missing.display()
            );
            self.messages.notify(
                Level::Warning,
                message,
                Some((Command::Show(pane_id::MODEL), "Choose a model")),
            );
            request.model.clone_from(&self.settings.model);
        }
        let scene_is_there = request.scene.path.as_ref().is_none_or(|scene| scene.is_file());
        if !scene_is_there {
            let missing = request.scene.path.take().unwrap_or_default();
            let message = format!(
                "The photo {} is not there any more; the one shown is used",
                missing.display()
            );
            self.messages
                .notify(Level::Warning, message, Some((Command::OpenPhoto, "Find the photo")));
            request.scene.path.clone_from(&self.settings.scene.path);
        }
        self.seed_locked = true;
        if model_is_there && is_by_model {
            self.send_chore(Chore::CompareModel {
                image: path.to_owned(),
                key: Box::new(request.model.clone()),
                sha256: settings.model.sha256,
            });
        }
        let kind = if is_by_model {
            LaneKind::Sampled
        } else {
            LaneKind::Physical
        };
        self.replace_settings(request, kind);
        let name = super::file_name(Some(path));
        self.messages.notify(
            Level::Success,
            format!("Settings restored from {name}"),
            Some((Command::Mix, "Mix")),
        );
    }

    pub(super) fn send_chore(&mut self, chore: Chore) {
        self.effects.push(Effect::Send(Request::Chore(Box::new(chore))));
    }
}

/// Every decoded image of a lane under a name that sorts in the order of steps, which count from 1 as in the timeline.
fn step_images(lane: &Lane) -> Vec<StepImage> {
    let steps = lane.steps();
    let digits = steps.to_string().len().max(2);
    let images = (0..=steps).flat_map(|index| {
        let views: &[(StepView, &'static str)] = if index == steps {
            &[(StepView::X0Hat, "result")]
        } else {
            &[(StepView::X0Hat, "x0_hat"), (StepView::XT, "x_t")]
        };
        let step = (index + 1).min(steps);
        views.iter().filter_map(move |&(view, what)| {
            let frame = lane.frame(index, view)?;
            Some(StepImage {
                name: format!("step-{step:0digits$}-{what}.png"),
                image: frame.image.clone(),
                words: format!(
                    "Step {step} of {steps}, sigma {:.4}, {what}\nMix: {}, Seed: {}",
                    frame.sigma, lane.request.sampling.mix, lane.request.sampling.seed
                ),
                step,
                view: what,
                sigma: frame.sigma,
                step_secs: lane.secs_of(index),
            })
        })
    });
    images.collect()
}

/// Whether a name is that of a photo.
fn is_photo(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    PHOTO_EXTENSIONS.iter().any(|known| extension == **known)
}

/// A path as people paste it: quoted, as a `file://` address, or with `~` for the home folder.
pub fn typed_path(text: &str) -> PathBuf {
    let text = text.trim().trim_matches(['"', '\'']);
    let text = match text.strip_prefix("file://") {
        Some(address) => percent_decode_str(address).decode_utf8_lossy().into_owned(),
        None => text.to_owned(),
    };
    match (text.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasted_paths_lose_quotes_and_schemes() {
        assert_eq!(typed_path("  \"/a b/c.png\" "), PathBuf::from("/a b/c.png"));
        assert_eq!(typed_path("file:///a%20b/c.png\n"), PathBuf::from("/a b/c.png"));
        assert_eq!(typed_path("file:///100%/c.png"), PathBuf::from("/100%/c.png"));
        assert!(!typed_path("~/x.png").starts_with("~"));
    }

    #[test]
    fn time_left_follows_the_pace() {
        let writing = Writing {
            done: 4,
            total: 10,
            since_secs: 1.0,
        };
        assert_eq!(writing.remaining_secs(3.0), Some(3.0));
        assert_eq!(Writing { done: 0, ..writing }.remaining_secs(3.0), None);
    }
}
