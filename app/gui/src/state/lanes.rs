//! The lanes: mixes side by side on the same noise. There is always one, and it is all that a user of a single mix sees.
//!
//! [`State::settings`] is what the Mixer edits: the settings that all lanes share, or those of the selected lane when it
//! has its own. A lane without its own settings may be limited to some classes of the shared mix, so that "haze", "rain"
//! and "haze + rain" follow the same sliders.
//!
//! - here: what there is, what Mix would ask of each lane, and which lanes a run has to make
//! - `edit`: selecting, adding, naming, removing, branching
//! - `preset`: lanes that are set up at once
//! - `document`: all of it as a value, for undo and the next session

mod document;
mod edit;
mod preset;

use mdsd3_engine::data::FORMULA_CLASSES;
use mdsd3_engine::protocol::LaneRequest;
use mdsd3_words::lane::{LaneId, LaneKind};
use mdsd3_words::weather::WeatherSettings;
use mdsd3_words::{Branch, Mix, RenderRequest, Sampling};
use serde::{Deserialize, Serialize};

use super::State;
use super::weather::depth_of;
use crate::lane::{Cursor, Lane};
pub use document::Document;
pub use preset::LanePreset;

/// The lane that holds the clean branch, for differences to it; never among the columns.
pub const CLEAN_LANE: LaneId = 0;

/// What a lane makes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaneSetup {
    /// Identifies it for the engine; never given twice.
    pub id: LaneId,
    /// The name that a user typed; named after its mix when `None`.
    #[serde(default)]
    pub name: Option<String>,
    /// What makes its image.
    #[serde(default)]
    pub kind: LaneKind,
    /// The classes of the mix that it takes; all when `None`.
    #[serde(default)]
    pub classes: Option<Vec<String>>,
    /// Mix and sampling settings of its own; the shared ones when `None`. Seed, photo and model are shared always.
    #[serde(default)]
    pub own: Option<Box<RenderRequest>>,
}

impl LaneSetup {
    /// A lane that makes the shared mix.
    pub fn new(id: LaneId) -> Self {
        Self {
            id,
            name: None,
            kind: LaneKind::Sampled,
            classes: None,
            own: None,
        }
    }
}

/// A lane: what it makes, and what it has made.
#[derive(Debug)]
pub struct LaneSlot {
    /// What it makes. While the lane is selected, its own settings are in [`State::settings`].
    pub setup: LaneSetup,
    /// The run that is shown: the active one once it has an image, until then the one before.
    pub result: Option<Lane>,
}

/// The columns, and which of them the Mixer edits.
#[derive(Debug)]
pub struct Lanes {
    pub(super) slots: Vec<LaneSlot>,
    pub(super) selected: usize,
    pub(super) clean: Option<Lane>,
    /// Whether differences to the clean branch are wanted, so that runs include it.
    pub(super) wants_clean: bool,
    next_id: LaneId,
    /// The shared settings while the selected lane's own are being edited.
    parked: Option<RenderRequest>,
}

impl Default for Lanes {
    fn default() -> Self {
        let first = LaneSlot {
            setup: LaneSetup::new(CLEAN_LANE + 1),
            result: None,
        };
        Self {
            slots: vec![first],
            selected: 0,
            clean: None,
            wants_clean: false,
            next_id: CLEAN_LANE + 2,
            parked: None,
        }
    }
}

impl State {
    /// All lanes in the order shown; never empty.
    pub fn lanes(&self) -> &[LaneSlot] {
        &self.lanes.slots
    }

    /// Index of the lane that the Mixer edits and whose settings, spectrum and result are shown elsewhere.
    pub fn selected_lane(&self) -> usize {
        self.lanes.selected
    }

    /// What the selected lane has made.
    pub fn lane(&self) -> Option<&Lane> {
        self.lanes.slots.get(self.lanes.selected)?.result.as_ref()
    }

