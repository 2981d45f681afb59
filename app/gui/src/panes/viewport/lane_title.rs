//! The title over each image: what it is, and for lanes what can be done with them.

use std::hash::{Hash, Hasher};

use egui::cache::{ComputerMut, FrameCache};
use egui::containers::menu::{MenuButton, MenuConfig};
use egui::text::{LayoutJob, TextWrapping};
use egui::{
    Align2, Button, Color32, PopupCloseBehavior, Rect, Role, Sense, Stroke, StrokeKind, TextEdit, Ui, UiBuilder, Vec2,
    WidgetInfo, pos2, vec2,
};
use mdsd3_words::lane::LaneKind;

use crate::compare::{Cell, MapFigures, WeightedSum};
use crate::icons::{self, Icon};
use crate::lane::Lane;
use crate::panes::context::PaneContext;
use crate::state::Scene;
use crate::theme::{self, space};

/// Side of the menu button, in points.
const MENU_SIDE: f32 = 20.0;

/// Room for the outline of a photo, in points.
const CROP_SIZE: Vec2 = vec2(24.0, 14.0);

/// What a click in a lane's menu asks for.
enum Choice {
    Rename(String),
    Own(bool),
    Remove,
}

/// A title that is only words.
pub(super) fn plain(ui: &Ui, strip: Rect, title: &str) {
    text(ui, strip, strip.left(), title);
}

/// How much of a photo the model sees, at the right end of its title: the photo's outline, and in it what was cut out.
pub(super) fn crop(ui: &Ui, strip: Rect, scene: &Scene) {
    let Some((width, height)) = scene.seen() else {
        return;
    };
    let (whole_width, whole_height) = scene.original_size_px;
    let whole = vec2(whole_width as f32, whole_height as f32);
    let size = whole * (CROP_SIZE / whole).min_elem();
    let outline = Rect::from_center_size(pos2(strip.right() - CROP_SIZE.x / 2.0, strip.center().y), size);
    let color = theme::of(ui).canvas_text;
    let seen = Rect::from_center_size(outline.center(), size * vec2(width, height));
    ui.painter_at(strip).rect_filled(seen, 0.0, color.gamma_multiply(0.5));
    ui.painter_at(strip)
        .rect_stroke(outline, 0.0, Stroke::new(1.0, color), StrokeKind::Inside);
    let response = ui.interact(outline, ui.make_persistent_id("crop"), Sense::hover());
    let words = crate::state::sentence_case(&scene.fit_in_words());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
    response.on_hover_text(words);
}

/// A lane's title: selects the lane when it is clicked, and holds its menu when there are several.
pub(super) fn lane(ui: &mut Ui, studio: &mut PaneContext<'_>, index: usize, strip: Rect, cell: &Cell) {
    let several = studio.state.lanes().len() > 1;
    let range_levels = studio.looking.comparing.range_levels;
    let figures = match cell {
        Cell::Map(sum, _) => map_figures(ui, sum, range_levels),
        _ => None,
    };
    let theme = theme::of(ui);
    let note = note(ui, studio, index).or(figures.map(|figures| (in_words(figures), theme.canvas_text)));
    let mut right = strip.right();
    if several {
        right -= MENU_SIDE + space::TIGHT;
        select(ui, studio, index, strip.with_max_x(right));
        menu(ui, studio, index, strip);
    }
    let left = if several {
        swatches(ui, studio, index, strip)
    } else {
        strip.left()
    };
    let title = match cell {
        Cell::Map(_, formula) => formula.clone(),
        Cell::Layer(picture) => picture.title.clone(),
        Cell::Image(_, Some(other)) => other.clone(),
        _ if several => studio.state.lane_name(index),
        _ => step_title(studio),
    };
    let end = text(ui, strip.with_max_x(right), left, &title);
    if let Some((note, color)) = note {
        let room = Rect::from_min_max(pos2(end + space::ITEM, strip.top()), pos2(right, strip.bottom()));
        let painter = ui.painter_at(room);
        let width_of = |words: &str| {
            painter
                .layout_no_wrap(words.to_owned(), theme::small_font(), color)
                .size()
                .x
        };
        // Less than all of a number would be another one.
        let parts = [note.as_str(), note.split(',').next().unwrap_or_default()];
        let fitting = parts.into_iter().find(|words| width_of(words) <= room.width());
        let words = fitting.unwrap_or(if figures.is_some() { "" } else { parts[1] });
        let mut job = LayoutJob::simple_singleline(words.to_owned(), theme::small_font(), color);
        job.wrap = TextWrapping::truncate_at_width(room.width());
        let galley = painter.layout_job(job);
        let at = room.right_center() - vec2(galley.size().x, galley.size().y / 2.0);
        painter.galley(at, galley, color);
    }
}

