//! Lanes that are set up at once.

use mdsd3_engine::data::FORMULA_CLASSES;
use mdsd3_words::Sampling;
use mdsd3_words::lane::LaneKind;

use super::{LaneSetup, LaneSlot};
use crate::lane::Cursor;
use crate::state::State;

/// Lanes to set up at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LanePreset {
    /// One lane with the whole mix.
    Single,
    /// Each class of the mix alone, all together, and the physical baseline of the same severities.
    Compare,
}

impl State {
    /// Sets up lanes at once; what was made before and is among them stays.
    pub fn apply_preset(&mut self, preset: LanePreset) {
        self.check_in();
        let classes = match preset {
            LanePreset::Single => Vec::new(),
            LanePreset::Compare => self.classes_to_compare(),
        };
        let setups = self.setups_of(preset, &classes);
        let slots = setups.into_iter().map(|setup| LaneSlot { setup, result: None });
        let mut before = std::mem::replace(&mut self.lanes.slots, slots.collect());
        self.lanes.selected = 0;
        self.shown.cursor = Cursor::Newest;
        self.check_out();
        for index in 0..self.lanes.slots.len() {
            let (request, kind) = (self.request_of(index), self.lanes.slots[index].setup.kind);
            let is_it = |old: &&mut LaneSlot| {
                old.setup.kind == kind && old.result.as_ref().is_some_and(|made| made.request == request)
            };
            if let Some(old) = before.iter_mut().find(is_it) {
                // The engine knows the result by its lane.
                self.lanes.slots[index].setup.id = old.setup.id;
                self.lanes.slots[index].result = old.result.take();
            }
        }
        self.rerun_when_rested();
    }

    /// New lanes: one per class, one for all, and the baseline where there are formulas; a single one without classes.
    fn setups_of(&mut self, preset: LanePreset, classes: &[String]) -> Vec<LaneSetup> {
        let together = Some(classes.to_vec());
        let limits: Vec<Option<Vec<String>>> = match classes {
            [] => vec![None],
            [_] => vec![together.clone()],
            _ => {
                let alone = classes.iter().map(|class| Some(vec![class.clone()]));
                alone.chain([together.clone()]).collect()
            }
        };
        let has_formula = classes.iter().any(|class| FORMULA_CLASSES.contains(&class.as_str()));
        let baseline = (preset == LanePreset::Compare && has_formula).then_some((LaneKind::Physical, together));
        let sampled = limits.into_iter().map(|limit| (LaneKind::Sampled, limit));
        sampled
            .chain(baseline)
            .map(|(kind, classes)| LaneSetup {
                kind,
                classes,
                ..LaneSetup::new(self.new_lane_id())
            })
            .collect()
    }

    /// The classes of the shared mix in the order of their names; those of a first start when fewer than two are on.
    fn classes_to_compare(&mut self) -> Vec<String> {
        if self.settings.sampling.mix.active().count() < 2 {
            for (class, ratio) in Sampling::default().mix.active() {
                if self.classes().iter().any(|known| known == class) {
                    self.set_ratio(class, ratio);
                }
            }
        }
        let mut classes: Vec<String> = self
            .settings
            .sampling
            .mix
            .active()
            .map(|(class, _)| class.to_owned())
            .collect();
        classes.sort();
        classes
    }
}
