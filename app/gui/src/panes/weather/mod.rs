//! The Weather: the scene's depth, how the formulas put weather together, where classes act, and the layers of a physical lane.

mod regions;

use std::path::{Path, PathBuf};

use egui::{DragValue, Key, Role, ScrollArea, Ui, WidgetInfo};
use mdsd3_words::RenderRequest;
use mdsd3_words::weather::{Composition, DepthKind, Space};

use crate::commands::Command;
use crate::icons::Icon;
use crate::pane_id::{PaneFacts, PaneId, Place};
use crate::panes::context::{Pane, PaneContext};
use crate::state::{State, typed_path};
use crate::theme::{self, space};
use crate::widgets::{
    caption, drop_down, focus_ring, icon_button, row_label, section, section_with, segmented, text_button, text_field,
};

/// Width of the labels, in points.
const LABEL: f32 = 76.0;

/// Depth, composition, regions, layers.
pub const PANE: PaneId = PaneId::new(&PaneFacts {
    key: "Weather",
    icon: Icon::WEATHER,
    command: "Show the weather",
    shortcuts: &[],
    place: Place::Right,
});

pub(super) struct WeatherPane;

impl Pane for WeatherPane {
    fn title(&self, _state: &State) -> String {
        "Weather".to_owned()
    }

    fn show(&self, ui: &mut Ui, studio: &mut PaneContext<'_>) {
        studio.state.want_scene_weather();
        ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
            depth(ui, studio);
            ui.add_space(space::SECTION);
            composition(ui, studio);
            ui.add_space(space::SECTION);
            regions::show(ui, studio);
            ui.add_space(space::SECTION);
            layers(ui, studio);
        });
    }
}

/// A button for a command, greyed while it can do nothing.
fn command_button(ui: &mut Ui, studio: &mut PaneContext<'_>, command: Command, text: &str) {
    let enabled = studio.state.can(command);
    let button = ui.add_enabled_ui(enabled, |ui| text_button(ui, text, command.label()));
    if button.inner.clicked() {
        studio.commands.push(command);
    }
}

fn depth(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    section_with(ui, "Depth of the scene", |ui| {
        let mut shows = studio.looking.weather.shows_depth;
        let choices = [
            (
                true,
                "Depth",
                "In the viewport, in colours with their scale in metres (D)",
            ),
            (false, "Photo", "In the viewport (D)"),
        ];
        if segmented(ui, "scene", &mut shows, &choices) {
            studio.commands.push(Command::ToggleDepth);
        }
    });
    source(ui, studio);
    depth_map(ui, studio);
    ui.horizontal(|ui| {
        row_label(ui, "Its numbers", LABEL);
        let kinds = [
            (DepthKind::Distance, "Distance", "Larger is farther"),
            (
                DepthKind::Disparity,
                "Disparity",
                "Larger is nearer: inverse distance, as stereo rigs and depth networks give",
            ),
        ];
        let has_file = studio.state.settings().weather.depth.is_some();
        ui.add_enabled_ui(has_file, |ui| {
            let edit = |settings: &mut RenderRequest| {
                segmented(ui, "numbers of the depth map", &mut settings.weather.depth_kind, &kinds)
            };
            studio.state.edit(edit);
        });
    });
    unit(ui, studio);
    network(ui, studio);
}

/// Where the depth comes from, and what is to be known of it.
fn source(ui: &mut Ui, studio: &PaneContext<'_>) {
    let theme = theme::of(ui);
    match studio.state.scene_weather() {
        None if studio.state.scene.is_none() => {
            caption(ui, "Open a photo to see its depth.");
        }
        None => {
            caption(ui, "It is being computed.");
        }
        Some(Ok(view)) => {
            let source = crate::state::sentence_case(&view.depth.source);
            let label = ui.add(egui::Label::new(format!("{source}.")).wrap());
            label.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("depth: {source}")));
            for note in &view.depth.notes {
                let is_warning = note.starts_with("warning");
                let color = if is_warning { theme.warning } else { theme.text_weak };
                let text = egui::RichText::new(crate::state::sentence_case(note))
                    .small()
                    .color(color);
                ui.add(egui::Label::new(text).wrap());
            }
        }
        Some(Err(message)) => {
            let text = egui::RichText::new(crate::state::sentence_case(message)).color(theme.error);
            ui.add(egui::Label::new(text).wrap().selectable(true));
        }
    }
}

/// The depth map's path.
fn depth_map(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    ui.horizontal(|ui| {
        row_label(ui, "Depth map", LABEL);
        let path = studio.state.settings().weather.depth.clone();
        let typed = path_field(ui, studio, ("depth map path", "None"), path.as_deref());
        if let Some(text) = typed {
            studio.state.set_depth(meant(&text));
        }
        choose_or_clear(ui, studio, [Command::OpenDepth, Command::RemoveDepth]);
    });
}

/// The path of a network that computes the depth of photos without a depth map.
fn network(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    ui.horizontal(|ui| {
        row_label(ui, "Network", LABEL);
        let path = studio.state.settings().weather.depth_model.clone();
        let hint = "None: estimated by rules";
        let typed = path_field(ui, studio, ("depth network path", hint), path.as_deref());
        if let Some(text) = typed {
            studio
                .state
                .edit(|settings| settings.weather.depth_model = meant(&text));
        }
        choose_or_clear(ui, studio, [Command::OpenDepthNetwork, Command::RemoveDepthNetwork]);
    });
}

