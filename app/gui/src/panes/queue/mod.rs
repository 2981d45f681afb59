//! The Queue: datasets that wait, are made, or are ready, and a form that adds the mix to them.

mod form;

use std::path::{Path, PathBuf};

use egui::{Align, Image, Layout, ProgressBar, RichText, ScrollArea, Ui, WidgetInfo, vec2};
use mdsd3_engine::queue::{QueueEntry, QueueRequest, QueueState};

use crate::icons::Icon;
use crate::notice::Level;
use crate::pane_id::{self, PaneId};
use crate::panes::context::{Pane, PaneContext};
use crate::run::duration_text;
use crate::state::State;
use crate::state::queue::folder_address;
use crate::theme::{self, space};
use crate::widgets::{empty_state, text_button};

/// Width of the form, in points.
const FORM_WIDTH: f32 = 300.0;
/// Longer side of a thumbnail, in points.
const THUMBNAIL: f32 = 40.0;

/// Datasets in the making.
pub const PANE: PaneId = pane_id::QUEUE;

pub(super) struct QueuePane;

impl Pane for QueuePane {
    fn title(&self, state: &State) -> String {
        match state.queue.open_entries() {
            0 => "Queue".to_owned(),
            open => format!("Queue ({open})"),
        }
    }

    fn show(&self, ui: &mut Ui, studio: &mut PaneContext<'_>) {
        show(ui, studio);
    }
}

fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    ui.horizontal_top(|ui| {
        ui.allocate_ui_with_layout(
            vec2(FORM_WIDTH, ui.available_height()),
            Layout::top_down(Align::Min),
            |ui| {
                ScrollArea::vertical()
                    .id_salt("queue form")
                    .show(ui, |ui| form::show(ui, studio));
            },
        );
        ui.add_space(space::PANE);
        ui.vertical(|ui| list(ui, studio));
    });
}

fn list(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    if studio.state.queue.entries.is_empty() {
        let hint =
            "Add the mix, a grid around it, or a plan file. Datasets are made one after the other while you go on.";
        let color = theme::of(ui).text_weak;
        empty_state(
            ui,
            ui.available_rect_before_wrap(),
            Icon::PICTURE,
            "Nothing to export yet",
            hint,
            color,
        );
        return;
    }
    let entries = studio.state.queue.listed();
    ScrollArea::vertical()
        .id_salt("queue entries")
        .auto_shrink([false, false])
        .show(ui, |ui| {
            for shown in &entries {
                ui.push_id(shown.id, |ui| entry(ui, studio, shown));
                ui.add_space(space::TIGHT);
            }
        });
}

fn entry(ui: &mut Ui, studio: &mut PaneContext<'_>, entry: &QueueEntry) {
    let theme = theme::of(ui);
    let frame = egui::Frame::new()
        .fill(theme.raised)
        .corner_radius(space::CORNER)
        .inner_margin(space::TIGHT * 1.5);
    frame.show(ui, |ui| {
        let line = vec2(ui.available_width(), space::ROW);
        // From the right, so that the name gets what the buttons leave.
        ui.allocate_ui_with_layout(line, Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 0.0;
            buttons(ui, studio, entry);
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let name = RichText::new(&entry.name).font(theme::strong_font());
                ui.add(egui::Label::new(name.color(theme.text_strong)).truncate());
            });
        });
        progress(ui, entry);
        match &entry.state {
            QueueState::Failed(reason) | QueueState::NoRoom(reason) => {
                let color = state_in_words(&entry.state, theme).1;
                let text = RichText::new(crate::state::sentence_case(reason)).color(color);
                ui.add(egui::Label::new(text).wrap().selectable(true));
            }
            _ => {}
        }
        failures(ui, entry);
        thumbnails(ui, studio, entry);
    });
}

fn state_in_words(state: &QueueState, theme: &theme::Theme) -> (&'static str, egui::Color32) {
    match state {
        QueueState::Waiting => ("Waiting", theme.text_weak),
        QueueState::Preparing => ("Preparing", theme.text),
        QueueState::Running => ("Running", theme.text),
        QueueState::NoRoom(_) => ("Waiting for room on the disk", theme.warning),
        QueueState::Stopping => ("Finishing the pairs in hand", theme.text),
        QueueState::Paused => ("Paused", theme.text_weak),
        QueueState::Finished => ("Ready", theme.success),
        QueueState::Cancelled => ("Cancelled", theme.text_weak),
        QueueState::Failed(_) => ("Failed", theme.error),
    }
}

