//! The Viewport: the scene beside the chosen step, under one zoom, on neutral grey; messages lie on top.

use egui::{Align, Align2, Color32, Layout, Rect, RichText, Role, Sense, Stroke, Ui, Vec2, WidgetInfo, pos2, vec2};
use mdsd3_engine::protocol::Rgba8;

use super::{PaneContext, banners};
use crate::commands::Command;
use crate::icons::Icon;
use crate::state::ViewChoice;
use crate::theme::{self, space};
use crate::widgets::{empty_state, image_at, segmented};

/// Height of an image's title strip, in points.
const TITLE_HEIGHT: f32 = 26.0;

/// Largest magnification, in screen pixels per image pixel.
const MAX_SCALE: f32 = 32.0;

/// Magnification and position, shared by all images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Zoom {
    /// Screen pixels per image pixel; `None` fits the image into its area.
    pub scale: Option<f32>,
    /// The point of the image that is in the middle of its area, in shares of its sides.
    pub center: Vec2,
}

impl Default for Zoom {
    fn default() -> Self {
        Self {
            scale: None,
            center: vec2(0.5, 0.5),
        }
    }
}

/// An image and where it is drawn.
struct Placed<'a> {
    image: &'a Rgba8,
    /// The part of the screen that it may cover.
    area: Rect,
    /// Where its whole would be.
    rect: Rect,
}

impl Placed<'_> {
    /// The pixel under a screen position.
    fn pixel_at(&self, position: egui::Pos2) -> Option<(u32, u32)> {
        if !self.area.contains(position) || !self.rect.contains(position) {
            return None;
        }
        let share = (position - self.rect.min) / self.rect.size();
        let x = ((share.x * self.image.width as f32) as u32).min(self.image.width - 1);
        let y = ((share.y * self.image.height as f32) as u32).min(self.image.height - 1);
        Some((x, y))
    }

    fn value(&self, (x, y): (u32, u32)) -> Option<[u8; 3]> {
        let at = (y * self.image.width + x) as usize * 4;
        self.image
            .pixels
            .get(at..at + 3)
            .and_then(|bytes| bytes.try_into().ok())
    }
}

/// Draws the pane.
pub fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    header(ui, studio);
    ui.add_space(space::TIGHT);
    let canvas = ui.available_rect_before_wrap();
    let theme = theme::of(ui);
    ui.painter().rect_filled(canvas, f32::from(space::CORNER), theme.canvas);
    let (left, right) = cells(canvas);
    let response = ui.interact(canvas, ui.make_persistent_id("canvas"), Sense::click_and_drag());
    let state = &studio.state;
    let scene = state.scene.as_ref().map(|scene| scene.image.clone());
    let step = state.shown_frame().map(|frame| frame.image.clone());
    handle_zoom(
        ui,
        studio,
        &response,
        image_area(left),
        scene.as_ref().or(step.as_ref()),
    );

    let zoom = studio.looking.zoom;
    let scene = scene.as_ref().map(|image| place(ui, zoom, image, image_area(left)));
    let step = step.as_ref().map(|image| place(ui, zoom, image, image_area(right)));
    title(ui, title_strip(left, scene.as_ref()), "Scene", None);
    step_title(ui, studio, title_strip(right, step.as_ref().or(scene.as_ref())));
    match &scene {
        Some(placed) => draw(ui, studio, placed, "Scene image"),
        None => no_scene(ui, studio, canvas),
    }
    match &step {
        Some(placed) => draw(ui, studio, placed, "Step image"),
        None => {
            if let Some(image) = scene.as_ref().map(|placed| placed.image) {
                let blank = place(ui, zoom, image, image_area(right));
                no_step(ui, studio, blank.rect.intersect(blank.area));
            }
        }
    }
    read_out(ui, canvas, response.hover_pos(), scene.as_ref(), step.as_ref());
    banners::show(ui, studio, canvas);
    banners::drop_hint(ui, canvas);
}

