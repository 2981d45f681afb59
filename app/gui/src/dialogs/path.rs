//! The field for a path.

use std::path::PathBuf;

use egui::{Align, Key, Layout, RichText, TextEdit, Ui};

use super::{Choice, Purpose};
use crate::state::{file_name, typed_path};
use crate::theme;
use crate::widgets::{caption, focus_ring};

/// The field for a path.
pub(super) struct PathDialog {
    pub(super) purpose: Purpose,
    text: String,
    note: String,
    confirmed_overwrite: Option<PathBuf>,
    fresh: bool,
}

/// What one frame of the path dialog led to.
pub(super) enum Outcome {
    Open,
    Closed,
    Browse,
    Chosen(Choice),
}

impl PathDialog {
    /// An empty field, or one with `text`, with a note above it.
    pub(super) fn new(purpose: Purpose, text: &str, note: String) -> Self {
        Self {
            purpose,
            text: text.to_owned(),
            note,
            confirmed_overwrite: None,
            fresh: true,
        }
    }

    pub(super) fn ui(&mut self, ui: &mut Ui, recent: &[PathBuf]) -> Outcome {
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
        let typed = typed_path(&self.text);
        // As it will be told: where a path from the working folder leads is not seen in it.
        let path = std::path::absolute(&typed).unwrap_or(typed);
        if let Some(note) = self.purpose.leads_nowhere(&path) {
            (self.note, self.fresh) = (note, true);
            return Outcome::Open;
        }
        match self.purpose {
            Purpose::SaveImage | Purpose::SaveFigure => {
                let path = if path.extension().is_none() {
                    path.with_extension("png")
                } else {
                    path
                };
                if path.exists() && self.confirmed_overwrite.as_ref() != Some(&path) {
                    self.note = format!("{} exists. Press Save or Enter again to replace it.", path.display());
                    (self.confirmed_overwrite, self.fresh) = (Some(path), true);
                    return Outcome::Open;
                }
                Outcome::Chosen(self.purpose.choice(path))
            }
            purpose => Outcome::Chosen(purpose.choice(path)),
        }
    }
}
