//! The row that appears with a comparison: with what, on which scale, and what the colours mean.

use egui::{Align2, DragValue, Rect, Role, Sense, Shape, Slider, Ui, WidgetInfo, pos2, vec2};

use crate::colormap::difference_table;
use crate::compare::{Against, CompareMode, FLICKER_RANGE_SECS, RANGES_LEVELS};
use crate::panes::context::PaneContext;
use crate::theme::{self, space};
use crate::widgets::{caption, drop_down, focus_ring, gradient};

/// All modes, as the header offers them.
pub(super) const MODES: [(CompareMode, &str, &str); 5] = [
    (CompareMode::Images, "Images", "Each lane's image as it is"),
    (
        CompareMode::Wipe,
        "Wipe",
        "The lane left of a line that can be dragged, what it is compared with right of it",
    ),
    (
        CompareMode::Flicker,
        "Flicker",
        "The lane and what it is compared with take turns",
    ),
    (
        CompareMode::Difference,
        "Difference",
        "The lane minus what it is compared with, in colours",
    ),
    (
        CompareMode::Interaction,
        "Non-additivity",
        "What several classes do together minus what each does alone, all as differences to the clean branch; zero \
         where they merely add up",
    ),
];

/// The mode's choice in the header.
pub(super) fn mode(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let mode = &mut studio.looking.comparing.mode;
    let choices = MODES.map(|(choice, label, help)| (choice, label.to_owned(), help));
    drop_down(ui, "compare", 112.0, mode, choices);
}

/// Draws the row, when there is something to choose or to explain.
pub(super) fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let mode = studio.looking.comparing.mode;
    if mode == CompareMode::Images {
        return;
    }
    ui.horizontal(|ui| {
        if mode != CompareMode::Interaction {
            against(ui, studio);
        }
        match mode {
            CompareMode::Wipe => split(ui, studio),
            CompareMode::Difference | CompareMode::Interaction => {
                range(ui, studio);
                legend(ui, studio);
            }
            CompareMode::Flicker => pace(ui, studio),
            CompareMode::Images => {}
        }
    });
}

fn against(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let lanes = studio.state.lanes().iter().enumerate();
    let lanes = lanes.map(|(index, slot)| (Against::Lane(slot.setup.id), studio.state.lane_name(index), ""));
    let mut choices = vec![
        (Against::Scene, "scene".to_owned(), ""),
        (Against::Clean, "clean branch".to_owned(), ""),
    ];
    choices.extend(lanes);
    let against = &mut studio.looking.comparing.against;
    if choices.iter().all(|(choice, ..)| choice != against) {
        *against = Against::Scene;
    }
    caption(ui, "Against");
    drop_down(ui, "compare with", 112.0, against, choices);
}

fn split(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let split = &mut studio.looking.comparing.split;
    let slider = ui.add(Slider::new(split, 0.0..=1.0).show_value(false));
    let value = f64::from(*split);
    slider.widget_info(|| WidgetInfo::slider(true, value, "wipe position"));
}

/// How long each image of a flicker is shown.
fn pace(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let secs = &mut studio.looking.comparing.flicker_secs;
    caption(ui, "each for");
    let field = DragValue::new(secs)
        .range(FLICKER_RANGE_SECS)
        .speed(0.01)
        .fixed_decimals(1)
        .suffix(" s");
    let response = ui.add(field);
    let value = *secs;
    response.widget_info(|| WidgetInfo {
        label: Some("seconds per image".to_owned()),
        ..WidgetInfo::drag_value(true, value)
    });
    focus_ring(ui, &response);
}

fn range(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let range = &mut studio.looking.comparing.range_levels;
    let choices = RANGES_LEVELS.map(|levels| (levels, format!("±{levels} levels"), ""));
    drop_down(ui, "difference range", 96.0, range, choices);
}

/// The colours with their values and unit.
fn legend(ui: &mut Ui, studio: &PaneContext<'_>) {
    let theme = theme::of(ui);
    let levels = studio.looking.comparing.range_levels;
    let width = ui.available_width().clamp(80.0, 260.0);
    let (rect, response) = ui.allocate_exact_size(vec2(width, space::ROW), Sense::hover());
    let bar = Rect::from_min_max(rect.min, pos2(rect.right(), rect.top() + 9.0));
    ui.painter().add(Shape::mesh(gradient(bar, difference_table())));
    let y = bar.bottom() + 2.0;
    for (x, align, text) in [
        (bar.left(), Align2::LEFT_TOP, format!("−{levels}")),
        (bar.center().x, Align2::CENTER_TOP, "0 · luma, levels of 255".to_owned()),
        (bar.right(), Align2::RIGHT_TOP, format!("+{levels}")),
    ] {
        ui.painter()
            .text(pos2(x, y), align, text, theme::small_number_font(), theme.text_weak);
    }
    let name = format!("Difference scale from −{levels} to +{levels} levels of 255");
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &name));
}
