//! The Viewport: the scene beside the chosen step, under one zoom, on neutral grey; messages lie on top.

use egui::{Align, Align2, Color32, Layout, Rect, RichText, Role, Sense, Stroke, Ui, Vec2, WidgetInfo, pos2};
use mdsd3_engine::protocol::Rgba8;

use super::read_out::{Placed, read_out};
use super::{PaneContext, banners};
use crate::commands::Command;
use crate::icons::Icon;
use crate::lane::Lane;
use crate::state::ViewChoice;
use crate::theme::{self, space};
use crate::widgets::{empty_state, icon_button, image_at, segmented};
use crate::zoom::{Frame, Zoom, is_smoothed};

/// Height of an image's title strip, in points.
const TITLE_HEIGHT: f32 = 26.0;

/// Draws the pane.
pub fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    header(ui, studio);
    ui.add_space(space::TIGHT);
    let canvas = ui.available_rect_before_wrap();
    let theme = theme::of(ui);
    ui.painter().rect_filled(canvas, f32::from(space::CORNER), theme.canvas);
    let cells = cells(canvas).map(|cell| (cell, image_area(cell)));
    let response = ui.interact(canvas, ui.make_persistent_id("canvas"), Sense::click_and_drag());
    let scene = studio.state.scene.as_ref().map(|scene| scene.image.clone());
    let step = studio.state.shown_frame().map(|frame| frame.image.clone());
    if let Some(image) = scene.as_ref().or(step.as_ref()) {
        navigate(ui, studio, &response, &cells.map(|(_, area)| area), image);
    }
    let [(left, left_area), (right, right_area)] = cells;
    let zoom = studio.looking.zoom;
    let scene = scene.as_ref().map(|image| place(ui, zoom, image, left_area));
    let step = step.as_ref().map(|image| place(ui, zoom, image, right_area));
    title(ui, title_strip(left, scene.as_ref()), "Scene", None);
    step_title(ui, studio, title_strip(right, step.as_ref().or(scene.as_ref())));
    match &scene {
        Some(placed) => draw(ui, studio, placed, "Scene image"),
        None => no_scene(ui, studio, canvas),
    }
    if let Some(placed) = &step {
        draw(ui, studio, placed, "Step image");
    } else if let Some(scene) = &scene {
        let blank = place(ui, zoom, scene.image, right_area);
        no_step(ui, studio, blank.rect.intersect(blank.area));
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
            let can_save = studio.state.finished_run().is_some();
            let save = ui.add_enabled_ui(can_save, |ui| icon_button(ui, Icon::Save, Command::SaveImage.label()));
            if save.inner.clicked() {
                studio.commands.push(Command::SaveImage);
            }
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
            let text = RichText::new(scale_text(studio)).color(theme::of(ui).text_weak);
            let label = ui.add(egui::Label::new(text).truncate());
            if let Some((width, height)) = studio.state.scene.as_ref().map(|scene| scene.original_size_px) {
                label.on_hover_text(format!("Fitted from a photo of {width} × {height} px"));
            }
        });
    });
}

/// "256 × 256 px, shown at 200 %", and whether pixels are smoothed.
fn scale_text(studio: &PaneContext<'_>) -> String {
    let Some(scene) = &studio.state.scene else {
        return String::new();
    };
    let scale = studio.looking.shown_scale;
    let smoothed = if is_smoothed(scale) { ", smoothed" } else { "" };
    let (width, height) = (scene.image.width, scene.image.height);
    format!("{width} × {height} px, shown at {:.0} %{smoothed}", scale * 100.0)
}

/// Two equal cells, side by side where there is room, else one above the other.
fn cells(canvas: Rect) -> [Rect; 2] {
    let inner = canvas.shrink(space::ITEM);
    if inner.width() >= inner.height() * 0.9 {
        let (left, right) = inner.split_left_right_at_fraction(0.5);
        [left.with_max_x(left.max.x - 4.0), right.with_min_x(right.min.x + 4.0)]
    } else {
        let (top, bottom) = inner.split_top_bottom_at_fraction(0.5);
        [top.with_max_y(top.max.y - 4.0), bottom.with_min_y(bottom.min.y + 4.0)]
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

fn place<'a>(ui: &Ui, zoom: Zoom, image: &'a Rgba8, area: Rect) -> Placed<'a> {
    let frame = Frame {
        image,
        area,
        pixels_per_point: ui.pixels_per_point(),
    };
    Placed {
        image,
        area,
        rect: zoom.place(&frame),
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

/// Drag to move, wheel or pinch to magnify around the pointer, double-click to fit.
fn navigate(ui: &Ui, studio: &mut PaneContext<'_>, response: &egui::Response, areas: &[Rect; 2], image: &Rgba8) {
    let pointer = response.hover_pos();
    let area = areas
        .iter()
        .find(|area| pointer.is_some_and(|at| area.contains(at)))
        .unwrap_or(&areas[0]);
    let frame = Frame {
        image,
        area: *area,
        pixels_per_point: ui.pixels_per_point(),
    };
    let zoom = &mut studio.looking.zoom;
    if response.double_clicked() {
        *zoom = Zoom::default();
    }
    if response.dragged() {
        *zoom = zoom.dragged(response.drag_delta(), &frame);
        ui.ctx().set_cursor_icon(egui::CursorIcon::Grabbing);
    }
    if let Some(pointer) = pointer {
        let factor = ui.input(|input| input.zoom_delta() * (input.smooth_scroll_delta().y * 0.005).exp());
        if (factor - 1.0).abs() > 1e-4 {
            *zoom = zoom.zoomed(factor, pointer, &frame);
        }
    }
    studio.looking.shown_scale = zoom.pixel_scale(&frame);
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
    } else if state.lane.as_ref().is_some_and(Lane::has_frames) {
        // Only x_t can be missing: it is decoded after the run, so that sampling gets all of the processor.
        (
            "Decoding x_t",
            "The noisy latents of all steps are decoded after the run; x̂0 is there at once.",
        )
    } else if state.active.is_some() {
        ("Mixing", "The first step appears here in a moment.")
    } else if state.lane.is_some() {
        ("No step was finished", "Press Mix to start again.")
    } else if state.model.is_none() {
        ("No model", "See the message above, or the log.")
    } else {
        let hint = "Set how much of each degradation you want on the left, then press Mix (Space).";
        ("No mix yet", hint)
    };
    empty_state(ui, area, Icon::Play, title, hint, color);
}
