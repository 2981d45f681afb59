//! Choosing files: the desktop's dialog on a thread of its own, and a field for a path where there is no such dialog.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use egui::{Align, Context, Id, Key, Layout, Modal, RichText, TextEdit, Ui};
use mdsd3_words::model::ModelPath;

use mdsd3_engine::figure;

use crate::state::{file_name, typed_path};
use crate::theme;
use crate::widgets::{caption, focus_ring};

/// Extensions of the photos that can be read.
const PHOTO_EXTENSIONS: [&str; 7] = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp"];

/// A dialog that closes by itself sooner than this was never shown: nobody is that quick.
const NEVER_SHOWN: Duration = Duration::from_millis(600);

/// What a file is chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A photo to open.
    OpenPhoto,
    /// A file to save the result in.
    SaveImage,
    /// A file for what the Spectrum shows.
    SaveFigure,
    /// A folder for the images of all steps.
    SaveSteps,
    /// A checkpoint's folder.
    ModelFolder,
    /// A checkpoint's file.
    ModelFile,
    /// Another part of a model: what the Model pane calls it.
    ModelPart(ModelPath),
    /// A plan of a dataset.
    OpenPlan,
    /// A recipe of a training.
    Recipe,
    /// A folder for datasets.
    QueueFolder,
}

impl Purpose {
    /// Title of the dialog, and what its button says.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::OpenPhoto => ("Open photo", "Open"),
            Self::SaveImage => ("Save image", "Save"),
            Self::SaveFigure => ("Save figure", "Save"),
            Self::SaveSteps => ("Save all steps in a folder", "Save"),
            Self::ModelFolder => ("Choose a model folder", "Choose"),
            Self::ModelFile => ("Choose a model file", "Choose"),
            Self::ModelPart(_) => ("Choose a file of the model", "Choose"),
            Self::OpenPlan => ("Add a plan to the queue", "Add"),
            Self::Recipe => ("Choose a training recipe", "Choose"),
            Self::QueueFolder => ("Choose a folder for datasets", "Choose"),
        }
    }

    /// What the field shows while it is empty.
    fn example(self) -> &'static str {
        match self {
            Self::OpenPhoto => "~/photos/street.jpg",
            Self::SaveImage => "~/mixes/street.png",
            Self::SaveFigure => "~/figures/spectra.svg",
            Self::SaveSteps => "~/mixes/street-steps",
            Self::ModelFolder => "~/models/stable-diffusion-3-medium",
            Self::ModelFile | Self::ModelPart(_) => "~/models/sd3_medium.safetensors",
            Self::OpenPlan => "~/datasets/rain.toml",
            Self::Recipe => "~/recipes/adapter.toml",
            Self::QueueFolder => "~/datasets",
        }
    }

    fn choice(self, path: PathBuf) -> Choice {
        match self {
            Self::OpenPhoto => Choice::Open(Some(path)),
            Self::SaveImage => Choice::Save(path),
            Self::SaveFigure => Choice::SaveFigure(path),
            Self::SaveSteps => Choice::SaveSteps(path),
            Self::ModelFolder | Self::ModelFile => Choice::Model(ModelPath::Model, path),
            Self::ModelPart(field) => Choice::Model(field, path),
            Self::OpenPlan => Choice::Plan(path),
            Self::Recipe => Choice::Recipe(path),
            Self::QueueFolder => Choice::QueueFolder(path),
        }
    }
}

/// A choice that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Open this photo; the demo photo when `None`.
    Open(Option<PathBuf>),
    /// Save the result here.
    Save(PathBuf),
    /// Save what the Spectrum shows here.
    SaveFigure(PathBuf),
    /// Save all steps into this folder.
    SaveSteps(PathBuf),
    /// Write this into a field of the Model pane.
    Model(ModelPath, PathBuf),
    /// Make the dataset of this plan.
    Plan(PathBuf),
    /// Write this into the Training pane's field.
    Recipe(PathBuf),
    /// Write this into the Queue pane's field.
    QueueFolder(PathBuf),
}