/// Filled from the right.
fn buttons(ui: &mut Ui, studio: &mut PaneContext<'_>, entry: &QueueEntry) {
    let (state, id) = (&entry.state, entry.id);
    let mut ask = |ui: &mut Ui, verb: &str, help: &str, request: QueueRequest| {
        let button = text_button(ui, verb, help);
        button.widget_info(|| WidgetInfo::labeled(egui::Role::Button, true, format!("{verb} {}", entry.name)));
        if button.clicked() {
            studio.state.ask_queue(request);
        }
    };
    if !state.is_active() {
        ask(
            ui,
            "Remove",
            "Takes it off the list; its files stay",
            QueueRequest::Remove(id),
        );
    }
    if state.can_resume() {
        ask(ui, "Resume", "Goes on where it stopped", QueueRequest::Resume(id));
    }
    if state.is_active() || *state == QueueState::Waiting {
        ask(
            ui,
            "Cancel",
            "Finishes the pairs in hand and leaves it",
            QueueRequest::Cancel(id),
        );
        ask(
            ui,
            "Pause",
            "Finishes the pairs in hand and waits",
            QueueRequest::Pause(id),
        );
    }
    if let Some(folder) = &entry.folder {
        let button = text_button(ui, "Open folder", &folder.display().to_string());
        button.widget_info(|| {
            WidgetInfo::labeled(egui::Role::Button, true, format!("Open the folder of {}", entry.name))
        });
        if button.clicked() {
            open_folder(ui, studio.state, folder);
        }
    }
}

/// Opens a folder in the desktop's file manager; where there is no way to one, says where the folder is and copies its path.
fn open_folder(ui: &Ui, state: &mut State, folder: &Path) {
    if has_opener() {
        ui.ctx().open_url(egui::OpenUrl::new_tab(folder_address(folder)));
    } else {
        let path = folder.display().to_string();
        let message =
            format!("No folder can be opened from here, since xdg-open is missing; its path is copied: {path}");
        ui.ctx().copy_text(path);
        state.messages.notify(Level::Warning, message, None);
    }
}

/// Whether this system has a program that opens addresses.
fn has_opener() -> bool {
    let openers = ["xdg-open", "gio", "gnome-open", "kde-open", "wslview"];
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |folder: PathBuf| openers.iter().any(|opener| folder.join(opener).is_file());
    !cfg!(target_os = "linux") || std::env::split_paths(&folders).any(is_there)
}

fn progress(ui: &mut Ui, entry: &QueueEntry) {
    let theme = theme::of(ui);
    if entry.total > 0 {
        let share = entry.done as f32 / entry.total as f32;
        let bar = ProgressBar::new(share)
            .desired_height(5.0)
            .fill(theme.accent)
            .corner_radius(2.0);
        let name = format!("progress of {}", entry.name);
        ui.add(bar)
            .widget_info(|| WidgetInfo::slider(true, f64::from(share), &name));
    }
    ui.horizontal_wrapped(|ui| {
        let (words, color) = state_in_words(&entry.state, theme);
        ui.label(RichText::new(words).small().color(color));
        if entry.total > 0 {
            ui.label(RichText::new(progress_text(entry)).small().color(theme.text_weak));
        }
    });
}

/// "123 of 400 pairs · 5.2 pairs/s · 53 s left".
fn progress_text(entry: &QueueEntry) -> String {
    let mut parts = vec![format!("{} of {} pairs", entry.done, entry.total)];
    if entry.state == QueueState::Running {
        match entry.pairs_per_sec {
            Some(rate) if rate >= 1.0 => parts.push(format!("{rate:.1} pairs/s")),
            Some(rate) if rate > 0.0 => parts.push(format!("{:.1} s/pair", 1.0 / rate)),
            _ => {}
        }
        parts.extend(
            entry
                .remaining_secs()
                .map(|secs| format!("{} left", duration_text(secs))),
        );
    }
    if let (QueueState::Finished, Some(busy)) = (&entry.state, entry.sampler_busy) {
        parts.push(format!("sampler busy {:.0} %", busy * 100.0));
    }
    parts.join(" · ")
}

fn failures(ui: &mut Ui, entry: &QueueEntry) {
    let Some(first) = entry.failures.first() else { return };
    let text = match entry.failures.len() {
        1 => format!("1 photo skipped · {}", first.reason),
        count => format!("{count} photos skipped · {}", first.reason),
    };
    let all: Vec<&str> = entry.failures.iter().map(|failure| failure.reason.as_str()).collect();
    let label = RichText::new(text).small().color(theme::of(ui).warning);
    ui.add(egui::Label::new(label).wrap()).on_hover_text(all.join("\n"));
}

fn thumbnails(ui: &mut Ui, studio: &mut PaneContext<'_>, entry: &QueueEntry) {
    if entry.thumbnails.is_empty() {
        return;
    }
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::TIGHT;
        for pair in entry.thumbnails.iter().rev() {
            if ui.available_width() < THUMBNAIL {
                break;
            }
            let texture = studio.textures.thumbnail(ui.ctx(), &pair.lq);
            let longer = pair.lq.width.max(pair.lq.height).max(1) as f32;
            let size = vec2(pair.lq.width as f32, pair.lq.height as f32) * (THUMBNAIL / longer);
            let response = ui.add(Image::new((texture, size)));
            let name = format!("pair {} of {}", pair.index + 1, entry.name);
            response.widget_info(|| WidgetInfo::labeled(egui::Role::Image, true, &name));
            response.on_hover_text(format!("Pair {}, {}", pair.index + 1, pair.mix));
        }
    });
}
