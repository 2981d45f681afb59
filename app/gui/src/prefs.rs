//! What the studio remembers between sessions.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use mdsd3_words::lane::LaneId;
use mdsd3_words::{ModelSettings, RenderRequest};
use serde::{Deserialize, Serialize};

use crate::colormap::ColorMap;
use crate::compare::{FLICKER_RANGE_SECS, FLICKER_SECS};
use crate::layout::{Layout, StoredLayout};
use crate::state::presets::Preset;
use crate::state::queue::{MAX_SEEDS, QueueForm, Unfinished};
use crate::state::weather::forget_files_of_photo;
use crate::state::{CLEAN_LANE, LaneSetup};
use crate::theme::Look;

/// Where preferences are kept; a new number is given when their meaning changes, so that old ones are left alone.
const PREFS_KEY: &str = "studio-1";

/// Where the layout is kept.
const LAYOUT_KEY: &str = "layout-1";

/// Look, settings and files of the last session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Prefs {
    /// Dark or light.
    pub look: Look,
    /// Colours of spectra.
    pub color_map: ColorMap,
    /// How long each image of a flicker is shown, in seconds.
    pub flicker_secs: f64,
    /// The settings that lanes share.
    pub settings: RenderRequest,
    /// The lanes; one with the shared settings when empty.
    pub lanes: Vec<LaneSetup>,
    /// Index of the lane that the Mixer edits.
    pub selected_lane: usize,
    /// Whether Mix keeps the seed.
    pub seed_locked: bool,
    /// Photos opened lately.
    pub recent: Vec<PathBuf>,
    /// The user's presets.
    pub presets: Vec<Preset>,
    /// What the queue's next entry will be.
    pub queue_form: QueueForm,
    /// Datasets to go on with.
    pub unfinished: Vec<Unfinished>,
    /// Recipe of the last training, as typed.
    pub recipe: String,
}

/// What was stored, as far as it could be read.
#[derive(Debug)]
pub struct Remembered {
    /// Look, settings and files.
    pub prefs: Prefs,
    /// The panes.
    pub layout: Layout,
    /// Whether anything of the studio's was stored.
    pub stored: bool,
    /// Whether something that was stored could not be read, or is no value that the studio knows, so that its default took
    /// its place.
    pub is_damaged: bool,
}

impl Default for Prefs {
    fn default() -> Self {
        Self {
            look: Look::default(),
            color_map: ColorMap::default(),
            flicker_secs: FLICKER_SECS,
            settings: RenderRequest::default(),
            lanes: Vec::new(),
            selected_lane: 0,
            seed_locked: true,
            recent: Vec::new(),
            presets: Vec::new(),
            queue_form: QueueForm::default(),
            unfinished: Vec::new(),
            recipe: String::new(),
        }
    }
}

impl Prefs {
    /// What was stored, of which `entry` gives each by its name; what is missing or unreadable takes its default.
    pub fn load(entry: impl Fn(&str) -> Option<String>) -> Remembered {
        let (prefs, layout) = (entry(PREFS_KEY), entry(LAYOUT_KEY));
        let stored = prefs.is_some() || layout.is_some();
        let (prefs, prefs_damaged) = read::<Self>(prefs);
        let (layout, layout_damaged) = read::<StoredLayout>(layout);
        let prefs = prefs.unwrap_or_default();
        let sane = prefs.clone().sane();
        let (layout, layout_mended) = layout.map(StoredLayout::restored).unwrap_or_default();
        Remembered {
            is_damaged: prefs_damaged || layout_damaged || layout_mended || sane != prefs,
            stored,
            prefs: sane,
            layout,
        }
    }

    /// The same from the text of the window library's file; `None` for one that is no map of texts.
    pub fn of_file(text: &str) -> Option<Remembered> {
        let entries: HashMap<String, String> = ron::from_str(text).ok()?;
        Some(Self::load(|key| entries.get(key).cloned()))
    }

    /// Preferences and panes as they are stored: names and texts.
    pub fn entries(&self, layout: &Layout) -> impl Iterator<Item = (&'static str, String)> {
        let texts = [(PREFS_KEY, ron::to_string(self)), (LAYOUT_KEY, ron::to_string(layout))];
        // Plain data: there is nothing in it that could not be written.
        texts.into_iter().filter_map(|(key, text)| Some((key, text.ok()?)))
    }

    /// Lets go of the depth map and the regions, which are those of one photo.
    pub fn forget_weather_files(&mut self) {
        let own = self.lanes.iter_mut().filter_map(|lane| lane.own.as_deref_mut());
        for settings in own.chain([&mut self.settings]) {
            forget_files_of_photo(&mut settings.weather);
        }
    }

