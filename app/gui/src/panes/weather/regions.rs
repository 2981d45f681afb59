//! Where each class acts: everywhere, in a rectangle, or where a mask is white.

use egui::{DragValue, Role, Ui, WidgetInfo};

use crate::commands::Command;
use crate::dialogs::Purpose;
use crate::panes::context::PaneContext;
use crate::state::file_name;
use crate::widgets::{caption, focus_ring, row_label, section_with, text_button};

/// Draws the section.
pub(super) fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    section_with(ui, "Where classes act", |ui| {
        super::command_button(ui, studio, Command::ClearRegions, "All everywhere");
    });
    let offered = studio.state.offered_classes();
    let settings = studio.state.settings();
    let mask_of = |class: &String| {
        let mut regions = settings.weather.regions.iter();
        regions
            .find(|region| region.class == *class)
            .map(|region| region.mask.clone())
    };
    let rows: Vec<_> = offered
        .iter()
        .map(|class| (class, mask_of(class)))
        .filter(|(class, mask)| mask.is_some() || settings.sampling.mix.ratio(class) > 0.0)
        .collect();
    if rows.is_empty() {
        caption(ui, "No class is on: raise one in the Mixer.");
    }
    for (class, mask) in rows {
        ui.horizontal(|ui| {
            row_label(ui, class, super::LABEL);
            let named = |ui: &mut Ui, text: &str, help: &str| {
                let button = text_button(ui, text, help);
                button.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("{text} region of {class}")));
                button.clicked()
            };
            if named(ui, "Draw", "Drag a rectangle on the photo") {
                studio.looking.weather.drawing = Some((class.clone(), [0.25, 0.25, 0.75, 0.75]));
            }
            if named(ui, "Load…", "Choose an image that is white where the class acts") {
                studio.looking.ask_for = studio.state.class_place(class).map(Purpose::Mask);
            }
            if mask.is_some() && named(ui, "Clear", "Let it act everywhere") {
                studio.state.set_region(class, None);
            }
            caption(
                ui,
                mask.as_deref()
                    .map_or("everywhere".to_owned(), |mask| file_name(Some(mask))),
            );
        });
    }
    drawing(ui, studio);
}

/// The rectangle that is being drawn, in numbers for those who don't drag.
fn drawing(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let Some((class, corners)) = &mut studio.looking.weather.drawing else {
        return;
    };
    caption(
        ui,
        format!("Drag a rectangle on the photo where {class} acts, or set its sides in % of the photo shown."),
    );
    let mut done = None;
    ui.horizontal(|ui| {
        for (name, corner) in ["left", "top", "right", "bottom"].into_iter().zip(corners) {
            let mut percent = f64::from(*corner) * 100.0;
            let response = ui.add(
                DragValue::new(&mut percent)
                    .range(0.0..=100.0)
                    .max_decimals(0)
                    .suffix(" %"),
            );
            response.widget_info(|| WidgetInfo {
                label: Some(format!("{name} side of the region")),
                ..WidgetInfo::drag_value(true, percent)
            });
            focus_ring(ui, &response);
            if response.changed() {
                *corner = (percent / 100.0) as f32;
            }
            response.on_hover_text(name);
        }
        if text_button(ui, "Set", "Let the class act in this rectangle alone").clicked() {
            done = Some(true);
        }
        if text_button(ui, "Cancel", "Keep the region as it was").clicked() {
            done = Some(false);
        }
    });
    if let Some(is_kept) = done {
        let drawn = studio.looking.weather.drawing.take();
        studio.looking.weather.drawn = drawn.filter(|_| is_kept);
    }
}
