//! The Log: every message, with the time since the studio opened. Only lines on screen are laid out, as a day's log has thousands.

use std::collections::VecDeque;

use egui::{Id, Key, KeyboardShortcut, Modifiers, Rect, RichText, ScrollArea, TextStyle, Ui};

use crate::icons::Icon;
use crate::notice::{Level, Log, LogEntry, clock};
use crate::pane_id::{PaneFacts, PaneId, Place};
use crate::panes::context::{Pane, PaneContext};
use crate::state::State;
use crate::theme;
use crate::widgets::{caption, text_button};

/// All messages.
pub const PANE: PaneId = PaneId::new(&PaneFacts {
    key: "Log",
    icon: Icon::BUBBLE,
    command: "Show the log",
    shortcuts: &[KeyboardShortcut::new(Modifiers::COMMAND, Key::L)],
    place: Place::Below,
});

pub(super) struct LogPane;

impl Pane for LogPane {
    fn title(&self, state: &State) -> String {
        match state.messages.log.unread_errors() {
            0 => "Log".to_owned(),
            unread => format!("Log ({unread})"),
        }
    }

    fn is_urgent(&self, state: &State) -> bool {
        state.messages.log.unread_errors() > 0
    }

    fn show(&self, ui: &mut Ui, studio: &mut PaneContext<'_>) {
        show(ui, studio);
    }
}

fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    studio.state.messages.log.mark_read();
    ui.horizontal(|ui| {
        caption(ui, "Time since the studio opened, and what happened.");
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            if text_button(ui, "Copy", "Copy the whole log").clicked() {
                ui.ctx().copy_text(studio.state.messages.log.to_text());
            }
        });
    });
    ScrollArea::vertical()
        .auto_shrink([false, false])
        .stick_to_bottom(true)
        .show_viewport(ui, |ui, viewport| lines(ui, &studio.state.messages.log, viewport));
}

/// Space between two lines, in points.
const GAP: f32 = 3.0;

/// Heights of the lines as they were last drawn, in points; a line that was never on screen is taken for one row of text.
#[derive(Clone, Default)]
struct Heights {
    /// The width that messages were wrapped at.
    width: f32,
    /// Number of the first line.
    first: u64,
    of: VecDeque<f32>,
}

impl Heights {
    fn fit(&mut self, log: &Log, width: f32, row: f32) {
        if (self.width - width).abs() > 0.5 {
            self.of.clear();
            self.width = width;
        }
        let gone = (log.first_number() - self.first) as usize;
        self.of.drain(..gone.min(self.of.len()));
        self.first = log.first_number();
        self.of.resize(log.entries().len(), row);
    }
}

/// Draws the lines that `viewport` shows, in points from the first line's top, and leaves space for the others.
fn lines(ui: &mut Ui, log: &Log, viewport: Rect) {
    ui.spacing_mut().item_spacing.y = GAP;
    let id = Id::unique("heights of the log's lines");
    let mut heights = ui.data_mut(|data| data.remove_temp::<Heights>(id)).unwrap_or_default();
    heights.fit(log, ui.available_width(), ui.text_style_height(&TextStyle::Body));
    let (mut top, mut left_out) = (0.0, 0.0);
    for (entry, height) in log.entries().zip(&mut heights.of) {
        let bottom = top + *height;
        if bottom < viewport.min.y || top > viewport.max.y {
            left_out += *height + GAP;
        } else {
            ui.add_space(std::mem::take(&mut left_out));
            *height = line(ui, entry);
        }
        top = bottom + GAP;
    }
    ui.add_space(left_out);
    ui.data_mut(|data| data.insert_temp(id, heights));
}

/// Draws a line; its height in points.
fn line(ui: &mut Ui, entry: &LogEntry) -> f32 {
    let theme = theme::of(ui);
    let color = match entry.level {
        Level::Info => theme.text,
        Level::Success => theme.success,
        Level::Warning => theme.warning,
        Level::Error => theme.error,
    };
    let drawn = ui.horizontal_top(|ui| {
        let time = theme::padded(&clock(entry.at_secs), 7);
        ui.label(RichText::new(time).font(theme::number_font()).color(theme.text_weak));
        ui.add(
            egui::Label::new(RichText::new(&entry.message).color(color))
                .wrap()
                .selectable(true),
        );
    });
    drawn.response.rect.height()
}
