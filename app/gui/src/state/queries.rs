//! What views ask.

use mdsd3_engine::data::FORMULA_CLASSES;
use mdsd3_engine::protocol::StepFrame;
use mdsd3_words::RenderRequest;
use mdsd3_words::lane::{LaneKind, RunId};

use super::{Outstanding, State};
use crate::lane::{Cursor, Lane};
use crate::run::duration_text;

/// Something that takes a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    /// What it is, for screen readers.
    pub name: &'static str,
    /// Share that is done, 0 to 1.
    pub share: f32,
    /// How far it is, and how long it will take.
    pub text: String,
}

impl State {
    /// The work that is going on: a run, files being written, or a model being read.
    pub fn activity(&self) -> Option<Activity> {
        if let Some(active) = &self.runs.active {
            let strip = match self.seeds_to_do() {
                0 => String::new(),
                seeds => format!(" · {seeds} seeds to go"),
            };
            return Some(Activity {
                name: "Mix progress",
                share: active.progress(),
                text: active.progress_text() + &strip,
            });
        }
        if let Some(writing) = &self.writing {
            let left = writing.remaining_secs(self.now_secs);
            let left = left.map_or_else(String::new, |secs| format!(" · {} left", duration_text(secs as f32)));
            return Some(Activity {
                name: "Saving progress",
                share: writing.done as f32 / writing.total.max(1) as f32,
                text: format!("Saving {}/{}{left}", writing.done, writing.total),
            });
        }
        let share = self.load_progress()?;
        Some(Activity {
            name: "Model loading progress",
            share,
            text: format!("Loading the model · {:.0} %", share * 100.0),
        })
    }

    /// Class names in checkpoint order; empty until a model is loaded.
    pub fn classes(&self) -> &[String] {
        self.model.as_ref().map_or(&[], |model| model.classes.as_slice())
    }

    /// The step that is shown, counted in the lead lane.
    pub fn shown_step(&self) -> Option<usize> {
        let lane = self.lead()?;
        lane.step_at(self.shown.cursor)
    }

    /// The step of `lane` that is shown beside the lead's: the same one, or that of the nearest noise level.
    pub fn step_of(&self, lane: &Lane) -> Option<usize> {
        match self.shown.cursor {
            Cursor::Newest => lane.newest(),
            Cursor::At(step) => Some(self.step_beside(lane, step)),
        }
    }

    /// The step of `lane` beside the lead's step `lead_step`: the same one, or that of the nearest noise level.
    pub fn step_beside(&self, lane: &Lane, lead_step: usize) -> usize {
        let lead = self.lead().unwrap_or(lane);
        let step = lead_step.min(lead.steps());
        let is_alike = (lane.request.first_sigma() - lead.request.first_sigma()).abs() < 1e-6;
        if lane.steps() == lead.steps() && is_alike {
            return step;
        }
        match lead.sigmas.get(step) {
            Some(sigma) if step < lead.steps() => lane.step_near(*sigma),
            _ => lane.steps(),
        }
    }

    /// The decoded step of a lane that is shown.
    pub fn frame_of<'a>(&self, lane: &'a Lane) -> Option<&'a StepFrame> {
        lane.frame(self.step_of(lane)?, self.shown.view.step_view())
    }

    /// The decoded step of the selected lane that is shown.
    pub fn shown_frame(&self) -> Option<&StepFrame> {
        self.frame_of(self.lane()?)
    }

    /// Whether the selected lane shows something else than Mix would make of it now.
    pub fn result_is_stale(&self) -> bool {
        self.lane_is_stale(self.selected_lane())
    }

    /// What Mix would ask of the selected lane.
    pub fn request(&self) -> RenderRequest {
        self.request_of(self.selected_lane())
    }

    /// Why Mix can't run now; `None` when it can.
    pub fn mix_blocker(&self) -> Option<String> {
        let Some(model) = &self.model else {
            return Some(
                if self.is_loading_model() {
                    "The model is being loaded"
                } else {
                    "No model is loaded"
                }
                .to_owned(),
            );
        };
        if self.scene.is_none() {
            return Some(
                if self.is_loading_scene() {
                    "The photo is being loaded"
                } else {
                    "Open a photo first"
                }
                .to_owned(),
            );
        }
        let refused = self.lanes().iter().enumerate().find_map(|(index, slot)| {
            let request = self.request_of(index);
            let checked = match slot.setup.kind {
                LaneKind::Sampled => request.check(model),
                LaneKind::Physical => request.check_by_formula(model, &FORMULA_CLASSES),
            };
            checked.err()
        });
        refused.map(|error| error.to_string())
    }

    /// The run of the selected lane's result, once it is finished and can be saved.
    pub fn finished_run(&self) -> Option<RunId> {
        self.lane()
            .filter(|lane| lane.elapsed_secs.is_some())
            .map(|lane| lane.run)
    }

    /// The window's title: what goes on, photo, mix and seed.
    pub fn window_title(&self) -> String {
        let Some(scene) = &self.scene else {
            return "MDSD3 Studio".to_owned();
        };
        let active: Vec<String> = self
            .settings
            .sampling
            .mix
            .active()
            .map(|(class, ratio)| format!("{class}={ratio}"))
            .collect();
        let mix = if active.is_empty() {
            "no class".to_owned()
        } else {
            active.join(",")
        };
        let progress = self.runs.active.as_ref().map_or_else(String::new, |active| {
            format!("Mixing {}/{} · ", active.steps_done, active.steps())
        });
        format!(
            "{progress}{}: {mix}, seed {} · MDSD3 Studio",
            scene.name(),
            self.settings.sampling.seed
        )
    }

    /// Whether the model's answer is outstanding.
    pub fn is_loading_model(&self) -> bool {
        self.outstanding.contains(&Outstanding::Model)
    }

    /// Whether a photo's answer is outstanding.
    pub fn is_loading_scene(&self) -> bool {
        self.outstanding
            .iter()
            .any(|pending| matches!(pending, Outstanding::Scene(_)))
    }

    /// Whether a run is going on or about to start again.
    pub fn is_busy(&self) -> bool {
        self.runs.is_busy()
    }
}