    /// The lane that the timeline shows and the cursor counts: the selected one, or the first with steps.
    pub fn lead(&self) -> Option<&Lane> {
        let has_steps = |lane: &&Lane| lane.steps() > 0;
        let sampled = || {
            self.lanes
                .slots
                .iter()
                .filter_map(|slot| slot.result.as_ref())
                .find(has_steps)
        };
        self.lane().filter(has_steps).or_else(sampled).or(self.lane())
    }

    /// What the clean branch has made, if it was asked for.
    pub fn clean_lane(&self) -> Option<&Lane> {
        self.lanes.clean.as_ref()
    }

    /// Name of a lane: the typed one, or what it makes, with a number when a lane before it makes the same.
    pub fn lane_name(&self, index: usize) -> String {
        let name = self.plain_name(index);
        let is_typed = self
            .lanes
            .slots
            .get(index)
            .is_some_and(|slot| slot.setup.name.is_some());
        let same = (0..index)
            .filter(|&before| !is_typed && self.plain_name(before) == name)
            .count();
        if same == 0 {
            name
        } else {
            format!("{name} ({})", same + 1)
        }
    }

    fn plain_name(&self, index: usize) -> String {
        let Some(slot) = self.lanes.slots.get(index) else {
            return String::new();
        };
        if let Some(name) = &slot.setup.name {
            // Spaces at the end are kept while a name is being typed.
            return name.trim().to_owned();
        }
        let request = self.request_of(index);
        match (slot.setup.kind, &request.branch) {
            (LaneKind::Physical, _) => "physical".to_owned(),
            (LaneKind::Sampled, Some(branch)) => format!("{} from step {}", mix_name(&request), branch.step + 1),
            (LaneKind::Sampled, None) => mix_name(&request),
        }
    }

    /// What Mix would ask of a lane.
    pub fn request_of(&self, index: usize) -> RenderRequest {
        let mut request = self.whole_request_of(index);
        if let Some(slot) = self.lanes.slots.get(index) {
            self.limit(&mut request, &slot.setup);
        }
        request
    }

    /// The same with the classes that the lane leaves out.
    pub(super) fn whole_request_of(&self, index: usize) -> RenderRequest {
        let mut request = match self.lanes.slots.get(index) {
            Some(_) if index == self.lanes.selected => with_own(&self.settings, &self.settings),
            Some(LaneSlot {
                setup: LaneSetup { own: Some(own), .. },
                ..
            }) => with_own(own, &self.settings),
            _ => self.shared(),
        };
        request.scene.path = self.scene.as_ref().and_then(|scene| scene.path.clone());
        request
    }

    /// Turns off what a lane leaves out: classes it is not limited to, for a baseline those without a formula, and for a network
    /// those that only formulas have. Of the weather a network knows regions alone.
    fn limit(&self, request: &mut RenderRequest, setup: &LaneSetup) {
        let physical = setup.kind == LaneKind::Physical;
        let mut mix = Mix::new();
        for (class, ratio) in request.sampling.mix.iter() {
            let listed = setup
                .classes
                .as_ref()
                .is_none_or(|classes| classes.iter().any(|listed| listed == class));
            let is_made = if physical {
                FORMULA_CLASSES.contains(&class)
            } else {
                !self.only_formula_has(class)
            };
            if is_made {
                // What came from a mix is taken by a mix.
                mix.set(class, if listed { ratio } else { 0.0 }).ok();
            }
        }
        request.sampling.mix = mix;
        if physical {
            request.branch = None;
        } else {
            request.weather = WeatherSettings {
                regions: std::mem::take(&mut request.weather.regions),
                ..WeatherSettings::default()
            };
        }
    }

    /// Whether a lane shows something else than Mix would make of it now.
    pub fn lane_is_stale(&self, index: usize) -> bool {
        let result = self.lanes.slots.get(index).and_then(|slot| slot.result.as_ref());
        result.is_some_and(|lane| lane.request != self.request_of(index))
    }

    /// Whether runs shall include the clean branch; one that is missing is made at once when nothing else goes on.
    pub fn set_wants_clean(&mut self, wanted: bool) {
        self.lanes.wants_clean = wanted;
    }

