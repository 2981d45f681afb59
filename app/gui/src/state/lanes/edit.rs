//! Selecting, adding, naming and removing lanes, and branching from a step.

use mdsd3_words::lane::{LaneId, LaneKind};
use mdsd3_words::{Branch, RenderRequest};

use super::{LaneSetup, LaneSlot, with_own};
use crate::lane::{Cursor, Lane};
use crate::notice::Level;
use crate::state::State;

impl State {
    /// Selects the lane that the Mixer edits.
    pub fn select_lane(&mut self, index: usize) {
        if index >= self.lanes.slots.len() || index == self.lanes.selected {
            return;
        }
        self.check_in();
        self.lanes.selected = index;
        self.check_out();
    }

    /// Adds a lane behind the others, with the settings of the selected one as its own, and selects it.
    pub fn add_lane(&mut self) {
        let own = Box::new(RenderRequest {
            branch: None,
            ..self.request_of(self.lanes.selected)
        });
        let setup = LaneSetup {
            own: Some(own),
            ..LaneSetup::new(self.new_lane_id())
        };
        self.insert_lane(setup, None);
    }

    /// Adds a lane that formulas make, with the settings of the selected one as its own, and selects it.
    pub fn add_physical_lane(&mut self) {
        let own = RenderRequest {
            branch: None,
            ..self.whole_request_of(self.lanes.selected)
        };
        let setup = LaneSetup {
            kind: LaneKind::Physical,
            own: Some(Box::new(own)),
            ..LaneSetup::new(self.new_lane_id())
        };
        self.insert_lane(setup, None);
    }

    /// Takes a lane away; the last one stays.
    pub fn remove_lane(&mut self, index: usize) {
        let count = self.lanes.slots.len();
        if count < 2 || index >= count {
            return;
        }
        let selected = self.lanes.selected;
        if index == selected {
            self.select_lane(if index + 1 < count { index + 1 } else { index - 1 });
        }
        self.lanes.slots.remove(index);
        if self.lanes.selected > index {
            self.lanes.selected -= 1;
        }
    }

    /// Names a lane; an empty name lets its mix name it.
    pub fn rename_lane(&mut self, index: usize, name: &str) {
        if let Some(slot) = self.lanes.slots.get_mut(index) {
            slot.setup.name = Some(name.to_owned()).filter(|name| !name.trim().is_empty());
        }
    }

    /// Gives a lane its own settings, beginning with those it has, or lets it share the others'.
    pub fn set_lane_own(&mut self, index: usize, own: bool) {
        let request = self.request_of(index);
        self.check_in();
        if let Some(slot) = self.lanes.slots.get_mut(index) {
            slot.setup.own = own.then(|| Box::new(request));
            if own {
                slot.setup.classes = None;
            }
        }
        self.check_out();
        self.rerun_when_rested();
    }

    /// Why there is no branch from the step that is shown; `None` when there can be one.
    pub fn branch_blocker(&self) -> Option<&'static str> {
        let Some((lead, step)) = self.lead().zip(self.shown_step()) else {
            return Some("There is no step to branch from yet: press Mix");
        };
        if lead.steps() == 0 {
            return Some("The physical baseline has no steps to branch from: select another lane");
        }
        (step >= lead.steps()).then_some("Nothing is mixed after the result: choose a step before it to branch from")
    }

    /// Branches from the step that is shown, or says why there is no branch from it.
    pub fn branch(&mut self) {
        if let Some(why) = self.branch_blocker() {
            self.messages.notify(Level::Warning, why, None);
        }
        self.branch_from_here();
    }

    /// Adds a lane that takes over from the lead lane at the step that is shown: the steps before are kept, the rest is
    /// to be mixed with the settings that the Mixer then edits. `None` when there is no such step.
    pub fn branch_from_here(&mut self) -> Option<usize> {
        let lead = self.lead()?;
        let step = self.shown_step().filter(|step| *step < lead.steps())?;
        let request = RenderRequest {
            branch: Some(Box::new(Branch::at(step, &lead.request))),
            ..lead.request.clone()
        };
        let mut result = Lane::new(lead.run, request.clone(), lead.sigmas.clone());
        result.inherit(lead, step);
        let setup = LaneSetup {
            own: Some(Box::new(request)),
            ..LaneSetup::new(self.new_lane_id())
        };
        self.insert_lane(setup, Some(result));
        self.shown.cursor = Cursor::At(step);
        Some(self.lanes.selected)
    }

    /// Puts the edited settings where they belong, so that another lane can be selected.
    pub(super) fn check_in(&mut self) {
        let shared = self.shared();
        if let Some(own) = self
            .lanes
            .slots
            .get_mut(self.lanes.selected)
            .and_then(|slot| slot.setup.own.as_mut())
        {
            **own = self.settings.clone();
        }
        self.settings = shared;
        self.lanes.parked = None;
    }

    /// Takes the selected lane's settings up for editing.
    pub(super) fn check_out(&mut self) {
        let slot = self.lanes.slots.get(self.lanes.selected);
        if let Some(own) = slot.and_then(|slot| slot.setup.own.as_ref()) {
            let edited = with_own(own, &self.settings);
            self.lanes.parked = Some(std::mem::replace(&mut self.settings, edited));
        }
    }

    fn insert_lane(&mut self, setup: LaneSetup, result: Option<Lane>) {
        self.check_in();
        self.lanes.slots.push(LaneSlot { setup, result });
        self.lanes.selected = self.lanes.slots.len() - 1;
        self.check_out();
    }

    pub(super) fn new_lane_id(&mut self) -> LaneId {
        let id = self.lanes.next_id;
        self.lanes.next_id += 1;
        id
    }
}
