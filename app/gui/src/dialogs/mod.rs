//! Choosing files: the desktop's dialog on a thread of its own, and a field for a path where there is no such dialog.

mod path;
mod purpose;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use egui::{Context, Id, Modal};
use mdsd3_engine::data::PHOTO_EXTENSIONS;
use mdsd3_engine::figure;

use path::{Outcome, PathDialog};
pub use purpose::{Choice, Purpose};

/// What depth maps are.
pub(crate) const DEPTH_EXTENSIONS: [&str; 4] = ["png", "tif", "tiff", "npy"];

/// A dialog that closes by itself sooner than this was never shown: nobody is that quick.
const NEVER_SHOWN: Duration = Duration::from_millis(600);

/// What the field for a path says when the desktop's dialog was asked for in vain.
const NOT_COMING: &str = "The desktop's file dialog doesn't come. Type or paste a path instead.";

/// How long the desktop may take to show its dialog.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The answer of the desktop's dialog.
enum Answer {
    Picked(PathBuf),
    Dismissed,
    Unavailable,
}

/// The dialogs that are open.
#[derive(Default)]
pub struct Dialogs {
    native: Option<Native>,
    path: Option<PathDialog>,
    last_folder: Option<PathBuf>,
}

/// A dialog of the desktop that was asked for.
struct Native {
    purpose: Purpose,
    answer: Receiver<Answer>,
    asked: Instant,
    /// Whether the field for a path was opened as well.
    is_doubted: bool,
}

impl Dialogs {
    /// Whether the field for a path is open, and takes the keyboard.
    pub fn is_modal_open(&self) -> bool {
        self.path.is_some()
    }

    /// Opens the desktop's dialog; `suggestion` is the name of a file to save.
    pub fn open_native(&mut self, ctx: &Context, purpose: Purpose, suggestion: &str) {
        if let Some(native) = &self.native {
            if native.is_doubted {
                self.open_path(purpose, purpose.suggested_path(suggestion), NOT_COMING.to_owned());
            }
            return;
        }
        let (sender, receiver) = channel();
        let (waker, folder, suggestion) = (ctx.clone(), self.last_folder.clone(), suggestion.to_owned());
        let spawned = std::thread::Builder::new()
            .name("mdsd3-file-dialog".to_owned())
            .spawn(move || {
                // The receiver is gone when the studio is closing; then nobody wants the answer.
                let _ = sender.send(ask_desktop(purpose, folder, &suggestion));
                waker.request_repaint();
            });
        match spawned {
            Ok(_) => {
                self.native = Some(Native {
                    purpose,
                    answer: receiver,
                    asked: Instant::now(),
                    is_doubted: false,
                });
                ctx.request_repaint_after(PATIENCE);
            }
            Err(error) => self.open_path(purpose, "", format!("The file dialog could not be started ({error}).")),
        }
    }

    /// Opens the field for a path with a note above it.
    pub fn open_path(&mut self, purpose: Purpose, text: &str, note: String) {
        self.path = Some(PathDialog::new(purpose, text, note));
    }

    /// Draws the field for a path, and returns the choice once one was made.
    pub fn show(&mut self, ctx: &Context, recent: &[PathBuf], suggestion: &str) -> Option<Choice> {
        let choice = self
            .poll_native(ctx, suggestion)
            .or_else(|| self.show_path(ctx, recent, suggestion));
        match &choice {
            Some(
                Choice::Open(Some(path))
                | Choice::Save(path)
                | Choice::SaveFigure(path)
                | Choice::Plan(path)
                | Choice::Recipe(path)
                | Choice::Depth(path)
                | Choice::DepthNetwork(path)
                | Choice::Mask(_, path)
                | Choice::Model(_, path),
            ) => {
                self.last_folder = path.parent().map(Path::to_owned);
            }
            Some(Choice::SaveSteps(folder) | Choice::SaveLayers(folder) | Choice::QueueFolder(folder)) => {
                self.last_folder = Some(folder.clone());
            }
            Some(Choice::Open(None)) | None => {}
        }
        choice
    }

