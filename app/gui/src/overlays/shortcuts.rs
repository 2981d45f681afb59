//! The sheet of all shortcuts, by menu heading.

use egui::{Context, Grid, Id, Modal, RichText, ScrollArea, Ui};

use crate::commands::{Command, Group};
use crate::theme::{self, space};

/// Draws the sheet; whether it is to be closed.
pub fn show(ctx: &Context) -> bool {
    let modal = Modal::new(Id::unique("shortcuts")).show(ctx, |ui| {
        let room = ui.ctx().content_rect().size();
        ui.set_width(640.0_f32.min(room.x - 40.0));
        ui.heading("Shortcuts");
        ui.add_space(space::ITEM);
        // Without the minimum a sheet that is longer than its first guess would grow from frame to frame.
        let height = (room.y - 160.0).max(80.0);
        ScrollArea::vertical()
            .max_height(height)
            .min_scrolled_height(height)
            .show(ui, columns);
        ui.add_space(space::ITEM);
        ui.button("Close").clicked()
    });
    modal.inner || modal.should_close()
}

/// The headings in two columns of about the same length.
fn columns(ui: &mut Ui) {
    let lines = |group: &Group| with_keys(group).count() + 2;
    let total: usize = Command::GROUPS.iter().map(lines).sum();
    ui.columns(2, |columns| {
        let mut before = 0;
        for group in &Command::GROUPS {
            let column = usize::from(before * 2 >= total);
            before += lines(group);
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
    if with_keys(group).next().is_none() {
        return;
    }
    let theme = theme::of(ui);
    ui.label(
        RichText::new(group.title)
            .font(theme::strong_font())
            .color(theme.text_strong),
    );
    Grid::new(group.title)
        .num_columns(2)
        .spacing([space::PANE, space::TIGHT])
        .show(ui, |ui| {
            for command in with_keys(group) {
                let keys = command.all_shortcuts_text(ui.ctx());
                ui.label(
                    RichText::new(keys)
                        .font(theme::small_number_font())
                        .color(theme.text_weak),
                );
                ui.label(command.label().trim_end_matches('…'));
                ui.end_row();
            }
        });
    ui.add_space(space::ITEM);
}
