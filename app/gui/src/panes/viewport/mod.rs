//! The Viewport: the scene beside the chosen step of every lane, under one zoom, on neutral grey; messages lie on top.

mod cell;
mod compare_bar;
mod empty;
mod grid;
mod header;
mod lane_title;
mod legend;
mod read_out;
mod regions;

use std::sync::Arc;
use std::time::Duration;

use egui::{Rect, Role, Sense, Ui, WidgetInfo};
use mdsd3_words::image::Rgba8;

use super::{Pane, PaneContext, WeatherLook, banners};
use crate::colormap::ColorMap;
use crate::compare::{Cell, CompareMode};
use crate::icons::Icon;
use crate::pane_id::{PaneFacts, PaneId, Place};
use crate::picture::{Picture, Source};
use crate::state::State;
use crate::theme::{self, space};
use crate::zoom::{Frame, Zoom};
use grid::{READ_OUT_HEIGHT, TITLE_HEIGHT};
use read_out::{Item, Placed, Values, read_out};

/// A title that is as wide as its image is at least this wide, in points.
const MIN_TITLE_WIDTH: f32 = 120.0;

/// Scene and step side by side.
pub const PANE: PaneId = PaneId::new(&PaneFacts {
    key: "Viewport",
    icon: Icon::PICTURE,
    command: "Show the viewport",
    shortcuts: &[],
    place: Place::Middle,
});

pub(super) struct ViewportPane;

impl Pane for ViewportPane {
    fn title(&self, _state: &State) -> String {
        "Viewport".to_owned()
    }

    fn show(&self, ui: &mut Ui, studio: &mut PaneContext<'_>) {
        show(ui, studio);
    }
}

fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    header::header(ui, studio);
    compare_bar::show(ui, studio);
    ui.add_space(space::TIGHT);
    let comparing = studio.looking.comparing;
    let spectrum_needs_clean = studio.looking.spectrum.needs_clean();
    studio
        .state
        .set_wants_clean(comparing.needs_clean() || spectrum_needs_clean);
    if comparing.mode == CompareMode::Flicker {
        ui.ctx()
            .request_repaint_after(Duration::from_secs_f64(studio.looking.comparing.flicker_secs / 2.0));
    }
    let canvas = ui.available_rect_before_wrap();
    let theme = theme::of(ui);
    ui.painter().rect_filled(canvas, f32::from(space::CORNER), theme.canvas);
    let response = ui.interact(canvas, ui.make_persistent_id("canvas"), Sense::click_and_drag());
    want_weather(studio);
    let shown = Shown::new(studio);
    let inner = canvas.shrink(space::ITEM);
    let room = inner.with_max_y(inner.max.y - READ_OUT_HEIGHT + space::ITEM);
    let places = grid::cells(room, shown.lanes.len() + 1, shown.aspect());
    if let Some((_, image)) = &shown.first {
        let areas: Vec<Rect> = places.iter().map(|place| place.area).collect();
        navigate(ui, studio, &response, &areas, image);
    }
    let items = draw_all(ui, studio, canvas, &places, &shown);
    read_out(ui, canvas, response.hover_pos(), &items);
    banners::show(ui, studio, canvas);
    banners::drop_hint(ui, canvas, studio.looking.weather.shows_depth);
}

/// Asks for what is shown of the weather, and lets go what isn't.
fn want_weather(studio: &mut PaneContext<'_>) {
    let look = &studio.looking.weather;
    let state = &mut *studio.state;
    if look.shows_depth || !state.settings().weather.regions.is_empty() {
        state.want_scene_weather();
    }
    if look.shows_layers {
        state.want_layers();
    } else {
        state.forget_layers();
    }
}

/// What this frame shows.
struct Shown {
    /// The first cell's title and image: the photo, its depth, or the clean branch when lanes are compared with it.
    first: Option<(&'static str, Rgba8)>,
    /// The map that is in the first cell.
    depth: Option<Arc<Picture>>,
    /// One per lane.
    lanes: Vec<Cell>,
}

impl Shown {
    fn new(studio: &mut PaneContext<'_>) -> Self {
        let depth = depth_picture(studio);
        let layer = layer_picture(studio);
        let (state, comparing) = (&studio.state, studio.looking.comparing);
        let clean = state.clean_lane().filter(|_| comparing.needs_clean());
        let clean = clean.and_then(|lane| Some(("Clean branch", state.frame_of(lane)?.image.clone())));
        let map = depth.as_ref().map(|picture| ("Depth", picture.image.clone()));
        let scene = || state.scene.as_ref().map(|scene| ("Scene", scene.image.clone()));
        let cell = |index| match &layer {
            Some((lane, picture)) if *lane == index => Cell::Layer(Arc::clone(picture)),
            _ => comparing.cell(state, index, state.now_secs()),
        };
        Self {
            first: map.or(clean).or_else(scene),
            depth,
            lanes: (0..state.lanes().len()).map(cell).collect(),
        }
    }

