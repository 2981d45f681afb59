//! The Model pane: what to load, what it is, what it takes, and loading it.

use egui::{ComboBox, DragValue, ProgressBar, RichText, ScrollArea, Ui, WidgetInfo, vec2};
use mdsd3_engine::chores::Inspection;
use mdsd3_words::model::ModelPath;

use crate::commands::Command;
use crate::dialogs::Purpose;
use crate::icons::Icon;
use crate::pane_id::{self, PaneId};
use crate::panes::context::{Pane, PaneContext};
use crate::state::State;
use crate::state::model::MemoryVerdict;
use crate::theme::{self, space};
use crate::widgets::{LabelledSlider, caption, icon_button, section, segmented, text_field};

/// Dtypes offered, with when to choose them.
const DTYPES: [(&str, &str, &str); 3] = [
    ("f32", "f32", "Exact, and the fastest on a processor"),
    (
        "bf16",
        "bf16",
        "Half the memory; what graphics cards since 2020 like best",
    ),
    ("f16", "f16", "Half the memory, for older graphics cards"),
];

/// Height of a line of facts, in points.
const FACT: f32 = 16.0;

/// Parts that may come from their own paths.
const PARTS: [ModelPath; 4] = [
    ModelPath::Vae,
    ModelPath::PreviewVae,
    ModelPath::TextEncoder,
    ModelPath::Tokenizer,
];

/// The checkpoint, and where it runs.
pub const PANE: PaneId = pane_id::MODEL;

pub(super) struct ModelPane;

impl Pane for ModelPane {
    fn title(&self, _state: &State) -> String {
        "Model".to_owned()
    }

    fn show(&self, ui: &mut Ui, studio: &mut PaneContext<'_>) {
        show(ui, studio);
    }
}

fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    studio.state.tend_model_desk();
    ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
        section(ui, "What to load");
        path_row(ui, studio, ModelPath::Model, "Bundled model");
        path_row(ui, studio, ModelPath::Adapter, "None");
        strength(ui, studio);
        parts(ui, studio);
        ui.add_space(space::ITEM);
        where_it_runs(ui, studio);
        ui.add_space(space::SECTION);
        section(ui, "What it is");
        findings(ui, studio);
        ui.add_space(space::SECTION);
        load(ui, studio);
    });
}

fn path_row(ui: &mut Ui, studio: &mut PaneContext<'_>, field: ModelPath, hint: &str) {
    ui.horizontal(|ui| {
        super::mixer::row_label(ui, field.label());
        let buttons = if field == ModelPath::Model { 2.0 } else { 1.0 };
        let room = buttons * (space::ROW + ui.spacing().item_spacing.x);
        let name = format!("{} path", field.label().to_lowercase());
        let width = (ui.available_width() - room).max(60.0);
        let text = studio.state.desk.draft.path_mut(field);
        let response = text_field(ui, &name, width, text, hint);
        if !text.is_empty() {
            response.on_hover_text(text.as_str());
        }
        browse(ui, studio, field);
    });
}

fn browse(ui: &mut Ui, studio: &mut PaneContext<'_>, field: ModelPath) {
    if field == ModelPath::Model {
        for (icon, command) in [
            (Icon::FOLDER, Command::ChooseModelFolder),
            (Icon::FILE, Command::ChooseModelFile),
        ] {
            if icon_button(ui, icon, command.label()).clicked() {
                studio.commands.push(command);
            }
        }
        return;
    }
    let name = format!("Choose a file for {}", field.label().to_lowercase());
    if icon_button(ui, Icon::FILE, &name).clicked() {
        studio.looking.ask_for = Some(Purpose::ModelPart(field));
    }
}

/// The adapter's strength, a setting of the mix: no loading is needed for it.
fn strength(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    if studio.state.settings().model.parts.adapter.is_none() {
        return;
    }
    let mut value = f64::from(studio.state.settings().sampling.adapter_strength);
    let slider = LabelledSlider {
        label: "Strength",
        name: "adapter strength",
        help: "Factor on the adapter's low-rank updates: 0 leaves them out, 1 is as trained",
        range: 0.0..=2.0,
        decimals: 2,
        color: None,
        mark: Some(1.0),
        label_width: LabelledSlider::LABEL_WIDTH,
    };
    if slider.show(ui, &mut value) {
        studio
            .state
            .edit(|settings| settings.sampling.adapter_strength = value as f32);
    }
}

fn parts(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    egui::CollapsingHeader::new("Parts from elsewhere").show(ui, |ui| {
        for field in PARTS {
            path_row(ui, studio, field, "As in the checkpoint");
        }
        ui.horizontal(|ui| {
            super::mixer::row_label(ui, "Heads");
            let heads = &mut studio.state.desk.draft.heads;
            let response = ui.add(DragValue::new(heads).range(0..=256));
            let value = *heads as f64;
            response.widget_info(|| WidgetInfo {
                label: Some("attention heads".to_owned()),
                ..WidgetInfo::drag_value(true, value)
            });
            caption(ui, "0 reads them from the file.");
        });
    });
}