    fn poll_native(&mut self, ctx: &Context, suggestion: &str) -> Option<Choice> {
        let native = self.native.as_mut()?;
        let purpose = native.purpose;
        let text = purpose.suggested_path(suggestion);
        let answer = match native.answer.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Disconnected) => Answer::Unavailable,
            Err(TryRecvError::Empty) => {
                // A dialog that has come up has taken the focus from this window.
                let has_not_come = native.asked.elapsed() >= PATIENCE && ctx.input(|input| input.focused);
                if has_not_come && !std::mem::replace(&mut native.is_doubted, true) {
                    self.open_path(purpose, text, NOT_COMING.to_owned());
                }
                return None;
            }
        };
        let is_doubted = native.is_doubted;
        self.native = None;
        match answer {
            Answer::Picked(path) => {
                self.path = None;
                Some(purpose.choice(path))
            }
            Answer::Unavailable if !is_doubted => {
                let note =
                    "This desktop offers no file dialog (xdg-desktop-portal or zenity). Type or paste a path instead.";
                self.open_path(purpose, text, note.to_owned());
                None
            }
            Answer::Dismissed | Answer::Unavailable => None,
        }
    }

    fn show_path(&mut self, ctx: &Context, recent: &[PathBuf], suggestion: &str) -> Option<Choice> {
        let dialog = self.path.as_mut()?;
        let mut outcome = Outcome::Open;
        let modal = Modal::new(Id::unique("path dialog")).show(ctx, |ui| {
            ui.set_width(480.0);
            outcome = dialog.ui(ui, recent);
        });
        if modal.should_close() && matches!(outcome, Outcome::Open) {
            outcome = Outcome::Closed;
        }
        match outcome {
            Outcome::Open => None,
            Outcome::Closed => {
                self.path = None;
                None
            }
            Outcome::Browse => {
                let purpose = dialog.purpose;
                self.path = None;
                self.open_native(ctx, purpose, suggestion);
                None
            }
            Outcome::Chosen(choice) => {
                self.path = None;
                Some(choice)
            }
        }
    }
}

fn ask_desktop(purpose: Purpose, folder: Option<PathBuf>, suggestion: &str) -> Answer {
    let asked = Instant::now();
    let mut dialog = rfd::FileDialog::new().set_title(purpose.words().0);
    if let Some(folder) = folder {
        dialog = dialog.set_directory(folder);
    }
    let picked = match purpose {
        Purpose::OpenPhoto => dialog
            .add_filter("Photos", &PHOTO_EXTENSIONS)
            .add_filter("All files", &["*"])
            .pick_file(),
        Purpose::SaveImage => dialog.add_filter("PNG", &["png"]).set_file_name(suggestion).save_file(),
        Purpose::SaveFigure => dialog
            .add_filter("SVG, PNG, CSV or Parquet", &figure::EXTENSIONS)
            .set_file_name(suggestion)
            .save_file(),
        Purpose::Depth => dialog.add_filter("Depth maps", &DEPTH_EXTENSIONS).pick_file(),
        Purpose::DepthNetwork => dialog.add_filter("Networks", &["safetensors"]).pick_file(),
        Purpose::Mask(_) => dialog.add_filter("Images", &PHOTO_EXTENSIONS).pick_file(),
        Purpose::OpenPlan => dialog.add_filter("Plans", &["toml"]).pick_file(),
        Purpose::Recipe => dialog.add_filter("Recipes", &["toml"]).pick_file(),
        Purpose::SaveSteps | Purpose::SaveLayers | Purpose::ModelFolder | Purpose::QueueFolder => dialog.pick_folder(),
        Purpose::ModelFile | Purpose::ModelPart(_) => dialog
            .add_filter("Checkpoints", &["safetensors", "gguf", "json"])
            .pick_file(),
    };
    match picked {
        Some(path) => Answer::Picked(path),
        None if asked.elapsed() < NEVER_SHOWN => Answer::Unavailable,
        None => Answer::Dismissed,
    }
}
