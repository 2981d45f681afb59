//! Presets: mixes under a name, those of the model's classes and the user's own.

use std::fmt;

use mdsd3_words::settings::{Key, Settings};
use mdsd3_words::{Mix, RatioCurve, RenderRequest, Sampling};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{State, sentence_case};

/// Settings of sampling that a preset leaves as they are; it sets all others.
const STAYS: [&str; 8] = [
    "steps",
    "guidance",
    "seed",
    "sampler",
    "sampler_aid",
    "prompt",
    "negative_prompt",
    "adapter_strength",
];

fn is_set(key: &str) -> bool {
    !STAYS.contains(&key)
}

/// A mix under a name. It sets everything of [`Sampling`] but steps, guidance, seed, sampler, prompts and adapter strength; photo
/// and model stay too.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    /// Its name.
    pub name: String,
    /// What it sets; the settings that stay are at their defaults.
    pub sampling: Sampling,
}

impl Preset {
    /// The settings under a name.
    pub fn new(name: &str, settings: &Sampling) -> Self {
        let mut sampling = Sampling::default();
        sampling.take(settings, &is_set);
        Self {
            name: name.to_owned(),
            sampling,
        }
    }

    fn of_mix(name: &str, mix: Mix) -> Self {
        let sampling = Sampling {
            mix,
            ..Sampling::default()
        };
        Self::new(name, &sampling)
    }
}

impl Serialize for Preset {
    /// Flat, as preferences always had it: the name, then what is set.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Preset", 1 + Sampling::keys().len())?;
        fields.serialize_field("name", &self.name)?;
        self.sampling.write(&mut fields, &is_set)?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Preset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("Preset", Sampling::keys(), PresetVisitor)
    }
}

struct PresetVisitor;

impl<'de> Visitor<'de> for PresetVisitor {
    type Value = Preset;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a preset")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Preset, A::Error> {
        let mut preset = Preset::of_mix("", Mix::new());
        while let Some(Key(key)) = map.next_key()? {
            if key == "name" {
                preset.name = map.next_value()?;
            } else if !is_set(&key) || !preset.sampling.read(&key, &mut map)? {
                // A preset of a later version may set more; what is known of it is still worth having.
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(preset)
    }
}

impl State {
    /// Presets that follow from the model's classes: each alone as strong as in training, and all together at half.
    pub fn built_in_presets(&self) -> Vec<Preset> {
        let mix_of = |ratios: &[(&str, f32)]| {
            let mut mix = Mix::new();
            for (class, ratio) in ratios {
                // A class of a loaded model has a name that a mix takes.
                mix.set(class, *ratio).ok();
            }
            mix
        };
        let classes = self.classes();
        let mut presets: Vec<Preset> = classes
            .iter()
            .map(|class| Preset::of_mix(&format!("{} alone", sentence_case(class)), mix_of(&[(class, 1.0)])))
            .collect();
        if classes.len() > 1 {
            let all: Vec<(&str, f32)> = classes.iter().map(|class| (class.as_str(), 0.5)).collect();
            presets.push(Preset::of_mix("Everything at half", mix_of(&all)));
        }
        presets
    }

    /// Takes a preset's settings over; classes that this model does not have are left out.
    pub fn apply_mix_preset(&mut self, preset: &Preset) {
        let classes = self.classes().to_vec();
        let heads = self.model.as_ref().map_or(0, |model| model.heads);
        self.edit(|RenderRequest { sampling, .. }| {
            let before = sampling.mix.clone();
            sampling.take(&preset.sampling, &is_set);
            sampling.mix = before;
            let is_known = |curve: &RatioCurve| classes.iter().any(|class| class == curve.class());
            sampling.curves.retain(is_known);
            sampling.head_ratios.retain(|one| one.head() < heads);
        });
        for class in &classes {
            self.set_ratio(class, preset.sampling.mix.ratio(class));
        }
    }

    /// Keeps the settings under a name; a preset of that name is replaced.
    pub fn save_preset(&mut self, name: &str) {
        let name = name.trim();
        if name.is_empty() {
            return;
        }
        let preset = Preset::new(name, &self.settings.sampling);
        self.presets.retain(|known| known.name != preset.name);
        self.presets.push(preset);
    }

    /// Forgets one of the user's presets.
    pub fn remove_preset(&mut self, name: &str) {
        self.presets.retain(|known| known.name != name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_sets_every_setting_of_sampling_but_those_that_are_said_to_stay() {
        let every = include_str!("../../../../tests/fixtures/every_setting.json");
        let sampling = serde_json::from_str::<RenderRequest>(every).expect("a run").sampling;
        let kept = Preset::new("Mine", &sampling).sampling;
        for key in Sampling::keys() {
            let mut only = Sampling::default();
            only.take(&sampling, &|wanted| wanted == *key);
            let mut kept_only = Sampling::default();
            kept_only.take(&kept, &|wanted| wanted == *key);
            assert_eq!(kept_only == only, is_set(key), "{key}");
        }
        assert!(STAYS.iter().all(|key| Sampling::keys().contains(key)), "{STAYS:?}");
    }
}