fn header(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    ui.horizontal(|ui| {
        let mut view = studio.state.view;
        let choices = [
            (
                ViewChoice::Prediction,
                "x̂0",
                "The clean-data prediction at each step: what the result would be if sampling ended here",
            ),
            (ViewChoice::Noisy, "x_t", "The noisy latents that each step starts from"),
        ];
        if segmented(ui, "show", &mut view, &choices) {
            studio.commands.push(Command::ToggleView);
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let mut chosen = match studio.looking.zoom.scale {
                None => Some(Command::ZoomFit),
                Some(scale) if (scale - 1.0).abs() < 1e-3 => Some(Command::ZoomOriginal),
                Some(_) => None,
            };
            let choices = [
                (Some(Command::ZoomFit), "Fit", "As large as fits (F, or double-click)"),
                (
                    Some(Command::ZoomOriginal),
                    "100 %",
                    "One image pixel per screen pixel (1)",
                ),
            ];
            if segmented(ui, "zoom", &mut chosen, &choices) {
                studio.commands.extend(chosen);
            }
            let text = RichText::new(scale_text(ui, studio)).color(theme::of(ui).text_weak);
            ui.add(egui::Label::new(text).truncate());
        });
    });
}

/// "256 × 256 px, shown at 200 %", and whether pixels are smoothed.
fn scale_text(ui: &Ui, studio: &PaneContext<'_>) -> String {
    let Some(scene) = &studio.state.scene else {
        return String::new();
    };
    let (left, _) = cells(
        ui.ctx()
            .data(|data| data.get_temp::<Rect>(canvas_id()))
            .unwrap_or(Rect::ZERO),
    );
    let scale = pixel_scale(ui, studio.looking.zoom, &scene.image, image_area(left));
    let smoothed = if is_smoothed(scale) { ", smoothed" } else { "" };
    let (width, height) = scene.original_size_px;
    let fitted = if (width, height) == (scene.image.width, scene.image.height) {
        String::new()
    } else {
        format!(" from {width} × {height}")
    };
    format!(
        "{} × {} px{fitted}, shown at {:.0} %{smoothed}",
        scene.image.width,
        scene.image.height,
        scale * 100.0
    )
}

fn canvas_id() -> egui::Id {
    egui::Id::unique("viewport canvas")
}

/// Two equal cells, side by side where there is room, else one above the other.
fn cells(canvas: Rect) -> (Rect, Rect) {
    let inner = canvas.shrink(space::ITEM);
    if inner.width() >= inner.height() * 0.9 {
        let (left, right) = inner.split_left_right_at_fraction(0.5);
        (left.with_max_x(left.max.x - 4.0), right.with_min_x(right.min.x + 4.0))
    } else {
        let (top, bottom) = inner.split_top_bottom_at_fraction(0.5);
        (top.with_max_y(top.max.y - 4.0), bottom.with_min_y(bottom.min.y + 4.0))
    }
}

/// The part of a cell under its title and above the read-out.
fn image_area(cell: Rect) -> Rect {
    let area = Rect::from_min_max(
        pos2(cell.min.x, cell.min.y + TITLE_HEIGHT),
        pos2(cell.max.x, cell.max.y - 18.0),
    );
    if area.is_positive() {
        area
    } else {
        Rect::from_min_size(cell.min, Vec2::splat(1.0))
    }
}

/// Screen pixels per image pixel.
fn pixel_scale(ui: &Ui, zoom: Zoom, image: &Rgba8, area: Rect) -> f32 {
    zoom.scale.unwrap_or_else(|| {
        let room = area.size() * ui.pixels_per_point();
        let fit = (room.x / image.width as f32)
            .min(room.y / image.height as f32)
            .max(0.01);
        // From 2 on, whole multiples: every image pixel then covers the same number of screen pixels.
        if fit >= 2.0 { fit.floor() } else { fit }
    })
}

/// Below twice the size pixels can't be squares of equal size, so they are smoothed (and the header says so); at whole
/// size nothing needs smoothing.
fn is_smoothed(scale: f32) -> bool {
    scale < 2.0 && (scale - 1.0).abs() > 1e-3
}

fn place<'a>(ui: &Ui, zoom: Zoom, image: &'a Rgba8, area: Rect) -> Placed<'a> {
    let pixels_per_point = ui.pixels_per_point();
    let scale = pixel_scale(ui, zoom, image, area) / pixels_per_point;
    let size = vec2(image.width as f32, image.height as f32) * scale;
    let center = if zoom.scale.is_some() {
        zoom.center
    } else {
        Zoom::default().center
    };
    let min = area.center() - size * center;
    let on_grid = |value: f32| (value * pixels_per_point).round() / pixels_per_point;
    Placed {
        image,
        area,
        rect: Rect::from_min_size(pos2(on_grid(min.x), on_grid(min.y)), size),
    }
}

