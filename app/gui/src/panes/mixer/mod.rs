//! The Mixer: how much of each class, what the noise starts from, and how it is sampled.

mod curves;
mod heads;
mod noise;
mod presets;
mod ratios;
mod seeds;

use egui::{Checkbox, ScrollArea, Ui};
use mdsd3_words::{RenderRequest, Sampler, SamplerAid};

use crate::icons::Icon;
use crate::pane_id::{PaneFacts, PaneId, Place};
use crate::panes::context::{Pane, PaneContext};
use crate::run::duration_text;
use crate::state::State;
use crate::theme::space;
use crate::widgets::{self, LabelledSlider, caption, drop_down, section, segmented, text_field};

/// Sides offered, in pixels; those that the model can't take are left out.
const SIZES_PX: [u32; 6] = [128, 192, 256, 384, 512, 768];

/// Ratios, noise and sampling.
pub const PANE: PaneId = PaneId::new(&PaneFacts {
    key: "Mixer",
    icon: Icon::SLIDERS,
    command: "Show the mixer",
    shortcuts: &[],
    place: Place::Left,
});

pub(super) struct MixerPane;

impl Pane for MixerPane {
    fn title(&self, _state: &State) -> String {
        "Mixer".to_owned()
    }

    fn show(&self, ui: &mut Ui, studio: &mut PaneContext<'_>) {
        show(ui, studio);
    }
}

fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    super::lane_scope::show(ui, studio);
    ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
        ratios::show(ui, studio);
        ui.add_space(space::SECTION);
        curves::show(ui, studio);
        heads::show(ui, studio);
        ui.add_space(space::SECTION);
        noise::show(ui, studio);
        ui.add_space(space::SECTION);
        sampling(ui, studio);
    });
}

fn sampling(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    section(ui, "Sampling");
    let before = &studio.state.settings().sampling;
    let (mut steps, mut guidance) = (before.steps as f64, f64::from(before.guidance));
    LabelledSlider {
        label: "Steps",
        name: "steps",
        help: "Denoising steps; more are slower and finer",
        range: 1.0..=100.0,
        decimals: 0,
        color: None,
        mark: None,
        label_width: LabelledSlider::LABEL_WIDTH,
    }
    .show(ui, &mut steps);
    LabelledSlider {
        label: "Guidance",
        name: "guidance",
        help: "How far the mix is pushed away from the clean branch; 1 is not at all",
        range: 0.0..=8.0,
        decimals: 1,
        color: None,
        mark: Some(1.0),
        label_width: LabelledSlider::LABEL_WIDTH,
    }
    .show(ui, &mut guidance);
    studio.state.edit(|RenderRequest { sampling, .. }| {
        (sampling.steps, sampling.guidance) = (steps.round().max(1.0) as usize, guidance as f32);
    });
    seeds::row(ui, studio);
    size(ui, studio);
    prompt(ui, studio);
    sampler(ui, studio);
    aid(ui, studio);
    cost(ui, studio);
    ui.add_space(space::ITEM);
    seeds::strip(ui, studio);
}

/// The prompt of a checkpoint with text encoders; empty, the classes' names are taken.
fn prompt(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    if studio.state.settings().model.path.is_none() {
        return;
    }
    let active: Vec<&str> = studio
        .state
        .settings()
        .sampling
        .mix
        .active()
        .map(|(class, _)| class)
        .collect();
    let hint = if active.is_empty() {
        "clean".to_owned()
    } else {
        active.join(" ")
    };
    let mut text = studio.state.settings().sampling.prompt.clone().unwrap_or_default();
    let changed = ui.horizontal(|ui| {
        row_label(ui, "Prompt");
        text_field(ui, "prompt", f32::INFINITY, &mut text, &hint).changed()
    });
    if changed.inner {
        let prompt = Some(text).filter(|text| !text.trim().is_empty());
        studio.state.edit(|settings| settings.sampling.prompt = prompt);
    }
}

fn sampler(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let choices = [
        (Sampler::Euler, "Euler", "One evaluation per step"),
        (
            Sampler::Heun,
            "Heun",
            "Two evaluations per step; follows the flow more closely at the same number of steps",
        ),
    ];
    ui.horizontal(|ui| {
        row_label(ui, "Sampler");
        let edit = |settings: &mut RenderRequest| segmented(ui, "sampler", &mut settings.sampling.sampler, &choices);
        studio.state.edit(edit);
    });
}

fn aid(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let mut average = studio.state.settings().sampling.sampler_aid == SamplerAid::MovingAverage;
    let help =
        "Averages the prediction over steps, each wavelet band by itself (Qian et al. 2024); steadier, a little softer";
    let response = ui.add(Checkbox::new(&mut average, "Moving average of predictions"));
    if response.on_hover_text(help).changed() {
        let aid = if average {
            SamplerAid::MovingAverage
        } else {
            SamplerAid::None
        };
        studio.state.edit(|settings| settings.sampling.sampler_aid = aid);
    }
}

fn size(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let current = studio.state.settings().scene.size;
    let fits = |side: u32| {
        studio
            .state
            .model
            .as_ref()
            .is_none_or(|model| side.is_multiple_of(model.size_multiple) && side <= model.max_size)
    };
    let mut chosen = current;
    ui.horizontal(|ui| {
        row_label(ui, "Size");
        let mut sides: Vec<u32> = SIZES_PX.into_iter().filter(|&side| fits(side)).collect();
        if !sides.contains(&current) {
            sides.insert(0, current);
        }
        let choices = sides.into_iter().map(|side| (side, format!("{side} × {side} px"), ""));
        drop_down(ui, "size", ui.available_width(), &mut chosen, choices);
    });
    if chosen != current {
        studio.state.set_size(chosen);
    }
}

pub(super) fn row_label(ui: &mut Ui, text: &str) {
    widgets::row_label(ui, text, LabelledSlider::LABEL_WIDTH);
}

/// What a run will take, from what the last one took.
fn cost(ui: &mut Ui, studio: &PaneContext<'_>) {
    let state = &studio.state;
    let is_guided = |guidance: f32| (guidance - 1.0).abs() > 1e-6;
    let sampler = state.settings().sampling.sampler;
    let guided = is_guided(state.settings().sampling.guidance);
    let pace = state.lane().and_then(|lane| {
        let same_cost = lane.request.scene.size == state.settings().scene.size
            && is_guided(lane.request.sampling.guidance) == guided
            && lane.request.sampling.sampler == sampler;
        lane.secs_per_step().filter(|_| same_cost)
    });
    let per_step = match (sampler, guided) {
        (Sampler::Euler, false) => "One evaluation per step",
        (Sampler::Euler, true) | (Sampler::Heun, false) => "Two evaluations per step",
        (Sampler::Heun, true) => "Four evaluations per step",
    };
    let text = match pace {
        Some(secs) => format!(
            "{per_step}; about {} for {} steps.",
            duration_text(secs * state.settings().sampling.steps as f32),
            state.settings().sampling.steps
        ),
        None => format!("{per_step}."),
    };
    caption(ui, text);
}
