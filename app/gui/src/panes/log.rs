//! The Log: every message, with the time since the studio opened.

use egui::{RichText, ScrollArea, Ui};

use super::PaneContext;
use crate::notice::{Level, LogEntry, clock};
use crate::theme;
use crate::widgets::{caption, text_button};

/// Draws the pane.
pub fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    studio.state.log.mark_read();
    ui.horizontal(|ui| {
        caption(ui, "Time since the studio opened, and what happened.");
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            if text_button(ui, "Copy", "Copy the whole log").clicked() {
                ui.ctx().copy_text(studio.state.log.to_text());
            }
        });
    });
    ScrollArea::vertical()
        .auto_shrink([false, false])
        .stick_to_bottom(true)
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 3.0;
            for entry in studio.state.log.entries() {
                line(ui, entry);
            }
        });
}

fn line(ui: &mut Ui, entry: &LogEntry) {
    let theme = theme::of(ui);
    let color = match entry.level {
        Level::Info => theme.text,
        Level::Success => theme.success,
        Level::Warning => theme.warning,
        Level::Error => theme.error,
    };
    ui.horizontal_top(|ui| {
        let time = theme::padded(&clock(entry.at_secs), 7);
        ui.label(RichText::new(time).font(theme::number_font()).color(theme.text_weak));
        ui.add(
            egui::Label::new(RichText::new(&entry.message).color(color))
                .wrap()
                .selectable(true),
        );
    });
}