/// The answer of the desktop's dialog.
enum Answer {
    Picked(PathBuf),
    Dismissed,
    Unavailable,
}

/// The dialogs that are open.
#[derive(Default)]
pub struct Dialogs {
    native: Option<(Purpose, Receiver<Answer>)>,
    path: Option<PathDialog>,
    last_folder: Option<PathBuf>,
}

/// The field for a path.
struct PathDialog {
    purpose: Purpose,
    text: String,
    note: String,
    confirmed_overwrite: Option<PathBuf>,
    fresh: bool,
}

impl Dialogs {
    /// Whether the field for a path is open, and takes the keyboard.
    pub fn is_modal_open(&self) -> bool {
        self.path.is_some()
    }

    /// Opens the desktop's dialog; `suggestion` is the name of a file to save.
    pub fn open_native(&mut self, ctx: &Context, purpose: Purpose, suggestion: &str) {
        if self.native.is_some() {
            return;
        }
        let (sender, receiver) = channel();
        let (ctx, folder, suggestion) = (ctx.clone(), self.last_folder.clone(), suggestion.to_owned());
        let spawned = std::thread::Builder::new()
            .name("mdsd3-file-dialog".to_owned())
            .spawn(move || {
                // The receiver is gone when the studio is closing; then nobody wants the answer.
                let _ = sender.send(ask_desktop(purpose, folder, &suggestion));
                ctx.request_repaint();
            });
        match spawned {
            Ok(_) => self.native = Some((purpose, receiver)),
            Err(error) => self.open_path(purpose, "", format!("The file dialog could not be started ({error}).")),
        }
    }

    /// Opens the field for a path with a note above it.
    pub fn open_path(&mut self, purpose: Purpose, text: &str, note: String) {
        self.path = Some(PathDialog {
            purpose,
            text: text.to_owned(),
            note,
            confirmed_overwrite: None,
            fresh: true,
        });
    }

    /// Draws the field for a path, and returns the choice once one was made.
    pub fn show(&mut self, ctx: &Context, recent: &[PathBuf], suggestion: &str) -> Option<Choice> {
        let choice = self
            .poll_native(suggestion)
            .or_else(|| self.show_path(ctx, recent, suggestion));
        match &choice {
            Some(
                Choice::Open(Some(path))
                | Choice::Save(path)
                | Choice::SaveFigure(path)
                | Choice::Plan(path)
                | Choice::Recipe(path)
                | Choice::Model(_, path),
            ) => {
                self.last_folder = path.parent().map(Path::to_owned);
            }
            Some(Choice::SaveSteps(folder) | Choice::QueueFolder(folder)) => self.last_folder = Some(folder.clone()),
            Some(Choice::Open(None)) | None => {}
        }
        choice
    }

