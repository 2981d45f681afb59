//! Everything a user sets, as a value: what undo, and the next session, put back.

use mdsd3_words::RenderRequest;
use serde::{Deserialize, Serialize};

use super::{CLEAN_LANE, LaneSetup, LaneSlot};
use crate::state::State;

/// Everything a user sets, for undo and for the next session: shared settings, lanes, and which is selected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// What lanes without their own settings share.
    pub shared: RenderRequest,
    /// The lanes in the order shown.
    pub lanes: Vec<LaneSetup>,
    /// Index of the lane that the Mixer edits.
    pub selected: usize,
}

impl State {
    /// Everything a user sets.
    pub fn document(&self) -> Document {
        let mut lanes: Vec<LaneSetup> = self.lanes.slots.iter().map(|slot| slot.setup.clone()).collect();
        if let Some(own) = lanes.get_mut(self.lanes.selected).and_then(|lane| lane.own.as_mut()) {
            **own = self.settings.clone();
        }
        Document {
            shared: self.shared(),
            lanes,
            selected: self.lanes.selected,
        }
    }

    /// Puts everything a user sets back; what was made of lanes that stay is kept.
    pub fn set_document(&mut self, document: Document) {
        let Document {
            shared,
            lanes,
            selected,
        } = document;
        let mut results: Vec<LaneSlot> = std::mem::take(&mut self.lanes.slots);
        let mut slot = |setup: LaneSetup| {
            let known = results.iter_mut().find(|slot| slot.setup.id == setup.id);
            LaneSlot {
                result: known.and_then(|slot| slot.result.take()),
                setup,
            }
        };
        let mut slots: Vec<LaneSlot> = lanes.into_iter().map(&mut slot).collect();
        if slots.is_empty() {
            slots.push(slot(LaneSetup::new(CLEAN_LANE + 1)));
        }
        let highest = slots.iter().map(|slot| slot.setup.id).max().unwrap_or_default();
        self.lanes.next_id = self.lanes.next_id.max(highest + 1);
        self.lanes.selected = selected.min(slots.len() - 1);
        self.lanes.slots = slots;
        self.settings = shared;
        self.lanes.parked = None;
        self.check_out();
    }

    /// Applies `change` to every mix there is: the shared one and the lanes' own.
    pub(in crate::state) fn for_each_settings(&mut self, mut change: impl FnMut(&mut RenderRequest)) {
        change(&mut self.settings);
        self.lanes.parked.iter_mut().for_each(&mut change);
        let own = self.lanes.slots.iter_mut().filter_map(|slot| slot.setup.own.as_mut());
        own.for_each(|own| change(own));
    }
}