fn draw(ui: &Ui, studio: &mut PaneContext<'_>, placed: &Placed<'_>, name: &str) {
    let scale = placed.rect.width() * ui.pixels_per_point() / placed.image.width.max(1) as f32;
    let texture = studio.textures.full(ui.ctx(), placed.image, !is_smoothed(scale));
    let visible = placed.rect.intersect(placed.area);
    image_at(ui, placed.rect, placed.area, texture);
    let response = ui.interact(visible, ui.make_persistent_id(name), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, name));
}

fn handle_zoom(ui: &Ui, studio: &mut PaneContext<'_>, response: &egui::Response, area: Rect, image: Option<&Rgba8>) {
    ui.ctx().data_mut(|data| data.insert_temp(canvas_id(), response.rect));
    let Some(image) = image else {
        return;
    };
    let zoom = &mut studio.looking.zoom;
    let scale = pixel_scale(ui, *zoom, image, area);
    if response.double_clicked() {
        *zoom = Zoom::default();
        return;
    }
    let size_points = vec2(image.width as f32, image.height as f32) * scale / ui.pixels_per_point();
    if response.dragged() && response.drag_delta() != Vec2::ZERO {
        let center = zoom.scale.map_or(Zoom::default().center, |_| zoom.center);
        *zoom = Zoom {
            scale: Some(scale),
            center: clamp_center(center - response.drag_delta() / size_points),
        };
    }
    if response.hovered() {
        let factor = ui.input(|input| input.zoom_delta() * (input.smooth_scroll_delta().y * 0.005).exp());
        if (factor - 1.0).abs() > 1e-4 {
            *zoom = Zoom {
                scale: Some((scale * factor).clamp(0.1, MAX_SCALE)),
                center: zoom.center,
            };
        }
    }
    if response.dragged() {
        ui.ctx().set_cursor_icon(egui::CursorIcon::Grabbing);
    }
}

fn clamp_center(center: Vec2) -> Vec2 {
    center.clamp(Vec2::ZERO, Vec2::splat(1.0))
}

/// The strip right above an image, wherever zoom and the shape of the cell put it.
fn title_strip(cell: Rect, image: Option<&Placed<'_>>) -> Rect {
    let top = image.map_or(cell.min.y + TITLE_HEIGHT, |placed| {
        placed.rect.intersect(placed.area).min.y
    });
    let top = top.max(cell.min.y + TITLE_HEIGHT);
    Rect::from_min_max(pos2(cell.min.x, top - TITLE_HEIGHT), pos2(cell.max.x, top))
}

fn title(ui: &Ui, strip: Rect, text: &str, note: Option<(&str, Color32)>) {
    let theme = theme::of(ui);
    let painter = ui.painter_at(strip);
    let y = strip.center().y;
    painter.text(
        pos2(strip.min.x, y),
        Align2::LEFT_CENTER,
        text,
        theme::strong_font(),
        theme.canvas_text,
    );
    if let Some((note, color)) = note {
        painter.text(
            pos2(strip.max.x, y),
            Align2::RIGHT_CENTER,
            note,
            theme::small_font(),
            color,
        );
    }
}

fn step_title(ui: &Ui, studio: &PaneContext<'_>, strip: Rect) {
    let theme = theme::of(ui);
    let state = &studio.state;
    let Some((lane, step)) = state.lane.as_ref().zip(state.shown_step()) else {
        title(ui, strip, "Mix", None);
        return;
    };
    let text = if step == lane.steps() {
        "Result".to_owned()
    } else {
        let sigma = lane.sigmas.get(step).copied().filter(|sigma| sigma.is_finite());
        let sigma = sigma.map(|sigma| format!(" · σ {sigma:.3}")).unwrap_or_default();
        format!("Step {} of {}{sigma} · {}", step + 1, lane.steps(), state.view.symbol())
    };
    let note = if state.active.as_ref().is_some_and(|active| active.run != lane.run) {
        Some(("Mix before this one", theme.canvas_text))
    } else if state.active.is_none() && state.result_is_stale() {
        Some(("Made with other settings", theme.canvas_note))
    } else {
        None
    };
    title(ui, strip, &text, note);
}

