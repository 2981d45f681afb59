//! The command palette: type a few letters, press Enter.

use egui::{Align2, Context, Id, Key, Modal, Modifiers, ScrollArea, TextEdit, Ui, WidgetInfo, pos2, vec2};

use crate::commands::Command;
use crate::state::State;
use crate::state::palette::Palette;
use crate::theme::{self, space};
use crate::widgets::{caption, command_line, focus_ring};

/// Width of the palette, in points.
const WIDTH: f32 = 520.0;

/// Height of its list, in points.
const LIST_HEIGHT: f32 = 340.0;

/// Where the column of groups begins, in points from the right.
const GROUP_COLUMN: f32 = 168.0;

/// Draws the palette; the command that was chosen, and whether the palette is to be closed.
pub fn show(ctx: &Context, palette: &mut Palette, state: &State) -> (Option<Command>, bool) {
    let id = Id::unique("command palette");
    let area = Modal::default_area(id).anchor(Align2::CENTER_TOP, vec2(0.0, 64.0));
    let modal = Modal::new(id).area(area).show(ctx, |ui| {
        ui.set_width(WIDTH.min(ui.ctx().content_rect().width() - 40.0));
        let entered = field(ui, palette);
        ui.add_space(space::TIGHT);
        let clicked = list(ui, palette, state);
        clicked.or(entered)
    });
    let chosen = modal.inner.filter(|command| state.can(*command));
    (chosen, chosen.is_some() || modal.should_close())
}

/// The field; the chosen command when Enter was pressed in it.
fn field(ui: &mut Ui, palette: &mut Palette) -> Option<Command> {
    // The field would take the arrows for its cursor.
    let steps = ui.input_mut(|input| {
        let down = input.count_and_consume_key(Modifiers::NONE, Key::ArrowDown);
        let up = input.count_and_consume_key(Modifiers::NONE, Key::ArrowUp);
        down.cast_signed() - up.cast_signed()
    });
    palette.move_by(steps);
    let entered = ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Enter));
    let edit = TextEdit::singleline(&mut palette.query)
        .desired_width(f32::INFINITY)
        .margin(8.0)
        .hint_text("Type a command");
    let response = ui.add(edit);
    let query = palette.query.clone();
    response.widget_info(|| WidgetInfo {
        label: Some("Search commands".to_owned()),
        ..WidgetInfo::text_edit(true, &query, &query, "Type a command")
    });
    response.request_focus();
    focus_ring(ui, &response);
    if response.changed() {
        palette.query_changed();
    }
    entered.then(|| palette.chosen()).flatten()
}

/// The matching commands; the one that was clicked.
fn list(ui: &mut Ui, palette: &Palette, state: &State) -> Option<Command> {
    let matches = palette.matches();
    if matches.is_empty() {
        caption(ui, "No command has these letters.");
    }
    let mut clicked = None;
    ScrollArea::vertical()
        .max_height(LIST_HEIGHT)
        .auto_shrink([false, true])
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 1.0;
            for (index, &command) in matches.iter().enumerate() {
                let selected = index == palette.selected();
                if line(ui, command, selected, state.can(command)) {
                    clicked = Some(command);
                }
            }
        });
    clicked
}

fn line(ui: &mut Ui, command: Command, selected: bool, enabled: bool) -> bool {
    let theme = theme::of(ui);
    let color = match (enabled, selected) {
        (false, _) => theme.text_weak,
        (true, true) => theme.text_strong,
        (true, false) => theme.text,
    };
    let fill = if selected { theme.control_hover } else { theme.raised };
    let response = command_line(ui, command, enabled, color, Some(fill));
    // A column of its own, so that groups line up however long the shortcuts are.
    let group = pos2(response.rect.right() - GROUP_COLUMN, response.rect.center().y);
    let painter = ui.painter_at(response.rect);
    painter.text(
        group,
        Align2::LEFT_CENTER,
        command.group(),
        theme::small_font(),
        theme.text_weak,
    );
    if selected {
        response.scroll_to_me(None);
    }
    response.widget_info(|| WidgetInfo::selected(egui::Role::ListItem, enabled, selected, command.label()));
    response.clicked()
}