/// Draws a title; where it ends.
fn text(ui: &Ui, strip: Rect, left: f32, text: &str) -> f32 {
    let at = pos2(left, strip.center().y);
    let color = theme::of(ui).canvas_text;
    let painter = ui.painter_at(strip);
    painter
        .text(at, Align2::LEFT_CENTER, text, theme::strong_font(), color)
        .right()
}

/// What a single lane's title says: its step.
fn step_title(studio: &PaneContext<'_>) -> String {
    let state = &studio.state;
    let Some((lane, step)) = state.lane().zip(state.shown_step()) else {
        return "Mix".to_owned();
    };
    if step == lane.steps() {
        return "Result".to_owned();
    }
    let sigma = lane.sigmas.get(step).copied().filter(|sigma| sigma.is_finite());
    let sigma = sigma.map(|sigma| format!(" · σ {sigma:.3}")).unwrap_or_default();
    format!(
        "Step {} of {}{sigma} · {}",
        step + 1,
        lane.steps(),
        state.shown.view.symbol()
    )
}

/// Why a lane's image is not what the Mixer says.
fn note(ui: &Ui, studio: &PaneContext<'_>, index: usize) -> Option<(String, Color32)> {
    let theme = theme::of(ui);
    let state = &studio.state;
    let lacking = state.lacking_classes(index);
    if !lacking.is_empty() {
        let words = format!("Without {}, which the checkpoint lacks", lacking.join(" and "));
        return Some((words, theme.canvas_note));
    }
    let slot = state.lanes().get(index)?;
    let lane: &Lane = slot.result.as_ref()?;
    let replaced = |run: &crate::run::ActiveRun| run.run != lane.run && run.has_lane(slot.setup.id);
    if state.runs.active.as_ref().is_some_and(replaced) {
        Some(("Mix before this one".to_owned(), theme.canvas_text))
    } else if state.runs.active.is_none() && state.lane_is_stale(index) {
        Some(("Made with other settings".to_owned(), theme.canvas_note))
    } else {
        None
    }
}

/// A map with the end of its scale, told from others by its images and their weights.
#[derive(Clone, Copy)]
struct MapKey<'a>(&'a WeightedSum, u8);

impl Hash for MapKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for (image, weight) in &self.0.parts {
            (image.pixels.as_ptr().addr(), weight.to_bits()).hash(state);
        }
        self.1.hash(state);
    }
}

/// Figures with the images that they are of: as long as these are kept, no others have their addresses.
struct KeptFigures(
    Option<MapFigures>,
    #[expect(dead_code, reason = "kept for its address")] WeightedSum,
);

#[derive(Default)]
struct ComputeFigures;

impl ComputerMut<MapKey<'_>, KeptFigures> for ComputeFigures {
    fn compute(&mut self, MapKey(sum, range_levels): MapKey<'_>) -> KeptFigures {
        KeptFigures(sum.figures(range_levels), sum.clone())
    }
}

/// What a map amounts to; computed once for as long as it is shown.
fn map_figures(ui: &Ui, sum: &WeightedSum, range_levels: u8) -> Option<MapFigures> {
    ui.memory_mut(|memory| {
        let cache = memory.caches.cache::<FrameCache<KeptFigures, ComputeFigures>>();
        cache.get(MapKey(sum, range_levels)).0
    })
}

fn in_words(figures: MapFigures) -> String {
    let MapFigures { rms_levels, beyond } = figures;
    // A few pixels beyond the scale hide nothing.
    if beyond < 0.01 {
        format!("RMS {rms_levels:.1}")
    } else {
        format!("RMS {rms_levels:.1}, {:.0} % off the scale", 100.0 * beyond)
    }
}