/// A field for a path, which counts when it is left; the text that it then has.
fn path_field(
    ui: &mut Ui,
    studio: &mut PaneContext<'_>,
    (name, hint): (&'static str, &str),
    path: Option<&Path>,
) -> Option<String> {
    let shown = path.map(|path| path.display().to_string()).unwrap_or_default();
    let typing = &mut studio.looking.weather.typing;
    let mut text = match typing {
        Some((of, text)) if *of == name => text.clone(),
        _ => shown.clone(),
    };
    let room = 2.0 * (space::ROW + ui.spacing().item_spacing.x);
    let width = (ui.available_width() - room).max(60.0);
    let field = text_field(ui, name, width, &mut text, hint);
    if field.has_focus() {
        *typing = Some((name, text.clone()));
    } else {
        typing.take_if(|(of, _)| *of == name);
    }
    let is_left = field.lost_focus() && text != shown && !ui.input(|input| input.key_pressed(Key::Escape));
    if !shown.is_empty() {
        field.on_hover_text(shown);
    }
    is_left.then_some(text)
}

/// The path that a text is; none when it is empty.
fn meant(text: &str) -> Option<PathBuf> {
    (!text.trim().is_empty()).then(|| typed_path(text))
}

fn choose_or_clear(ui: &mut Ui, studio: &mut PaneContext<'_>, commands: [Command; 2]) {
    for (icon, command) in [Icon::FILE, Icon::CLOSE].into_iter().zip(commands) {
        let can = studio.state.can(command);
        let button = ui.add_enabled_ui(can, |ui| icon_button(ui, icon, command.label()));
        if button.inner.clicked() {
            studio.commands.push(command);
        }
    }
}

/// Metres in one unit of the depth map; 0 for a map without a known scale.
fn unit(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    ui.horizontal(|ui| {
        row_label(ui, "Metres/unit", LABEL);
        let weather = &studio.state.settings().weather;
        let has_file = weather.depth.is_some();
        let before = weather.depth_metres_per_unit.unwrap_or(0.0);
        let mut value = before;
        let field = DragValue::new(&mut value)
            .range(0.0..=f32::MAX)
            .speed(0.001)
            .max_decimals(6);
        let response = ui.add_enabled(has_file, field);
        let shown = f64::from(value);
        response.widget_info(|| WidgetInfo {
            label: Some("metres per unit of the depth map".to_owned()),
            ..WidgetInfo::drag_value(has_file, shown)
        });
        focus_ring(ui, &response);
        if value.to_bits() != before.to_bits() {
            let scale = Some(value).filter(|value| *value > 0.0);
            studio
                .state
                .edit(|settings| settings.weather.depth_metres_per_unit = scale);
        }
        caption(ui, "0 puts the middle of the scene at 18 m.");
    });
}

fn composition(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    section(ui, "Composition of physical lanes");
    let spaces = [
        (
            Space::Srgb,
            "sRGB",
            "Haze in encoded values, as the dehazing benchmarks compose it",
        ),
        (Space::Linear, "Linear light", "Haze in linear light, as air does it"),
    ];
    let rains = [
        (
            Composition::Alpha,
            "Covers",
            "Drops cover what is behind them, and shine",
        ),
        (Composition::Additive, "Adds light", "Drops only add light"),
    ];
    ui.horizontal(|ui| {
        row_label(ui, "Haze in", LABEL);
        let edit = |settings: &mut RenderRequest| segmented(ui, "haze in", &mut settings.weather.space, &spaces);
        studio.state.edit(edit);
    });
    ui.horizontal(|ui| {
        row_label(ui, "Rain", LABEL);
        let edit = |settings: &mut RenderRequest| segmented(ui, "rain", &mut settings.weather.rain_composition, &rains);
        studio.state.edit(edit);
    });
    if studio.state.layered_lane().is_none() {
        caption(ui, "There is no physical lane yet.");
        command_button(ui, studio, Command::AddPhysicalLane, "Add one");
    }
}

fn layers(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    section_with(ui, "Layers of the physical lane", |ui| {
        let mut shows = studio.looking.weather.shows_layers;
        let choices = [
            (true, "Layer", "In place of the lane's image (Y)"),
            (false, "Image", "The lane's image (Y)"),
        ];
        if segmented(ui, "physical lane", &mut shows, &choices) {
            studio.commands.push(Command::ToggleLayers);
        }
    });
    if !studio.state.can(Command::ToggleLayers) {
        caption(
            ui,
            "Depth, transmission, opacity, residual and kernels, once a physical lane is mixed.",
        );
        return;
    }
    if !studio.looking.weather.shows_layers {
        caption(ui, "Choose Layer to see what each class did.");
    } else if let Some(answer) = studio.state.layers() {
        match answer {
            Ok(layers) => {
                let layers = std::sync::Arc::clone(layers);
                let mut index = studio.looking.weather.layer_index(&layers);
                let choices = layers
                    .iter()
                    .enumerate()
                    .map(|(index, layer)| (index, layer.name.clone(), ""));
                if drop_down(ui, "layer", ui.available_width(), &mut index, choices) {
                    studio.looking.weather.layer.clone_from(&layers[index].name);
                }
            }
            Err(message) => {
                let text = egui::RichText::new(crate::state::sentence_case(message)).color(theme::of(ui).error);
                ui.add(egui::Label::new(text).wrap());
            }
        }
    } else {
        caption(ui, "They are being computed.");
    }
    ui.horizontal(|ui| {
        command_button(ui, studio, Command::NextLayer, "Next");
        command_button(ui, studio, Command::SaveImage, "Save as seen…");
        command_button(ui, studio, Command::SaveLayers, "Save all…");
    });
}