fn where_it_runs(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    ui.horizontal(|ui| {
        super::mixer::row_label(ui, "Device");
        let desk = &mut studio.state.desk;
        let combo = ComboBox::from_id_salt("device").selected_text(&desk.draft.device);
        let response = combo.show_ui(ui, |ui| {
            for device in &desk.devices {
                let choice = egui::Button::selectable(desk.draft.device == device.name, device.name);
                let response = ui.add_enabled(device.usable, choice);
                if response
                    .on_hover_text(&device.note)
                    .on_disabled_hover_text(&device.note)
                    .clicked()
                {
                    device.name.clone_into(&mut desk.draft.device);
                }
            }
        });
        response
            .response
            .widget_info(|| WidgetInfo::labeled(egui::Role::ComboBox, true, "device"));
    });
    ui.horizontal(|ui| {
        super::mixer::row_label(ui, "Precision");
        let mut chosen = DTYPES
            .iter()
            .map(|(dtype, ..)| *dtype)
            .find(|dtype| *dtype == studio.state.desk.draft.dtype)
            .unwrap_or("f32");
        if segmented(ui, "precision", &mut chosen, &DTYPES) {
            chosen.clone_into(&mut studio.state.desk.draft.dtype);
        }
    });
}

fn findings(ui: &mut Ui, studio: &PaneContext<'_>) {
    match studio.state.look() {
        None => {
            caption(ui, "Looking at it…");
        }
        Some(Err(message)) => {
            let text = RichText::new(crate::state::sentence_case(message)).color(theme::of(ui).error);
            ui.add(egui::Label::new(text).wrap().selectable(true));
        }
        Some(Ok(found)) => {
            facts(ui, found);
            for line in found.report.missing.iter().take(4) {
                caption(ui, format!("Missing {line}"));
            }
            if let Some(verdict) = studio.state.memory_verdict() {
                memory(ui, &verdict, studio.state.settings().scene.size);
            }
        }
    }
}

fn facts(ui: &mut Ui, found: &Inspection) {
    let report = &found.report;
    let classes: Vec<&str> = report.classes.iter().map(|(class, _)| class.as_str()).collect();
    let parameters: u64 = report.parts.iter().map(|part| part.parameters).sum();
    let rows = [
        ("Name", report.name.clone()),
        ("Family", report.family.clone()),
        (
            "Classes",
            if classes.is_empty() {
                "none".to_owned()
            } else {
                classes.join(", ")
            },
        ),
        ("Parameters", parameters_text(parameters)),
        (
            "Sizes",
            format!(
                "multiples of {} up to {} px",
                report.size_multiple_px, report.max_size_px
            ),
        ),
    ];
    for (label, value) in rows {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().interact_size.y = 0.0;
            let width = LabelledSlider::LABEL_WIDTH;
            let (rect, _) = ui.allocate_exact_size(vec2(width, FACT), egui::Sense::hover());
            let (at, color) = (rect.left_center(), theme::of(ui).text_weak);
            ui.painter()
                .text(at, egui::Align2::LEFT_CENTER, label, theme::small_font(), color);
            ui.add(egui::Label::new(value).wrap());
        });
    }
}

/// "3.3 million" or "2.03 billion".
fn parameters_text(parameters: u64) -> String {
    match parameters as f64 {
        count if count >= 1e9 => format!("{:.2} billion", count / 1e9),
        count => format!("{:.1} million", count / 1e6),
    }
}

fn memory(ui: &mut Ui, verdict: &MemoryVerdict, size_px: u32) {
    let gigabytes = |bytes: u64| {
        if bytes < 100_000_000 {
            format!("{:.0} MB", bytes as f64 / 1e6)
        } else {
            format!("{:.1} GB", bytes as f64 / 1e9)
        }
    };
    let needed = gigabytes(verdict.needed_bytes);
    let text = match verdict.available_bytes {
        Some(available) => format!(
            "Takes about {needed} at {size_px} px; {} are free.",
            gigabytes(available)
        ),
        None => format!("Takes about {needed} at {size_px} px."),
    };
    ui.add_space(space::TIGHT);
    match &verdict.advice {
        Some(advice) => {
            let color = theme::of(ui).warning;
            ui.add(egui::Label::new(RichText::new(format!("{text} {advice}")).color(color)).wrap());
        }
        None => {
            ui.add(egui::Label::new(text).wrap());
        }
    }
}

fn load(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    if studio.state.is_loading_model() {
        let share = studio.state.load_progress();
        let text = share.map_or_else(|| "Opening".to_owned(), |share| format!("{:.0} % read", share * 100.0));
        let bar = ProgressBar::new(share.unwrap_or(0.0))
            .text(text)
            .fill(theme::of(ui).accent);
        let response = ui.add(bar);
        response.widget_info(|| WidgetInfo {
            value: Some(f64::from(share.unwrap_or(0.0))),
            ..WidgetInfo::labeled(egui::Role::ProgressIndicator, true, "Model loading")
        });
        if ui.button("Stop loading").clicked() {
            studio.commands.push(Command::Stop);
        }
        return;
    }
    ui.horizontal(|ui| {
        let can = studio.state.can(Command::LoadModel);
        let is_short = studio
            .state
            .memory_verdict()
            .is_some_and(|verdict| verdict.advice.is_some());
        let label = if is_short { "Load anyway" } else { "Load" };
        let theme = theme::of(ui);
        let button = if can {
            egui::Button::new(RichText::new(label).color(theme.on_accent)).fill(theme.accent)
        } else {
            egui::Button::new(label)
        };
        if ui.add_enabled(can, button).clicked() {
            studio.commands.push(Command::LoadModel);
        }
        let is_bundled = studio.state.settings().model.path.is_none() && studio.state.model.is_some();
        if !is_bundled && ui.button("Bundled model").clicked() {
            studio.commands.push(Command::LoadBundledModel);
        }
        if studio.state.draft_is_loaded() {
            caption(ui, "Loaded.");
        }
    });
}
