//! The Timeline: a film strip with one picture per step; click, drag or use the arrow keys to look at a step.

use egui::{
    Align, Button, EventFilter, Key, Layout, Rangef, Rect, Response, RichText, ScrollArea, Sense, Stroke, StrokeKind,
    Ui, WidgetInfo, pos2, vec2,
};

use super::PaneContext;
use crate::commands::Command;
use crate::icons::Icon;
use crate::lane::{Cursor, Lane};
use crate::theme::{self, space};
use crate::widgets::{caption, empty_state, icon_button};

/// Gap between pictures, in points.
const GAP: f32 = 3.0;

/// Narrowest picture, in points: enough to see a tone.
const NARROWEST: f32 = 18.0;

/// Height of the noise levels and step times under the pictures, in points.
const LABEL_HEIGHT: f32 = 32.0;

/// Sizes of the strip.
#[derive(Debug, Clone, Copy)]
struct Strip {
    /// Pictures: the steps and the result.
    count: usize,
    picture_width: f32,
    picture_height: f32,
}

impl Strip {
    /// As wide as the pictures' shape allows, as narrow as it takes to show all of them.
    fn new(count: usize, aspect: f32, room: egui::Vec2) -> Self {
        let picture_height = (room.y - LABEL_HEIGHT).clamp(24.0, 120.0);
        let share = room.x / count.max(1) as f32 - GAP;
        Self {
            count,
            picture_width: share.clamp(NARROWEST, (picture_height * aspect).max(NARROWEST)),
            picture_height,
        }
    }

    fn width(self) -> f32 {
        self.count as f32 * (self.picture_width + GAP)
    }

    fn index_at(self, offset: f32) -> usize {
        ((offset / (self.picture_width + GAP)).max(0.0) as usize).min(self.count - 1)
    }

    fn picture(self, strip: Rect, index: usize) -> Rect {
        let min = strip.min + vec2(index as f32 * (self.picture_width + GAP), 0.0);
        Rect::from_min_size(min, vec2(self.picture_width, self.picture_height))
    }

    /// Every how many pictures there is room for a label of `width` points.
    fn label_every(self, width: f32) -> usize {
        (width / (self.picture_width + GAP)).ceil().max(1.0) as usize
    }
}

/// Draws the pane.
pub fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let Some(lane) = studio.state.lead() else {
        let rect = ui.available_rect_before_wrap();
        let color = theme::of(ui).text_weak;
        empty_state(
            ui,
            rect,
            Icon::Play,
            "No steps yet",
            "Each step of a mix appears here as it is finished.",
            color,
        );
        return;
    };
    let aspect = studio
        .state
        .scene
        .as_ref()
        .map_or(1.0, |scene| scene.image.width as f32 / scene.image.height.max(1) as f32);
    let count = lane.steps() + 1;
    header(ui, studio);
    ui.add_space(2.0);
    let strip = Strip::new(count, aspect, ui.available_size() - vec2(0.0, 6.0));
    ScrollArea::horizontal().auto_shrink([false, false]).show(ui, |ui| {
        let size = vec2(strip.width(), strip.picture_height + LABEL_HEIGHT);
        let (rect, response) = ui.allocate_exact_size(size, Sense::click_and_drag());
        scrub(ui, studio, strip, rect, &response);
        let shown = studio.state.shown_step();
        for index in 0..count {
            picture(ui, studio, strip, rect, index, shown == Some(index));
        }
        if let Some(lane) = studio.state.lead() {
            labels(ui, lane, strip, rect, shown);
        }
    });
}

fn header(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let theme = theme::of(ui);
    ui.horizontal(|ui| {
        transport(ui, studio);
        let state = &studio.state;
        let Some(lane) = state.lead() else {
            return;
        };
        let title = match state.shown_step() {
            Some(step) if step == lane.steps() => "Result".to_owned(),
            Some(step) => format!("Step {} of {}", step + 1, lane.steps()),
            None => format!("0 of {} steps", lane.steps()),
        };
        ui.label(RichText::new(title).font(theme::strong_font()).color(theme.text_strong));
        if let Some(details) = state.shown_step().map(|step| details(lane, step)) {
            ui.label(
                RichText::new(details)
                    .font(theme::small_number_font())
                    .color(theme.text_weak),
            );
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let can_branch = state.can(Command::BranchHere);
            let help = "Keep the steps before this one and mix the rest with other settings, as a lane of its own (B)";
            let branch = ui.add_enabled(can_branch, Button::new(Command::BranchHere.label()));
            if branch.on_hover_text(help).clicked() {
                studio.commands.push(Command::BranchHere);
            }
            let following = state.cursor == Cursor::Newest && state.active.is_some();
            caption(
                ui,
                if following {
                    "Following the newest step"
                } else {
                    "Drag, or ← → to step"
                },
            );
        });
    });
}