    /// The lanes that a run has to make: those that don't show what they would, or all when every one does.
    pub(super) fn lanes_to_run(&self) -> Vec<LaneRequest> {
        let is_current = |index: usize, slot: &LaneSlot| {
            let result = slot.result.as_ref();
            result.is_some_and(|lane| lane.elapsed_secs.is_some() && lane.request == self.request_of(index))
        };
        let slots = || self.lanes.slots.iter().enumerate();
        let all_current = slots().all(|(index, slot)| is_current(index, slot));
        let wanted = slots().filter(|(index, slot)| all_current || !is_current(*index, slot));
        let mut requests: Vec<LaneRequest> = wanted
            .map(|(index, slot)| LaneRequest {
                lane: slot.setup.id,
                kind: slot.setup.kind,
                request: self.request_of(index),
            })
            .collect();
        requests.extend(self.clean_to_run());
        requests
    }

    /// The clean branch, when it is wanted and not there on the present noise.
    pub(super) fn clean_to_run(&self) -> Option<LaneRequest> {
        let request = self.clean_request();
        let known = self.lanes.clean.as_ref();
        let is_current = known.is_some_and(|lane| lane.elapsed_secs.is_some() && lane.request == request);
        (self.lanes.wants_clean && !is_current).then_some(LaneRequest {
            lane: CLEAN_LANE,
            kind: LaneKind::Sampled,
            request,
        })
    }

    /// The shared settings with every class off.
    pub(super) fn clean_request(&self) -> RenderRequest {
        let mut request = self.shared();
        request.scene.path = self.scene.as_ref().and_then(|scene| scene.path.clone());
        request.sampling.mix = Mix::new();
        request.sampling.curves.clear();
        request.sampling.head_ratios.clear();
        request.weather = WeatherSettings::default();
        request.branch = None;
        request
    }

    /// The result of a lane, to be changed; the clean branch's too.
    pub(super) fn result_mut(&mut self, lane: LaneId) -> Option<&mut Option<Lane>> {
        if lane == CLEAN_LANE {
            return Some(&mut self.lanes.clean);
        }
        let slot = self.lanes.slots.iter_mut().find(|slot| slot.setup.id == lane)?;
        Some(&mut slot.result)
    }

    /// Forgets everything that was made.
    pub(super) fn clear_results(&mut self) {
        self.lanes.clean = None;
        self.lanes.slots.iter_mut().for_each(|slot| slot.result = None);
        self.shown.cursor = Cursor::Newest;
    }

    /// What lanes without their own settings share.
    fn shared(&self) -> RenderRequest {
        match &self.lanes.parked {
            Some(parked) => with_own(parked, &self.settings),
            None => self.settings.clone(),
        }
    }
}

/// "haze + rain", or "clean".
fn mix_name(request: &RenderRequest) -> String {
    let mut classes: Vec<&str> = request.sampling.mix.active().map(|(class, _)| class).collect();
    classes.sort_unstable();
    if classes.is_empty() {
        "clean".to_owned()
    } else {
        classes.join(" + ")
    }
}

/// A lane's own mix, sampling settings and weather; seed, photo with its depth and model stay `common`'s, also in the runs that it
/// branches from.
fn with_own(own: &RenderRequest, common: &RenderRequest) -> RenderRequest {
    let from_own = |branch: &Branch| Branch {
        step: branch.step,
        from: with_own(&branch.from, common),
    };
    RenderRequest {
        sampling: Sampling {
            seed: common.sampling.seed,
            adapter_strength: common.sampling.adapter_strength,
            ..own.sampling.clone()
        },
        weather: WeatherSettings {
            space: own.weather.space,
            rain_composition: own.weather.rain_composition,
            order: own.weather.order.clone(),
            regions: own.weather.regions.clone(),
            ..depth_of(&common.weather)
        },
        branch: own.branch.as_deref().map(from_own).map(Box::new),
        ..common.clone()
    }
}
