//! Files: photos and exported images that come in, images that go out.

use std::path::{Path, PathBuf};

use mdsd3_engine::chores::{Chore, ChoreEvent, NamedImage};
use mdsd3_engine::protocol::{Request, StepView};
use mdsd3_words::image::Rgba8;
use mdsd3_words::made::RunSettings;

use super::{Effect, State};
use crate::commands::Command;
use crate::lane::Lane;
use crate::notice::Level;

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
    /// Opens whatever a file is: an image that the program has made restores its settings, any other is a photo.
    pub fn open_file(&mut self, path: PathBuf) {
        let may_hold_settings = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
        if may_hold_settings {
            self.send_chore(Chore::ReadSettings { path });
        } else {
            self.open_scene(Some(path));
        }
    }

    /// Opens a text that was pasted, if it is the path of a file.
    pub fn open_pasted_text(&mut self, text: &str) {
        let path = typed_path(text.lines().next().unwrap_or_default());
        if path.is_file() {
            self.open_file(path);
        } else {
            self.notify(
                Level::Warning,
                "The clipboard holds text that is not the path of a file: copy an image, or a file's path",
                Some((Command::OpenPath, "Type a path")),
            );
        }
    }

    /// Opens an image that was pasted; it is kept in `folder`, so that runs on it can be repeated.
    pub fn open_pasted_image(&mut self, image: Rgba8, folder: PathBuf) {
        self.send_chore(Chore::KeepImage { image, folder });
    }

    /// Writes the images of all steps of the shown lane into `folder`.
    pub fn save_steps(&mut self, folder: PathBuf) {
        let images = self.lane().map(step_images).unwrap_or_default();
        if images.is_empty() {
            let message = "There are no steps to save yet: press Mix and wait for the first one";
            self.notify(Level::Warning, message, None);
            return;
        }
        self.writing = Some(Writing {
            done: 0,
            total: images.len(),
            since_secs: self.now_secs,
        });
        self.send_chore(Chore::WriteImages { folder, images });
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
            ChoreEvent::Settings { path, settings } => match settings {
                Some(settings) => self.restore_settings(&path, *settings),
                None => self.open_scene(Some(path)),
            },
            ChoreEvent::ModelCompared { image, is_same } => {
                if is_same == Some(false) {
                    let name = super::file_name(Some(&image));
                    let message =
                        format!("{name} was made by another version of this model; a mix will differ from it");
                    self.notify(Level::Warning, message, Some((Command::ShowModel, "Show the model")));
                }
            }
            ChoreEvent::Kept { path } => self.open_scene(Some(path)),
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
                self.writing = None;
                self.notify(Level::Error, message, None);
            }
        }
    }

    fn written(&mut self, folder: &Path, count: usize, cancelled: bool) {
        self.writing = None;
        let folder = folder.display();
        let (level, message) = if cancelled {
            (Level::Warning, format!("Stopped after {count} images in {folder}"))
        } else {
            (Level::Success, format!("Saved {count} images in {folder}"))
        };
        self.notify(level, message, None);
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
            self.notify(Level::Warning, message, Some((Command::ShowModel, "Choose a model")));
            request.model.clone_from(&self.settings.model);
        }
        let scene_is_there = request.scene.path.as_ref().is_none_or(|scene| scene.is_file());
        if !scene_is_there {
            let missing = request.scene.path.take().unwrap_or_default();
            let message = format!(
                "The photo {} is not there any more; the one shown is used",
                missing.display()
            );
            self.notify(Level::Warning, message, Some((Command::OpenPhoto, "Find the photo")));
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
        self.replace_settings(request);
        let name = super::file_name(Some(path));
        self.notify(
            Level::Success,
            format!("Settings restored from {name}"),
            Some((Command::Mix, "Mix")),
        );
    }

    pub(super) fn send_chore(&mut self, chore: Chore) {
        self.effects.push(Effect::Send(Request::Chore(Box::new(chore))));
    }
}

/// Every decoded image of a lane under a name that sorts in the order of steps.
fn step_images(lane: &Lane) -> Vec<NamedImage> {
    let steps = lane.steps();
    let digits = steps.to_string().len().max(2);
    let mut images = Vec::new();
    for step in 0..=steps {
        for (view, what) in [(StepView::X0Hat, "x0_hat"), (StepView::XT, "x_t")] {
            let is_result = step == steps;
            if is_result && view == StepView::XT {
                continue;
            }
            let Some(frame) = lane.frame(step, view) else {
                continue;
            };
            let what = if is_result { "result" } else { what };
            images.push(NamedImage {
                name: format!("step-{step:0digits$}-{what}.png"),
                image: frame.image.clone(),
                words: format!(
                    "Step {} of {steps}, sigma {:.4}, {what}\nMix: {}, Seed: {}",
                    (step + 1).min(steps),
                    frame.sigma,
                    lane.request.sampling.mix,
                    lane.request.sampling.seed
                ),
            });
        }
    }
    images
}

/// A path as people paste it: quoted, as a `file://` address, or with `~` for the home folder.
pub fn typed_path(text: &str) -> PathBuf {
    let text = text.trim().trim_matches(['"', '\'']);
    let text = match text.strip_prefix("file://") {
        Some(address) => percent_decoded(address),
        None => text.to_owned(),
    };
    match (text.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(text),
    }
}

/// An address with `%20` and the like turned back into letters.
fn percent_decoded(address: &str) -> String {
    let mut bytes = Vec::with_capacity(address.len());
    let mut rest = address.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let decoded = digits
            .filter(|_| first == b'%')
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        if let Some(byte) = decoded {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
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