fn no_scene(ui: &mut Ui, studio: &PaneContext<'_>, canvas: Rect) {
    let color = theme::of(ui).canvas_text;
    if studio.state.is_loading_scene() {
        empty_state(
            ui,
            canvas,
            Icon::Picture,
            "Loading the photo",
            "It is decoded and fitted to the model's size.",
            color,
        );
    } else {
        let hint = "Drop a photo here, or press Ctrl+O. PNG, JPEG, WebP, TIFF and BMP are read.";
        empty_state(ui, canvas, Icon::Picture, "No photo", hint, color);
    }
}

fn no_step(ui: &mut Ui, studio: &PaneContext<'_>, area: Rect) {
    let theme = theme::of(ui);
    let state = &studio.state;
    ui.painter().rect_stroke(
        area,
        f32::from(space::CORNER),
        Stroke::new(1.0, theme.canvas_text.gamma_multiply(0.25)),
        egui::StrokeKind::Inside,
    );
    let color = theme.canvas_text;
    let (title, hint) = if state.is_loading_model() {
        ("Loading the model", "Mix is ready as soon as it is loaded.")
    } else if state.active.is_some() {
        ("Mixing", "The first step appears here in a moment.")
    } else if state.lane.as_ref().is_some_and(crate::lane::Lane::has_frames) {
        ("This step has no such image", "Switch between x̂0 and x_t above.")
    } else if state.lane.is_some() {
        ("No step was finished", "Press Mix to start again.")
    } else if state.model.is_none() {
        ("No model", "See the message above, or the log.")
    } else {
        (
            "No mix yet",
            "Set how much of each degradation you want on the left, then press Mix (Space).",
        )
    };
    empty_state(ui, area, Icon::Play, title, hint, color);
}

/// The pixel under the pointer, in both images, at the bottom of the canvas; its twin in the other image is marked.
fn read_out(ui: &Ui, canvas: Rect, pointer: Option<egui::Pos2>, scene: Option<&Placed<'_>>, step: Option<&Placed<'_>>) {
    let theme = theme::of(ui);
    let images = [("scene", scene), ("step", step)];
    let found = pointer.and_then(|at| {
        images
            .iter()
            .find_map(|(_, placed)| placed.and_then(|placed| placed.pixel_at(at)))
    });
    let strip =
        Rect::from_min_max(pos2(canvas.min.x, canvas.max.y - 22.0), canvas.max).shrink2(vec2(space::ITEM + 2.0, 0.0));
    let Some((x, y)) = found else {
        return;
    };
    let number = |value: u32, digits: usize| theme::padded(&value.to_string(), digits);
    let mut text = format!("x {}   y {}", number(x, 4), number(y, 4));
    for (name, placed) in images {
        let Some(placed) = placed else { continue };
        if let Some([r, g, b]) = placed.value((x, y)) {
            let [r, g, b] = [r, g, b].map(|value| number(u32::from(value), 3));
            text.extend(["      ", name, " ", &r, " ", &g, " ", &b]);
        }
        mark(ui, placed, (x, y));
    }
    ui.painter().text(
        strip.left_center(),
        Align2::LEFT_CENTER,
        text,
        theme::small_number_font(),
        theme.canvas_text,
    );
}

fn mark(ui: &Ui, placed: &Placed<'_>, (x, y): (u32, u32)) {
    let share = vec2(
        (x as f32 + 0.5) / placed.image.width as f32,
        (y as f32 + 0.5) / placed.image.height as f32,
    );
    let center = placed.rect.min + placed.rect.size() * share;
    let pixel = placed.rect.width() / placed.image.width as f32;
    let painter = ui.painter_at(placed.area);
    let square = Rect::from_center_size(center, Vec2::splat(pixel.max(5.0)));
    painter.rect_stroke(
        square.expand(1.0),
        0.0,
        Stroke::new(1.0, theme::of(ui).mark_edge),
        egui::StrokeKind::Outside,
    );
    painter.rect_stroke(
        square,
        0.0,
        Stroke::new(1.0, theme::of(ui).mark),
        egui::StrokeKind::Outside,
    );
}
