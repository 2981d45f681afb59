//! Each lane's own colour, the same in every plot and beside its steps.

use egui::Color32;
use mdsd3_words::lane::LaneKind;

use crate::state::State;
use crate::theme::Theme;

/// The colour of the lane at `index`: its class's where it has one class, a colour of its own for a physical baseline, the
/// accent for a mix. Of lanes that would share a colour, the later ones get shades of it.
pub(super) fn lane_color(theme: &Theme, state: &State, index: usize) -> Color32 {
    let own = base(theme, state, index);
    let earlier = (0..index).filter(|&other| base(theme, state, other) == own).count();
    theme.shade(own, earlier)
}

fn base(theme: &Theme, state: &State, index: usize) -> Color32 {
    let several = state.lanes().len() > 1;
    let kind = state.lanes().get(index).map(|slot| slot.setup.kind);
    if several && kind == Some(LaneKind::Physical) {
        return theme.physical_line;
    }
    let request = state.request_of(index);
    let mut active = request.sampling.mix.active().map(|(class, _)| class);
    let class = match (active.next(), active.next()) {
        (Some(class), None) if several => state.class_place(class),
        _ => None,
    };
    class.map_or(theme.accent_line, |class| theme.class(class))
}