    fn poll_native(&mut self, suggestion: &str) -> Option<Choice> {
        let (purpose, receiver) = self.native.as_ref()?;
        let purpose = *purpose;
        let answer = match receiver.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Answer::Unavailable,
        };
        self.native = None;
        match answer {
            Answer::Picked(path) => Some(purpose.choice(path)),
            Answer::Dismissed => None,
            Answer::Unavailable => {
                let note =
                    "This desktop offers no file dialog (xdg-desktop-portal or zenity). Type or paste a path instead.";
                let text = match purpose {
                    Purpose::SaveImage => suggestion,
                    Purpose::SaveFigure => "spectra.svg",
                    Purpose::SaveSteps => suggestion.trim_end_matches(".png"),
                    _ => "",
                };
                self.open_path(purpose, text, note.to_owned());
                None
            }
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

/// What one frame of the path dialog led to.
enum Outcome {
    Open,
    Closed,
    Browse,
    Chosen(Choice),
}

impl PathDialog {
    fn ui(&mut self, ui: &mut Ui, recent: &[PathBuf]) -> Outcome {
        let (title, verb) = self.purpose.words();
        ui.heading(title);
        if !self.note.is_empty() {
            ui.add(egui::Label::new(RichText::new(&self.note).color(theme::of(ui).warning)).wrap());
        }
        ui.add_space(4.0);
        let entered = self.path_field(ui);
        let mut outcome = Outcome::Open;
        if self.purpose == Purpose::OpenPhoto {
            outcome = Self::shortcuts(ui, recent);
        }
        ui.add_space(8.0);
        ui.horizontal(|ui| {
            let browse = ui.button("Browse…").on_hover_text("The desktop's file dialog");
            if browse.clicked() {
                outcome = Outcome::Browse;
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let ready = !self.text.trim().is_empty();
                let theme = theme::of(ui);
                let button = egui::Button::new(RichText::new(verb).color(theme.on_accent)).fill(theme.accent);
                if ui.add_enabled(ready, button).clicked() || (entered && ready) {
                    outcome = self.accept();
                }
                if ui.button("Cancel").clicked() {
                    outcome = Outcome::Closed;
                }
            });
        });
        outcome
    }

    /// The field; true when Enter was pressed in it.
    fn path_field(&mut self, ui: &mut Ui) -> bool {
        let label = ui.label("Path");
        let field = TextEdit::singleline(&mut self.text)
            .desired_width(f32::INFINITY)
            .hint_text(self.purpose.example());
        let response = ui.add(field).labelled_by(label.id);
        focus_ring(ui, &response);
        if std::mem::take(&mut self.fresh) {
            response.request_focus();
        }
        response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter))
    }

    fn shortcuts(ui: &mut Ui, recent: &[PathBuf]) -> Outcome {
        let mut outcome = Outcome::Open;
        ui.add_space(8.0);
        caption(ui, "Or one of these");
        if ui
            .add(egui::Button::new("Demo photo").frame_when_inactive(false))
            .clicked()
        {
            outcome = Outcome::Chosen(Choice::Open(None));
        }
        for path in recent {
            let button = egui::Button::new(file_name(Some(path))).frame_when_inactive(false);
            if ui.add(button).on_hover_text(path.display().to_string()).clicked() {
                outcome = Outcome::Chosen(Choice::Open(Some(path.clone())));
            }
        }
        outcome
    }

    fn accept(&mut self) -> Outcome {
        let path = typed_path(&self.text);
        match self.purpose {
            Purpose::SaveImage | Purpose::SaveFigure => {
                let path = if path.extension().is_none() {
                    path.with_extension("png")
                } else {
                    path
                };
                if path.exists() && self.confirmed_overwrite.as_ref() != Some(&path) {
                    self.note = format!("{} exists. Press Save again to replace it.", path.display());
                    self.confirmed_overwrite = Some(path);
                    return Outcome::Open;
                }
                Outcome::Chosen(self.purpose.choice(path))
            }
            purpose => Outcome::Chosen(purpose.choice(path)),
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
        Purpose::OpenPhoto => dialog.add_filter("Photos", &PHOTO_EXTENSIONS).pick_file(),
        Purpose::SaveImage => dialog.add_filter("PNG", &["png"]).set_file_name(suggestion).save_file(),
        Purpose::SaveFigure => dialog
            .add_filter("SVG, PNG, CSV or Parquet", &figure::EXTENSIONS)
            .set_file_name(suggestion)
            .save_file(),
        Purpose::OpenPlan => dialog.add_filter("Plans", &["toml"]).pick_file(),
        Purpose::Recipe => dialog.add_filter("Recipes", &["toml"]).pick_file(),
        Purpose::SaveSteps | Purpose::ModelFolder | Purpose::QueueFolder => dialog.pick_folder(),
        Purpose::ModelFile | Purpose::ModelPart(_) => {
            dialog.add_filter("Safetensors", &["safetensors", "json"]).pick_file()
        }
    };
    match picked {
        Some(path) => Answer::Picked(path),
        None if asked.elapsed() < NEVER_SHOWN => Answer::Unavailable,
        None => Answer::Dismissed,
    }
}
