//! The sheet of all shortcuts, by menu heading.

use egui::{Align2, Context, Id, Margin, Modal, RichText, Role, ScrollArea, Sense, Ui, WidgetInfo, pos2, vec2};

use crate::commands::{Command, Group};
use crate::theme::{self, space};

/// Width of a column, in points: room for the longest command and its shortcut.
const COLUMN: f32 = 312.0;

/// Height of a line, in points.
const LINE: f32 = 24.0;

/// Draws the sheet; whether it is to be closed.
pub fn show(ctx: &Context) -> bool {
    let room = ctx.content_rect().size() - vec2(80.0, 0.0);
    let count = ((room.x / COLUMN) as usize).clamp(1, 3);
    let frame = egui::Frame::popup(&ctx.global_style()).inner_margin(Margin::same(space::SECTION as i8));
    let modal = Modal::new(Id::unique("shortcuts")).frame(frame).show(ctx, |ui| {
        ui.set_width((count as f32 * COLUMN).min(room.x));
        let is_closed = ui
            .horizontal(|ui| {
                ui.heading("Shortcuts");
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    ui.button("Close").clicked()
                })
                .inner
            })
            .inner;
        ui.add_space(space::ITEM);
        // Without the minimum a sheet that is longer than its first guess would grow from frame to frame.
        let height = height(count).min(room.y - 140.0).max(80.0);
        ScrollArea::vertical()
            .max_height(height)
            .min_scrolled_height(height)
            .show(ui, |ui| columns(ui, count));
        is_closed
    });
    modal.inner || modal.should_close()
}

/// Which column each heading goes to, so that `count` columns have about the same length.
fn placed(count: usize) -> impl Iterator<Item = (usize, &'static Group)> {
    let groups = || Command::GROUPS.iter().filter(|group| with_keys(group).next().is_some());
    let total: usize = groups().map(lines).sum();
    let mut before = 0;
    groups().map(move |group| {
        // By its middle, so that a heading goes where most of it belongs.
        let middle = before + lines(group) / 2;
        before += lines(group);
        ((middle * count / total).min(count - 1), group)
    })
}

/// Lines that a heading takes with its commands and the gap under them.
fn lines(group: &Group) -> usize {
    with_keys(group).count() + 2
}

/// Height of the longest of `count` columns, in points.
fn height(count: usize) -> f32 {
    let of_column = |column| {
        placed(count)
            .filter(move |(at, _)| *at == column)
            .map(|(_, group)| lines(group))
    };
    let longest = (0..count).map(|column| of_column(column).sum::<usize>()).max();
    longest.unwrap_or(0) as f32 * LINE
}

fn columns(ui: &mut Ui, count: usize) {
    ui.spacing_mut().item_spacing.x = 2.0 * space::SECTION;
    ui.columns(count, |columns| {
        for (column, group) in placed(count) {
            section(&mut columns[column], group);
        }
    });
}

fn with_keys(group: &Group) -> impl Iterator<Item = Command> {
    group
        .commands
        .iter()
        .copied()
        .filter(|command| !command.shortcuts().is_empty())
}

fn section(ui: &mut Ui, group: &Group) {
    let theme = theme::of(ui);
    ui.spacing_mut().item_spacing.y = 0.0;
    let title = RichText::new(group.title).font(theme::strong_font());
    ui.label(title.color(theme.text_strong));
    ui.add_space(2.0);
    for command in with_keys(group) {
        line(ui, command);
    }
    ui.add_space(LINE);
}

/// A command with its shortcuts, as keys beside each other, at the right.
fn line(ui: &mut Ui, command: Command) {
    let theme = theme::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), LINE), Sense::hover());
    let (painter, label) = (ui.painter_at(rect), command.label().trim_end_matches('…'));
    let font = egui::TextStyle::Body.resolve(ui.style());
    painter.text(rect.left_center(), Align2::LEFT_CENTER, label, font, theme.text);
    let mut right = rect.right();
    for shortcut in command.shortcuts().iter().rev() {
        let text = Command::key_text(ui.ctx(), shortcut);
        let text = painter.layout_no_wrap(text, theme::small_number_font(), theme.text);
        let size = text.size() + vec2(10.0, 4.0);
        let key = Align2::RIGHT_CENTER.anchor_size(pos2(right, rect.center().y), size);
        painter.rect_filled(key, f32::from(space::CORNER) - 1.0, theme.control);
        painter.galley(key.min + vec2(5.0, 2.0), text, theme.text);
        right = key.left() - space::TIGHT;
    }
    let name = format!("{label}, {}", command.all_shortcuts_text(ui.ctx()));
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &name));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_heading_is_placed_and_no_column_is_left_empty() {
        for count in 1..=3 {
            let used: Vec<usize> = placed(count).map(|(column, _)| column).collect();
            assert!(used.is_sorted() && used.last() == Some(&(count - 1)), "{used:?}");
        }
        assert!(height(3) < height(2) && height(2) < height(1));
    }
}
