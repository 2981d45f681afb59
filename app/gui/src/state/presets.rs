//! Presets: mixes under a name, those of the model's classes and the user's own.

use mdsd3_engine::{HeadRatio, Mix, RatioCurve};
use serde::{Deserialize, Serialize};

use super::{State, sentence_case};

/// What a preset sets; photo, seed, steps and model stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preset {
    /// Its name.
    pub name: String,
    /// Ratios by class.
    pub mix: Mix,
    /// Curves over sigma.
    #[serde(default)]
    pub curves: Vec<RatioCurve>,
    /// Single heads.
    #[serde(default)]
    pub head_ratios: Vec<HeadRatio>,
    /// Weight of the noise.
    pub alpha: f32,
    /// Weight of the scene.
    pub beta: f32,
    /// Whether the first step is at the noise's share.
    #[serde(default)]
    pub start_at_noise_share: bool,
}

impl Preset {
    fn of_mix(name: String, mix: Mix) -> Self {
        Self {
            name,
            mix,
            curves: Vec::new(),
            head_ratios: Vec::new(),
            alpha: 1.0,
            beta: 0.0,
            start_at_noise_share: false,
        }
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
            .map(|class| Preset::of_mix(format!("{} alone", sentence_case(class)), mix_of(&[(class, 1.0)])))
            .collect();
        if classes.len() > 1 {
            let all: Vec<(&str, f32)> = classes.iter().map(|class| (class.as_str(), 0.5)).collect();
            presets.push(Preset::of_mix("Everything at half".to_owned(), mix_of(&all)));
        }
        presets
    }

    /// Takes a preset's settings over; classes that this model does not have are left out.
    pub fn apply_mix_preset(&mut self, preset: &Preset) {
        let classes = self.classes().to_vec();
        for class in &classes {
            self.set_ratio(class, preset.mix.ratio(class));
        }
        let known = |class: &str| classes.iter().any(|name| name == class);
        let heads = self.model.as_ref().map_or(0, |model| model.heads);
        let settings = &mut self.settings;
        settings.curves = preset
            .curves
            .iter()
            .filter(|curve| known(curve.class()))
            .cloned()
            .collect();
        settings.head_ratios = preset
            .head_ratios
            .iter()
            .filter(|one| one.head() < heads)
            .copied()
            .collect();
        (settings.alpha, settings.beta) = (preset.alpha, preset.beta);
        settings.start_at_noise_share = preset.start_at_noise_share;
        self.settings_changed();
    }

    /// Keeps the settings under a name; a preset of that name is replaced.
    pub fn save_preset(&mut self, name: &str) {
        let name = name.trim();
        if name.is_empty() {
            return;
        }
        let settings = &self.settings;
        let preset = Preset {
            name: name.to_owned(),
            mix: settings.mix.clone(),
            curves: settings.curves.clone(),
            head_ratios: settings.head_ratios.clone(),
            alpha: settings.alpha,
            beta: settings.beta,
            start_at_noise_share: settings.start_at_noise_share,
        };
        self.presets.retain(|known| known.name != preset.name);
        self.presets.push(preset);
    }

    /// Forgets one of the user's presets.
    pub fn remove_preset(&mut self, name: &str) {
        self.presets.retain(|known| known.name != name);
    }
}
