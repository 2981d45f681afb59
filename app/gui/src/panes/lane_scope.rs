//! The line over the Mixer that says which lane it edits, when there are several.

use egui::{Checkbox, Role, Ui, WidgetInfo};
use mdsd3_words::lane::LaneKind;

use crate::panes::context::PaneContext;
use crate::theme::space;
use crate::widgets::{caption, section_with};

/// Draws the line; nothing for a single lane.
pub fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let state = &studio.state;
    let count = state.lanes().len();
    let index = state.selected_lane();
    let Some(setup) = state.lanes().get(index).map(|slot| &slot.setup).filter(|_| count > 1) else {
        return;
    };
    let is_branch = state.request_of(index).branch.is_some();
    let mut own = setup.own.is_some();
    let can_share = setup.kind == LaneKind::Sampled && !is_branch;
    let title = format!("Lane {}", state.lane_name(index));
    let changed = section_with(ui, &title, |ui| {
        let check = ui.add_enabled(can_share, Checkbox::new(&mut own, "Own settings"));
        check.widget_info(|| WidgetInfo::selected(Role::CheckBox, can_share, own, "Own settings"));
        check
            .on_hover_text("On, the Mixer changes this lane alone; off, all lanes without settings of their own")
            .changed()
    });
    caption(ui, scope(own, is_branch));
    ui.add_space(space::PANE);
    if changed {
        studio.state.set_lane_own(index, own);
    }
}

fn scope(own: bool, is_branch: bool) -> &'static str {
    match (is_branch, own) {
        (true, _) => "A branch: what is set here holds from its step on. Seed, photo and size are shared.",
        (false, true) => "What is set here holds for this lane. Seed, photo and size are shared.",
        (false, false) => "What is set here holds for all lanes without settings of their own.",
    }
}