/// The buttons that move through the steps.
fn transport(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    ui.spacing_mut().item_spacing.x = 2.0;
    let play = if studio.state.is_playing() {
        (Icon::Stop, Command::PlaySteps, "Stop playing")
    } else {
        (Icon::Play, Command::PlaySteps, Command::PlaySteps.label())
    };
    for (icon, command, name) in [
        (Icon::Previous, Command::PreviousStep, Command::PreviousStep.label()),
        play,
        (Icon::Next, Command::NextStep, Command::NextStep.label()),
    ] {
        let enabled = studio.state.can(command);
        let button = ui.add_enabled_ui(enabled, |ui| icon_button(ui, icon, name));
        if button.inner.clicked() {
            studio.commands.push(command);
        }
    }
    ui.spacing_mut().item_spacing.x = space::ITEM;
    ui.add_space(space::TIGHT);
}

fn details(lane: &Lane, step: usize) -> String {
    let sigma = lane
        .sigmas
        .get(step)
        .filter(|sigma| sigma.is_finite())
        .map(|sigma| format!("σ {sigma:.3}"));
    let secs = lane.step_secs.get(step).map(|secs| format!("{secs:.2} s"));
    sigma.into_iter().chain(secs).collect::<Vec<_>>().join("  ")
}

fn scrub(ui: &Ui, studio: &mut PaneContext<'_>, strip: Strip, rect: Rect, response: &Response) {
    if (response.clicked() || response.dragged())
        && let Some(pointer) = response.interact_pointer_pos()
    {
        studio.state.show_step(strip.index_at(pointer.x - rect.left()));
    }
    if response.has_focus() {
        let filter = EventFilter {
            horizontal_arrows: true,
            ..EventFilter::default()
        };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        let delta = ui.input(|input| {
            isize::from(input.key_pressed(Key::ArrowRight)) - isize::from(input.key_pressed(Key::ArrowLeft))
        });
        studio.state.step_by(delta);
    }
    let asked = ui.input(|input| {
        let requests = input.accesskit_action_requests(response.id, egui::accesskit::Action::SetValue);
        requests
            .filter_map(|request| match request.data {
                Some(egui::accesskit::ActionData::NumericValue(value)) => Some(value),
                _ => None,
            })
            .last()
    });
    if let Some(step) = asked {
        studio.state.show_step(step.max(0.0) as usize);
    }
    let value = studio.state.shown_step().unwrap_or(0) as f64;
    response.widget_info(|| WidgetInfo::slider(true, value, "step"));
}

fn picture(ui: &Ui, studio: &mut PaneContext<'_>, strip: Strip, strip_rect: Rect, index: usize, shown: bool) {
    let theme = theme::of(ui);
    let rect = strip.picture(strip_rect, index);
    if !ui.is_rect_visible(rect) {
        return;
    }
    let Some(lane) = studio.state.lead() else {
        return;
    };
    let painter = ui.painter();
    match lane.thumbnail(index, studio.state.view.step_view()) {
        Some(frame) => {
            let texture = studio.textures.thumbnail(ui.ctx(), &frame.image);
            painter.image(
                texture,
                rect,
                middle(frame.image.width, frame.image.height, rect),
                egui::Color32::WHITE,
            );
        }
        None => {
            painter.rect_filled(rect, 2.0, theme.slot);
        }
    }
    if lane.request.branch.as_ref().is_some_and(|branch| branch.step == index) {
        // Steps before this line are the run's that this one branches from.
        let x = rect.left() - GAP / 2.0;
        painter.vline(x, rect.y_range(), Stroke::new(2.0, theme.canvas_note));
    }
    if shown {
        painter.rect_stroke(
            rect.expand(1.0),
            2.0,
            Stroke::new(2.0, theme.accent_line),
            StrokeKind::Outside,
        );
    }
}

