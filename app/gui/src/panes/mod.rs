//! What is drawn: one file per pane. Panes read the [`State`](crate::state::State), call its actions, and hand commands up; they keep nothing
//! themselves but how things are looked at ([`Looking`]).
//!
//! A new pane is a file with a type that implements [`Pane`] and its facts, and a line in `PANES`.

pub mod banners;
mod context;
mod lane_color;
mod lane_scope;
pub mod log;
pub mod mixer;
pub mod model;
mod plots;
pub mod queue;
pub mod spectrum;
pub mod timeline;
pub mod top_bar;
pub mod training;
pub mod viewport;
pub mod weather;

pub use context::{Looking, Pane, PaneContext, WeatherLook};

use crate::pane_id::PaneId;

/// All panes with what draws them, in the order of their tabs and in the menu.
const PANES: [(PaneId, &dyn Pane); 9] = [
    (mixer::PANE, &mixer::MixerPane),
    (model::PANE, &model::ModelPane),
    (viewport::PANE, &viewport::ViewportPane),
    (timeline::PANE, &timeline::TimelinePane),
    (queue::PANE, &queue::QueuePane),
    (training::PANE, &training::TrainingPane),
    (log::PANE, &log::LogPane),
    (spectrum::PANE, &spectrum::SpectrumPane),
    (weather::PANE, &weather::WeatherPane),
];

/// All panes, in that order.
pub const ALL: &[PaneId] = &{
    let mut all = [PANES[0].0; PANES.len()];
    let mut index = 0;
    while index < all.len() {
        all[index] = PANES[index].0;
        index += 1;
    }
    all
};

/// What draws a pane; `None` for one that [`ALL`] leaves out.
pub fn drawn(pane: PaneId) -> Option<&'static dyn Pane> {
    PANES.iter().find(|(id, _)| *id == pane).map(|(_, drawn)| *drawn)
}

/// The pane that a saved layout calls `key`.
pub fn of_key(key: &str) -> Option<PaneId> {
    ALL.iter().copied().find(|pane| pane.key == key)
}
