//! Single heads: which class owns a head, and ratios of their own.

use mdsd3_words::HeadRatio;

use super::State;
use crate::notice::Level;

impl State {
    /// Index of the class that owns a head; `None` for a left-over head.
    pub fn owner_of_head(&self, head: usize) -> Option<usize> {
        let owned = &self.model.as_ref()?.class_heads;
        owned.iter().position(|heads| heads.contains(&head))
    }

    /// The ratio that a head was given of its own.
    pub fn single_head(&self, head: usize) -> Option<f32> {
        let single = self.settings.sampling.head_ratios.iter().find(|one| one.head() == head);
        single.map(|one| one.ratio())
    }

    /// The ratio that a head has: its own, or its class's.
    pub fn head_ratio(&self, head: usize) -> f32 {
        let of_class = || {
            let class = self.owner_of_head(head).and_then(|index| self.classes().get(index));
            class.map_or(0.0, |class| self.settings.sampling.mix.ratio(class))
        };
        self.single_head(head).unwrap_or_else(of_class)
    }

    /// Gives a head a ratio of its own; `None` lets it follow its class.
    pub fn set_head(&mut self, head: usize, ratio: Option<f32>) {
        let one = match ratio.map(|ratio| HeadRatio::new(head, ratio)).transpose() {
            Ok(one) => one,
            Err(error) => return self.messages.record(Level::Warning, error.to_string()),
        };
        self.edit(|settings| {
            let single = &mut settings.sampling.head_ratios;
            single.retain(|one| one.head() != head);
            single.extend(one);
            single.sort_by_key(|one| one.head());
        });
    }

    /// Lets every head follow its class.
    pub fn release_heads(&mut self) {
        self.edit(|settings| settings.sampling.head_ratios.clear());
    }
}
