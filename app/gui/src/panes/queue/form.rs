//! What the next entry of the queue will be.

use egui::{Button, DragValue, RichText, Ui, WidgetInfo};
use mdsd3_engine::data::LayoutKind;
use mdsd3_words::made::EngineKind;

use crate::commands::Command;
use crate::dialogs::Purpose;
use crate::icons::Icon;
use crate::panes::context::PaneContext;
use crate::state::queue::{Around, MAX_SEEDS, Photos, QueueForm};
use crate::theme::{self, space};
use crate::widgets::{caption, drop_down, icon_button, row_label, segmented, text_field};

/// Width of the labels, in points.
const LABEL_WIDTH: f32 = 54.0;

/// Draws the form.
pub(super) fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    ui.spacing_mut().item_spacing.y = space::TIGHT;
    buttons(ui, studio);
    let next = studio.state.next_in_words();
    pairs(ui, &mut studio.state.queue.form);
    row(ui, "Layout", |ui| {
        let layouts = LayoutKind::ALL.map(|layout| (layout, layout.label().to_owned(), ""));
        drop_down(
            ui,
            "layout",
            ui.available_width(),
            &mut studio.state.queue.form.layout,
            layouts,
        );
    });
    row(ui, "Folder", |ui| folder(ui, studio));
    caption(ui, next);
}

fn buttons(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let theme = theme::of(ui);
    let add = Button::new(RichText::new("Add to the queue").color(theme.on_accent)).fill(theme.accent);
    let plan = Button::new("Add a plan…");
    ui.horizontal(|ui| {
        for (button, help, command) in [
            (add, "Writes a plan, then makes its pairs", Command::QueueMix),
            (plan, "A plan file of mdsd3 sweep", Command::OpenPlan),
        ] {
            if ui.add(button).on_hover_text(help).clicked() {
                studio.commands.push(command);
            }
        }
    });
}

/// Which mixes of which photos, and what makes them.
fn pairs(ui: &mut Ui, form: &mut QueueForm) {
    let mixes = [
        (Around::Mix, "This mix", "The mix of the selected lane"),
        (
            Around::Grid,
            "Grid around it",
            "Every ratio at 50, 75, 100 and 125 %, in all combinations",
        ),
    ];
    let photos = [
        (Photos::This, "This photo", "The open photo"),
        (
            Photos::Folder,
            "Its folder",
            "Every photo in the folder of the open one",
        ),
    ];
    let engines = [
        (EngineKind::Mdsd3, "Model", "The network"),
        (
            EngineKind::Physical,
            "Formulas",
            "The physical baseline, without a network",
        ),
    ];
    row(ui, "Mixes", |ui| segmented(ui, "Mixes", &mut form.around, &mixes));
    row(ui, "Photos", |ui| segmented(ui, "Photos", &mut form.photos, &photos));
    row(ui, "Made by", |ui| {
        segmented(ui, "Made by", &mut form.engine, &engines);
        let seeds = ui.add(DragValue::new(&mut form.seeds).range(1..=MAX_SEEDS).speed(0.1));
        seeds.widget_info(|| WidgetInfo::labeled(egui::Role::SpinButton, true, "seeds"));
        ui.label(if form.seeds == 1 { "seed" } else { "seeds" });
    });
}

/// The field of the output folder.
fn folder(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let room = space::ROW + ui.spacing().item_spacing.x;
    let root = &mut studio.state.queue.form.root;
    text_field(ui, "output folder", ui.available_width() - room, root, "");
    if icon_button(ui, Icon::FOLDER, "Choose a folder for datasets").clicked() {
        studio.looking.ask_for = Some(Purpose::QueueFolder);
    }
}

fn row<R>(ui: &mut Ui, label: &str, content: impl FnOnce(&mut Ui) -> R) {
    ui.horizontal(|ui| {
        row_label(ui, label, LABEL_WIDTH);
        content(ui);
    });
}