    /// Width over height.
    fn aspect(&self) -> f32 {
        let first = self.first.as_ref();
        first.map_or(1.0, |(_, image)| image.width as f32 / image.height.max(1) as f32)
    }
}

/// The depth as a picture, when it is shown and known.
fn depth_picture(studio: &mut PaneContext<'_>) -> Option<Arc<Picture>> {
    let (look, map) = (&mut studio.looking.weather, studio.looking.color_map);
    let view = studio.state.scene_weather().filter(|_| look.shows_depth)?.ok()?;
    look.pictures.get(&Source::Depth(Arc::clone(view)), map)
}

/// The chosen layer as a picture, with its lane's place, when layers are shown and known.
pub(crate) fn layer_picture(studio: &mut PaneContext<'_>) -> Option<(usize, Arc<Picture>)> {
    chosen_layer(studio.state, &mut studio.looking.weather, studio.looking.color_map)
}

/// The same for the commands.
pub(crate) fn chosen_layer(state: &State, look: &mut WeatherLook, map: ColorMap) -> Option<(usize, Arc<Picture>)> {
    let lane = state.layered_lane()?;
    let layers = state.layers().filter(|_| look.shows_layers)?.ok()?;
    let source = Source::Layer(Arc::clone(layers), look.layer_index(layers));
    Some((lane, look.pictures.get(&source, map)?))
}

/// Draws the photo and the lanes into their places; what the read-out then needs.
fn draw_all<'a>(
    ui: &mut Ui,
    studio: &mut PaneContext<'_>,
    canvas: Rect,
    places: &[grid::Cell],
    shown: &'a Shown,
) -> Vec<Item<'a>> {
    let zoom = studio.looking.zoom;
    let (Some((title, first)), Some((place, others))) = (&shown.first, places.split_first()) else {
        empty::no_scene(ui, studio, canvas);
        return Vec::new();
    };
    let placed = place_image(ui, zoom, first, place.area);
    let strip = title_strip(place.rect, &placed);
    let source = studio
        .state
        .scene_weather()
        .filter(|_| shown.depth.is_some())
        .and_then(Result::ok);
    let source = source.map_or(String::new(), |view| format!(", {}", view.depth.source));
    lane_title::plain(ui, strip, &format!("{title}{source}"));
    if let Some(scene) = studio.state.scene.as_ref().filter(|_| *title != "Clean branch") {
        lane_title::crop(ui, strip, scene);
    }
    cell::image(ui, studio, &placed, first);
    let visible = placed.rect.intersect(placed.area);
    let response = ui.interact(visible, ui.make_persistent_id("first image"), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, format!("{title} image")));
    regions::show(ui, studio, &placed);
    if let Some(picture) = &shown.depth {
        legend::show(ui, &placed, picture);
    }
    let mut items = vec![Item {
        name: title.to_lowercase(),
        placed,
        values: shown.depth.as_deref().map_or(Values::Levels, Values::Map),
    }];
    for (index, (place, cell)) in others.iter().zip(&shown.lanes).enumerate() {
        items.extend(draw_lane(ui, studio, index, place, (cell, first)));
    }
    items
}

fn draw_lane<'a>(
    ui: &mut Ui,
    studio: &mut PaneContext<'_>,
    index: usize,
    place: &grid::Cell,
    (cell, like): (&'a Cell, &'a Rgba8),
) -> Option<Item<'a>> {
    let several = studio.state.lanes().len() > 1;
    let (image, values) = match cell {
        Cell::Image(image, _) | Cell::Wipe(image, _) => (Some(image), Values::Levels),
        Cell::Map(sum, _) => (sum.parts.first().map(|(image, _)| image), Values::Sum(sum)),
        Cell::Layer(picture) => (Some(&picture.image), Values::Map(picture)),
        Cell::NoImage | Cell::Missing(_) => (None, Values::Levels),
    };
    let placed = place_image(ui, studio.looking.zoom, image.unwrap_or(like), place.area);
    lane_title::lane(ui, studio, index, title_strip(place.rect, &placed), cell);
    let visible = placed.rect.intersect(placed.area);
    match cell {
        Cell::NoImage => {
            let lane = studio.state.lanes().get(index).and_then(|slot| slot.result.as_ref());
            empty::no_step(ui, studio, lane, visible);
            return None;
        }
        Cell::Missing(why) => {
            empty::nothing_to_compare(ui, visible, why);
            return None;
        }
        Cell::Image(..) | Cell::Wipe(..) | Cell::Map(..) | Cell::Layer(_) => {}
    }
    let name = studio.state.lane_name(index);
    let label = match cell {
        Cell::Map(_, formula) => format!("Map of {formula}"),
        Cell::Layer(picture) => format!("Layer {}", picture.title),
        _ if several => format!("{name} image"),
        _ => "Step image".to_owned(),
    };
    cell::draw(ui, studio, index, &placed, cell, &label);
    let name = if several { name } else { "step".to_owned() };
    if let Cell::Layer(picture) = cell {
        legend::show(ui, &placed, picture);
    }
    Some(Item { name, placed, values })
}

fn place_image<'a>(ui: &Ui, zoom: Zoom, image: &'a Rgba8, area: Rect) -> Placed<'a> {
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
    // A small image leaves too little room for its own title.
    let sides = if visible.width() >= MIN_TITLE_WIDTH {
        visible.x_range()
    } else {
        cell.x_range()
    };
    Rect::from_x_y_ranges(sides, top - TITLE_HEIGHT..=top)
}