/// The noise level of each step under its picture, and the time it took under that, where there is room.
fn labels(ui: &Ui, lane: &Lane, strip: Strip, strip_rect: Rect, shown: Option<usize>) {
    let last = strip.count - 1;
    let sigma = |index: usize| match lane.sigmas.get(index) {
        _ if index == last => Some("result".to_owned()),
        Some(sigma) if sigma.is_finite() => Some(format!("{sigma:.2}")),
        _ => None,
    };
    let secs = |index: usize| lane.step_secs.get(index).map(|secs| format!("{secs:.2} s"));
    label_line(ui, strip, strip_rect, shown, (3.0, 34.0), sigma);
    label_line(ui, strip, strip_rect, shown, (16.0, 40.0), secs);
}

/// One line of labels, `offset` points under the pictures and at least `width` apart: the chosen step's first, then the
/// result's, then the others'.
fn label_line(
    ui: &Ui,
    strip: Strip,
    strip_rect: Rect,
    shown: Option<usize>,
    (offset, width): (f32, f32),
    text: impl Fn(usize) -> Option<String>,
) {
    let theme = theme::of(ui);
    let last = strip.count - 1;
    let others = (0..last).step_by(strip.label_every(width));
    let mut taken: Vec<Rangef> = Vec::new();
    for index in shown.into_iter().chain([last]).chain(others) {
        let Some(text) = text(index) else {
            continue;
        };
        let color = if shown == Some(index) {
            theme.text_strong
        } else {
            theme.text_weak
        };
        let galley = ui.painter().layout_no_wrap(text, theme::small_number_font(), color);
        let picture = strip.picture(strip_rect, index);
        let half = galley.size().x / 2.0;
        let right_most = (strip_rect.right() - half).max(strip_rect.left() + half);
        let center = picture.center().x.clamp(strip_rect.left() + half, right_most);
        let range = Rangef::new(center - half - 3.0, center + half + 3.0);
        if taken.iter().all(|other| range.max < other.min || range.min > other.max) {
            taken.push(range);
            ui.painter()
                .galley(pos2(center - half, picture.bottom() + offset), galley, color);
        }
    }
}

/// The part of an image that fills `rect` without changing its shape, in shares of its sides.
fn middle(width: u32, height: u32, rect: Rect) -> Rect {
    let image_aspect = width as f32 / height.max(1) as f32;
    let aspect = rect.width() / rect.height().max(1.0);
    let share = if aspect < image_aspect {
        vec2(aspect / image_aspect, 1.0)
    } else {
        vec2(1.0, image_aspect / aspect)
    };
    Rect::from_center_size(pos2(0.5, 0.5), share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_steps_fit_and_every_point_belongs_to_one() {
        let strip = Strip::new(21, 1.0, vec2(760.0, 100.0));
        assert!(strip.width() <= 760.0);
        assert_eq!(strip.index_at(0.0), 0);
        assert_eq!(strip.index_at(759.9), 20);
        assert_eq!(strip.index_at(1e6), 20);
        assert_eq!(strip.index_at(-5.0), 0);
    }

    #[test]
    fn few_steps_keep_the_images_shape() {
        let strip = Strip::new(4, 1.5, vec2(2000.0, 100.0 + LABEL_HEIGHT));
        assert!((strip.picture_width - 150.0).abs() < 1e-3);
    }

    #[test]
    fn hundreds_of_steps_scroll() {
        let strip = Strip::new(500, 1.0, vec2(760.0, 100.0));
        assert!((strip.picture_width - NARROWEST).abs() < 1e-6);
        assert!(strip.width() > 760.0);
    }

    #[test]
    fn crops_keep_the_middle() {
        let crop = middle(200, 100, Rect::from_min_size(pos2(0.0, 0.0), vec2(50.0, 50.0)));
        assert!((crop.width() - 0.5).abs() < 1e-6 && (crop.height() - 1.0).abs() < 1e-6);
        assert_eq!(crop.center(), pos2(0.5, 0.5));
    }
}
