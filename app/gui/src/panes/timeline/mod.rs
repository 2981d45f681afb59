//! The Timeline: a film strip per lane with one picture per step; click, drag or use the arrow keys to look at a step.

mod labels;
mod rows;
mod strip;

use egui::{
    Align, Button, EventFilter, Key, Layout, Rect, Response, RichText, ScrollArea, Sense, Ui, WidgetInfo, vec2,
};

use crate::commands::Command;
use crate::icons::Icon;
use crate::lane::{Cursor, Lane};
use crate::pane_id::{PaneFacts, PaneId, Place};
use crate::panes::context::{Pane, PaneContext};
use crate::state::State;
use crate::theme::{self, space};
use crate::widgets::{caption, empty_state, icon_button};
use strip::Strip;

/// Room that the hint beside the buttons needs, in points.
const HINT_WIDTH: f32 = 150.0;

/// Room that a step's details take with the button beside them, in points; below it they give way.
const DETAILS_WIDTH: f32 = 250.0;

/// The film strip of steps.
pub const PANE: PaneId = PaneId::new(&PaneFacts {
    key: "Timeline",
    icon: Icon::FRAMES,
    command: "Show the timeline",
    shortcuts: &[],
    place: Place::Below,
});

pub(super) struct TimelinePane;

impl Pane for TimelinePane {
    fn title(&self, _state: &State) -> String {
        "Timeline".to_owned()
    }

    fn show(&self, ui: &mut Ui, studio: &mut PaneContext<'_>) {
        show(ui, studio);
    }
}

fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let Some(lane) = studio.state.lead() else {
        let rect = ui.available_rect_before_wrap();
        let color = theme::of(ui).text_weak;
        empty_state(
            ui,
            rect,
            Icon::PLAY,
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
    let lanes = rows::lanes(studio.state);
    header(ui, studio);
    ui.add_space(2.0);
    // Less a little, or rounding would bring up scroll bars.
    let strip = Strip::new(count, lanes.len(), aspect, ui.available_size() - vec2(1.0, 6.0));
    ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = 0.0;
            if lanes.len() > 1 {
                rows::names(ui, studio, strip, &lanes);
            }
            ScrollArea::horizontal()
                .auto_shrink([false, true])
                .show(ui, |ui| steps(ui, studio, strip, &lanes));
        });
    });
}

/// The strips of all lanes, one scrubber for all of them.
fn steps(ui: &mut Ui, studio: &mut PaneContext<'_>, strip: Strip, lanes: &[usize]) {
    let (rect, response) = ui.allocate_exact_size(strip.size(), Sense::click_and_drag());
    scrub(ui, studio, strip, rect, &response);
    for (row, lane) in lanes.iter().enumerate() {
        rows::pictures(ui, studio, strip, rect, (row, *lane));
    }
    let shown = studio.state.shown_step();
    if let Some(column) = shown {
        rows::outline(ui, strip.column(rect, column));
    }
    if let Some(lane) = studio.state.lead() {
        labels::show(ui, lane, strip, rect, shown);
    }
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
        let has_room = ui.available_width() > DETAILS_WIDTH;
        if let Some(details) = state.shown_step().filter(|_| has_room).map(|step| details(lane, step)) {
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
            let branch = branch.on_disabled_hover_text(state.branch_blocker().unwrap_or_default());
            if branch.on_hover_text(help).clicked() {
                studio.commands.push(Command::BranchHere);
            }
            let following = state.shown.cursor == Cursor::Newest && state.runs.active.is_some();
            if ui.available_width() > HINT_WIDTH {
                caption(
                    ui,
                    if following {
                        "Following the newest step"
                    } else {
                        "Drag, or ← → to step"
                    },
                );
            }
        });
    });
}

/// The buttons that move through the steps.
fn transport(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    ui.spacing_mut().item_spacing.x = 2.0;
    let play = if studio.state.is_playing() {
        (Icon::STOP, Command::PlaySteps, "Stop playing")
    } else {
        (Icon::PLAY, Command::PlaySteps, Command::PlaySteps.label())
    };
    for (icon, command, name) in [
        (Icon::PREVIOUS, Command::PreviousStep, Command::PreviousStep.label()),
        play,
        (Icon::NEXT, Command::NextStep, Command::NextStep.label()),
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
    let secs = lane.secs_of(step).map(|secs| format!("{secs:.2} s"));
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