/// One dot per class in the lane; where the name begins.
fn swatches(ui: &Ui, studio: &PaneContext<'_>, index: usize, strip: Rect) -> f32 {
    let request = studio.state.request_of(index);
    let mut left = strip.left();
    for (place, class) in studio.state.known_classes().enumerate() {
        if request.sampling.mix.ratio(class) > 0.0 {
            let center = pos2(left + 4.0, strip.center().y);
            ui.painter_at(strip)
                .circle_filled(center, 4.0, theme::of(ui).class(place));
            left += 11.0;
        }
    }
    left + 1.0
}

fn select(ui: &Ui, studio: &mut PaneContext<'_>, index: usize, strip: Rect) {
    let theme = theme::of(ui);
    let name = studio.state.lane_name(index);
    let selected = studio.state.selected_lane() == index;
    let response = ui.interact(strip, ui.make_persistent_id(("lane", index)), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::RadioButton, true, selected, format!("lane: {name}")));
    if selected || response.hovered() || response.has_focus() {
        let color = if selected { theme.accent_line } else { theme.canvas_text };
        let line = strip.with_min_y(strip.bottom() - 4.0).with_max_y(strip.bottom() - 2.0);
        ui.painter()
            .rect_filled(line.with_max_x(strip.right() + MENU_SIDE + space::TIGHT), 1.0, color);
    }
    let response = response.on_hover_text("Click to edit this lane in the Mixer, and to see its spectrum and steps");
    if response.clicked() {
        studio.state.select_lane(index);
    }
}

fn menu(ui: &mut Ui, studio: &mut PaneContext<'_>, index: usize, strip: Rect) {
    let center = pos2(strip.right() - MENU_SIDE / 2.0, strip.center().y);
    let rect = Rect::from_center_size(center, Vec2::splat(MENU_SIDE));
    let name = studio.state.lane_name(index);
    let mut choice = None;
    let response = ui
        .scope_builder(UiBuilder::new().max_rect(rect), |ui| {
            ui.spacing_mut().interact_size = Vec2::splat(MENU_SIDE);
            let button = Button::new("")
                .min_size(Vec2::splat(MENU_SIDE))
                .frame_when_inactive(false);
            // It holds a text field, which is clicked before it is typed into.
            let stays = MenuConfig::new().close_behavior(PopupCloseBehavior::CloseOnClickOutside);
            let (response, _) = MenuButton::from_button(button).config(stays).ui(ui, |ui| {
                ui.set_min_width(220.0);
                choice = choices(ui, studio, index);
            });
            response
        })
        .inner;
    let color = theme::of(ui).canvas_text;
    icons::paint(ui.painter(), rect.shrink(4.0), Icon::MORE, color);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Lane menu: {name}")));
    match choice {
        Some(Choice::Rename(name)) => studio.state.rename_lane(index, &name),
        Some(Choice::Own(own)) => {
            studio.state.set_lane_own(index, own);
            studio.state.select_lane(index);
        }
        Some(Choice::Remove) => studio.state.remove_lane(index),
        None => {}
    }
}

fn choices(ui: &mut Ui, studio: &PaneContext<'_>, index: usize) -> Option<Choice> {
    let setup = &studio.state.lanes().get(index)?.setup;
    let mut choice = None;
    let mut name = setup.name.clone().unwrap_or_default();
    let hint = studio.state.lane_name(index);
    let field = ui.add_sized(
        vec2(ui.available_width(), space::ROW),
        TextEdit::singleline(&mut name).hint_text(hint),
    );
    field.widget_info(|| WidgetInfo::labeled(Role::TextInput, true, "Lane name"));
    if field.changed() {
        choice = Some(Choice::Rename(name));
    }
    let mut own = setup.own.is_some();
    let is_branch = studio.state.request_of(index).branch.is_some();
    if setup.kind == LaneKind::Sampled && !is_branch {
        let check = ui.checkbox(&mut own, "Settings of its own");
        if check
            .on_hover_text("Off, the lane follows the settings that all lanes share")
            .changed()
        {
            choice = Some(Choice::Own(own));
        }
    }
    if ui
        .add(Button::new("Remove this lane").frame_when_inactive(false))
        .clicked()
    {
        choice = Some(Choice::Remove);
        ui.close();
    }
    choice
}
