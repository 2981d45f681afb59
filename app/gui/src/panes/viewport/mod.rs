//! The Viewport: the scene beside the chosen step of every lane, under one zoom, on neutral grey; messages lie on top.

mod empty;
mod grid;
mod header;
mod lane_title;
mod read_out;

use egui::{Rect, Role, Sense, Ui, WidgetInfo, pos2};
use mdsd3_engine::protocol::Rgba8;

use super::{PaneContext, banners};
use crate::theme::{self, space};
use crate::widgets::image_at;
use crate::zoom::{Frame, Zoom, is_smoothed};
use grid::{Cell, READ_OUT_HEIGHT, TITLE_HEIGHT};
use read_out::{Placed, read_out};

/// Draws the pane.
pub fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    header::header(ui, studio);
    ui.add_space(space::TIGHT);
    let canvas = ui.available_rect_before_wrap();
    let theme = theme::of(ui);
    ui.painter().rect_filled(canvas, f32::from(space::CORNER), theme.canvas);
    let response = ui.interact(canvas, ui.make_persistent_id("canvas"), Sense::click_and_drag());
    let shown = Shown::new(studio);
    let inner = canvas.shrink(space::ITEM);
    let room = inner.with_max_y(inner.max.y - READ_OUT_HEIGHT + space::ITEM);
    let cells = grid::cells(room, shown.lanes.len() + 1, shown.aspect());
    if let Some(image) = shown.any() {
        let areas: Vec<Rect> = cells.iter().map(|cell| cell.area).collect();
        navigate(ui, studio, &response, &areas, image);
    }
    let placed = draw_all(ui, studio, canvas, &cells, &shown);
    read_out(ui, canvas, response.hover_pos(), &placed);
    banners::show(ui, studio, canvas);
    banners::drop_hint(ui, canvas);
}

/// The images of this frame.
struct Shown {
    scene: Option<Rgba8>,
    /// One per lane; those without an image yet are `None`.
    lanes: Vec<Option<Rgba8>>,
}

impl Shown {
    fn new(studio: &PaneContext<'_>) -> Self {
        let state = &studio.state;
        let image = |slot: &crate::state::LaneSlot| Some(state.frame_of(slot.result.as_ref()?)?.image.clone());
        Self {
            scene: state.scene.as_ref().map(|scene| scene.image.clone()),
            lanes: state.lanes().iter().map(image).collect(),
        }
    }

    fn any(&self) -> Option<&Rgba8> {
        self.scene.as_ref().or_else(|| self.lanes.iter().flatten().next())
    }

    /// Width over height.
    fn aspect(&self) -> f32 {
        self.any()
            .map_or(1.0, |image| image.width as f32 / image.height.max(1) as f32)
    }
}

/// Draws scene and lanes into their cells; what was placed where, with the names that the read-out uses.
fn draw_all<'a>(
    ui: &mut Ui,
    studio: &mut PaneContext<'_>,
    canvas: Rect,
    cells: &[Cell],
    shown: &'a Shown,
) -> Vec<(String, Placed<'a>)> {
    let zoom = studio.looking.zoom;
    let mut all = Vec::with_capacity(cells.len());
    let Some(scene) = &shown.scene else {
        empty::no_scene(ui, studio, canvas);
        return all;
    };
    let Some((first, others)) = cells.split_first() else {
        return all;
    };
    let placed = place(ui, zoom, scene, first.area);
    lane_title::scene(ui, title_strip(first.rect, &placed));
    draw(ui, studio, &placed, "Scene image");
    all.push(("scene".to_owned(), placed));
    let is_single = shown.lanes.len() == 1;
    for (index, (cell, image)) in others.iter().zip(&shown.lanes).enumerate() {
        let placed = place(ui, zoom, image.as_ref().unwrap_or(scene), cell.area);
        lane_title::lane(ui, studio, index, title_strip(cell.rect, &placed));
        let name = studio.state.lane_name(index);
        if image.is_none() {
            let lane = studio.state.lanes().get(index).and_then(|slot| slot.result.as_ref());
            empty::no_step(ui, studio, lane, placed.rect.intersect(placed.area));
            continue;
        }
        let (label, short) = if is_single {
            ("Step image".to_owned(), "step".to_owned())
        } else {
            (format!("{name} image"), name)
        };
        draw(ui, studio, &placed, &label);
        all.push((short, placed));
    }
    all
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
fn navigate(ui: &Ui, studio: &mut PaneContext<'_>, response: &egui::Response, areas: &[Rect], image: &Rgba8) {
    let pointer = response.hover_pos();
    let under_pointer = areas.iter().find(|area| pointer.is_some_and(|at| area.contains(at)));
    let Some(area) = under_pointer.or(areas.first()) else {
        return;
    };
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
fn title_strip(cell: Rect, image: &Placed<'_>) -> Rect {
    let visible = image.rect.intersect(image.area);
    let top = visible.min.y.max(cell.min.y + TITLE_HEIGHT);
    Rect::from_min_max(pos2(cell.min.x, top - TITLE_HEIGHT), pos2(cell.max.x, top))
}