    /// A file that someone edited by hand must not lock the user out: settings that no run would accept are dropped.
    fn sane(mut self) -> Self {
        let can_run = |settings: &RenderRequest| {
            let mut settings = settings.clone();
            // Whether this build can load the model is found out when it is opened; nothing else is lost by that.
            if settings.model.check().is_err() {
                (settings.model, settings.branch) = (ModelSettings::default(), None);
            }
            settings.check_settings().is_ok()
        };
        if !can_run(&self.settings) {
            self.settings = RenderRequest::default();
        }
        if !FLICKER_RANGE_SECS.contains(&self.flicker_secs) {
            self.flicker_secs = FLICKER_SECS;
        }
        // Results and frames are told apart by their lane's number.
        let mut known = HashSet::from([CLEAN_LANE, LaneId::MAX]);
        self.lanes
            .retain(|lane| lane.own.as_ref().is_none_or(|own| can_run(own)) && known.insert(lane.id));
        self.presets.retain(|preset| {
            let sampling = preset.sampling.clone();
            can_run(&RenderRequest {
                sampling,
                ..RenderRequest::default()
            })
        });
        self.queue_form.seeds = self.queue_form.seeds.clamp(1, MAX_SEEDS);
        self
    }
}

/// A stored value, and whether there was one that could not be read.
fn read<T: serde::de::DeserializeOwned>(text: Option<String>) -> (Option<T>, bool) {
    let value = text.as_ref().and_then(|text| ron::from_str(text).ok());
    let is_damaged = value.is_none() && text.is_some();
    (value, is_damaged)
}

#[cfg(test)]
mod tests {

    use mdsd3_words::Sampling;

    use super::*;

    /// What a next session reads of these preferences.
    fn reread(prefs: &Prefs) -> Remembered {
        let entries: HashMap<&str, String> = prefs.entries(&Layout::default()).collect();
        Prefs::load(|key| entries.get(key).cloned())
    }

    #[test]
    fn everything_survives_a_restart() {
        let mut prefs = Prefs {
            look: Look::Light,
            color_map: ColorMap::Cividis,
            flicker_secs: 1.5,
            seed_locked: false,
            ..Prefs::default()
        };
        prefs.settings.sampling.beta = 0.4;
        prefs.lanes = vec![LaneSetup::new(1), LaneSetup::new(2)];
        prefs.recent.push("a.png".into());
        prefs.queue_form.seeds = 7;
        prefs.recipe = "rain.toml".to_owned();
        prefs.unfinished.push(Unfinished {
            plan: "rain.toml".into(),
            folder: "rain-1a2b3c4d".into(),
        });
        let mine = Sampling {
            mix: "rain=0.3".parse().expect("well formed"),
            curves: vec!["rain=1:1,0.5:0".parse().expect("well formed")],
            head_ratios: vec!["2=0.5".parse().expect("well formed")],
            beta: 0.2,
            start_at_noise_share: true,
            ..Sampling::default()
        };
        prefs.presets.push(Preset::new("Drizzle", &mine));
        let loaded = reread(&prefs);
        assert_eq!(loaded.prefs, prefs);
        assert!(!loaded.is_damaged && loaded.stored);
        assert!(!Prefs::load(|_| None).stored);
    }

    #[test]
    fn damaged_preferences_become_the_defaults() {
        let damaged = format!("{{{PREFS_KEY:?}: \"(look: Purple\", {LAYOUT_KEY:?}: \"42\"}}");
        let loaded = Prefs::of_file(&damaged).expect("a map of texts");
        assert_eq!(loaded.prefs, Prefs::default());
        assert!(loaded.is_damaged);
    }

    #[test]
    fn impossible_settings_are_dropped() {
        let prefs = Prefs {
            settings: RenderRequest {
                sampling: Sampling {
                    steps: 0,
                    ..Sampling::default()
                },
                ..RenderRequest::default()
            },
            flicker_secs: 0.0,
            ..Prefs::default()
        };
        assert_eq!(prefs.sane(), Prefs::default());
    }

    #[test]
    fn values_that_can_not_be_are_replaced_and_told() {
        let kept = Prefs {
            lanes: vec![LaneSetup::new(3)],
            ..Prefs::default()
        };
        let mut strange = kept.clone();
        strange.lanes.extend([3, CLEAN_LANE, LaneId::MAX].map(LaneSetup::new));
        strange.queue_form.seeds = 0;
        let weightless = Sampling {
            alpha: f32::NAN,
            ..Sampling::default()
        };
        strange.presets.push(Preset::new("Nothing", &weightless));
        let loaded = reread(&strange);
        assert_eq!((loaded.prefs, loaded.is_damaged), (kept, true));
    }

    #[test]
    fn a_model_that_this_build_can_not_load_takes_no_settings_with_it() {
        let mut prefs = Prefs::default();
        prefs.settings.sampling.steps = 7;
        prefs.settings.model.device = "abacus".to_owned();
        assert_eq!(prefs.clone().sane(), prefs);
    }
}
