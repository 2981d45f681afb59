//! What the next entry of the queue will be.

use egui::{ComboBox, DragValue, RichText, TextEdit, Ui, WidgetInfo};
use mdsd3_engine::data::LayoutKind;
use mdsd3_words::made::EngineKind;

use crate::commands::Command;
use crate::dialogs::Purpose;
use crate::icons::Icon;
use crate::panes::context::PaneContext;
use crate::state::queue::{Around, MAX_SEEDS, Photos};
use crate::theme::{self, space};
use crate::widgets::{caption, focus_ring, icon_button, row_label, segmented};

/// Width of the labels, in points.
const LABEL_WIDTH: f32 = 54.0;

/// Draws the form.
pub(super) fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    ui.spacing_mut().item_spacing.y = space::TIGHT;
    ui.horizontal(|ui| {
        let theme = theme::of(ui);
        let button = egui::Button::new(RichText::new("Add to the queue").color(theme.on_accent)).fill(theme.accent);
        if ui
            .add(button)
            .on_hover_text("Writes a plan, then makes its pairs")
            .clicked()
        {
            studio.commands.push(Command::QueueMix);
        }
        if ui
            .button("Add a plan…")
            .on_hover_text("A plan file of mdsd3 sweep")
            .clicked()
        {
            studio.commands.push(Command::OpenPlan);
        }
    });
    let next = studio.state.next_in_words();
    let form = &mut studio.state.queue.form;
    row(ui, "Mixes", |ui| {
        let choices = [
            (Around::Mix, "This mix", "The mix of the selected lane"),
            (
                Around::Grid,
                "Grid around it",
                "Every ratio at 50, 75, 100 and 125 %, in all combinations",
            ),
        ];
        segmented(ui, "Mixes", &mut form.around, &choices);
    });
    row(ui, "Photos", |ui| {
        let choices = [
            (Photos::This, "This photo", "The open photo"),
            (
                Photos::Folder,
                "Its folder",
                "Every photo in the folder of the open one",
            ),
        ];
        segmented(ui, "Photos", &mut form.photos, &choices);
    });
    row(ui, "Made by", |ui| {
        let choices = [
            (EngineKind::Mdsd3, "Model", "The network"),
            (
                EngineKind::Physical,
                "Formulas",
                "The physical baseline, without a network",
            ),
        ];
        segmented(ui, "Made by", &mut form.engine, &choices);
        let seeds = ui.add(DragValue::new(&mut form.seeds).range(1..=MAX_SEEDS).speed(0.1));
        seeds.widget_info(|| WidgetInfo::labeled(egui::Role::SpinButton, true, "seeds"));
        ui.label(if form.seeds == 1 { "seed" } else { "seeds" });
    });
    row(ui, "Layout", |ui| layout_choice(ui, &mut form.layout));
    row(ui, "Folder", |ui| {
        let room = space::ROW + ui.spacing().item_spacing.x;
        let field = TextEdit::singleline(&mut form.root).desired_width(ui.available_width() - room);
        let response = ui.add(field);
        response.widget_info(|| WidgetInfo::labeled(egui::Role::TextInput, true, "output folder"));
        focus_ring(ui, &response);
        if icon_button(ui, Icon::Folder, "Choose a folder for datasets").clicked() {
            studio.looking.ask_for = Some(Purpose::QueueFolder);
        }
    });
    caption(ui, next);
}

fn row(ui: &mut Ui, label: &str, content: impl FnOnce(&mut Ui)) {
    ui.horizontal(|ui| {
        row_label(ui, label, LABEL_WIDTH);
        content(ui);
    });
}

fn layout_choice(ui: &mut Ui, layout: &mut LayoutKind) {
    let combo = ComboBox::from_id_salt("layout")
        .selected_text(layout.label())
        .width(ui.available_width());
    let response = combo.show_ui(ui, |ui| {
        for choice in LayoutKind::ALL {
            ui.selectable_value(layout, choice, choice.label());
        }
    });
    response
        .response
        .widget_info(|| WidgetInfo::labeled(egui::Role::ComboBox, true, "layout"));
}
