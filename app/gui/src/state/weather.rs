//! The weather's side of the scene: how far away everything is, where classes act, and the layers of a physical lane.
//!
//! All of it is computed on the worker's thread, and only while something shows it.

use std::path::PathBuf;
use std::sync::Arc;

use mdsd3_engine::chores::Chore;
use mdsd3_engine::data::FORMULA_CLASSES;
use mdsd3_engine::protocol::{Request, SceneWeatherView, WeatherOf};
use mdsd3_words::RenderRequest;
use mdsd3_words::image::LayerView;
use mdsd3_words::lane::LaneKind;
use mdsd3_words::weather::{ClassMask, WeatherSettings};

use super::{Effect, Outstanding, State, file_name};
use crate::lane::Lane;
use crate::notice::Level;

/// Longest side of a mask that is drawn as a rectangle, in pixels.
const MASK_PX: u32 = 2048;

/// What is known of the weather.
#[derive(Debug, Default)]
pub struct WeatherDesk {
    scene: Answered<WeatherOf, Arc<SceneWeatherView>>,
    layers: Answered<RenderRequest, Arc<[LayerView]>>,
}

/// What the worker computes of something: what it was asked for last, and its newest answer.
#[derive(Debug)]
struct Answered<K, V> {
    asked: Option<K>,
    answer: Option<(K, Result<V, String>)>,
}

impl<K, V> Default for Answered<K, V> {
    fn default() -> Self {
        Self {
            asked: None,
            answer: None,
        }
    }
}

impl<K: PartialEq + Clone, V> Answered<K, V> {
    /// Whether it has to be asked for `key`: one question at a time, and none twice.
    fn ask(&mut self, key: &K) -> bool {
        let is_known = self.answer.as_ref().is_some_and(|(of, _)| of == key);
        let asks = self.asked.is_none() && !is_known;
        if asks {
            self.asked = Some(key.clone());
        }
        asks
    }

    fn answered(&mut self, key: K, outcome: Result<V, String>) {
        self.asked = None;
        self.answer = Some((key, outcome));
    }

    /// No answer will come: the engine was restarted.
    fn give_up(&mut self, why: &str) {
        if let Some(key) = self.asked.take() {
            self.answer = Some((key, Err(why.to_owned())));
        }
    }

    /// The newest answer, which may be of what was asked before.
    fn newest(&self) -> Option<Result<&V, &str>> {
        let (_, outcome) = self.answer.as_ref()?;
        Some(outcome.as_ref().map_err(String::as_str))
    }
}

impl State {
    /// Asks for depth and regions of the scene, when they aren't known; to be called while something shows them.
    pub fn want_scene_weather(&mut self) {
        let Some(scene) = &self.scene else { return };
        let of = WeatherOf {
            path: scene.path.clone(),
            size: self.settings.scene.size,
            settings: WeatherSettings {
                regions: self.settings.weather.regions.clone(),
                ..depth_of(&self.settings.weather)
            },
        };
        if self.weather.scene.ask(&of) {
            self.effects.push(Effect::Send(Request::SceneWeather(Box::new(of))));
        }
    }

    /// Depth and regions, or why they can't be had; `None` while they are computed for the first time.
    pub fn scene_weather(&self) -> Option<Result<&Arc<SceneWeatherView>, &str>> {
        self.weather.scene.newest()
    }

    /// The physical lane whose layers are shown: the selected one, or else the first.
    pub fn layered_lane(&self) -> Option<usize> {
        let is_physical = |index: &usize| self.lanes()[*index].setup.kind == LaneKind::Physical;
        let selected = Some(self.selected_lane()).filter(is_physical);
        selected.or_else(|| (0..self.lanes().len()).find(is_physical))
    }

    /// What the layered lane has made.
    pub(super) fn layered_result(&self) -> Option<&Lane> {
        self.lanes()[self.layered_lane()?].result.as_ref()
    }

    /// Asks for the layers of the result that the layered lane shows; to be called while something shows them.
    pub fn want_layers(&mut self) {
        let Some(request) = self.layered_result().map(|lane| lane.request.clone()) else {
            return;
        };
        if self.weather.layers.ask(&request) {
            self.effects.push(Effect::Send(Request::Layers(Box::new(request))));
        }
    }

    /// The layers, or why they can't be had; `None` while they are computed for the first time, and without a result.
    pub fn layers(&self) -> Option<Result<&Arc<[LayerView]>, &str>> {
        self.layered_result().and_then(|_| self.weather.layers.newest())
    }

    /// Lets the layers go: they take many times the image's memory.
    pub fn forget_layers(&mut self) {
        self.weather.layers.answer = None;
    }

    /// Writes all layers of the result that the layered lane shows into a folder.
    pub fn save_layers(&mut self, folder: PathBuf) {
        let Some(request) = self.layered_result().map(|lane| lane.request.clone()) else {
            let message = "There are no layers to save yet: add a physical lane and press Mix";
            self.messages.notify(Level::Warning, message, None);
            return;
        };
        self.outstanding.push_back(Outstanding::Save(folder.clone()));
        let request = Box::new(request);
        self.effects.push(Effect::Send(Request::SaveLayers { request, folder }));
    }

    pub(super) fn scene_weather_told(&mut self, of: WeatherOf, outcome: Result<Arc<SceneWeatherView>, String>) {
        let before = self.weather.scene.newest().map(|answer| answer.is_err());
        if let (Err(message), false) = (&outcome, before == Some(true)) {
            self.messages.notify(Level::Error, message.clone(), None);
        }
        self.weather.scene.answered(of, outcome);
    }

    pub(super) fn layers_told(&mut self, of: RenderRequest, outcome: Result<Arc<[LayerView]>, String>) {
        self.weather.layers.answered(of, outcome);
    }

    pub(super) fn weather_lost(&mut self, why: &str) {
        self.weather.scene.give_up(why);
        self.weather.layers.give_up(why);
    }

    /// Takes a file as the depth map of the photo; without one the depth is estimated, or the map beside the photo is taken.
    pub fn set_depth(&mut self, path: Option<PathBuf>) {
        if let Some(path) = &path {
            let name = file_name(Some(path));
            self.messages.record(Level::Info, format!("Depth map: {name}"));
        }
        self.edit(|settings| settings.weather.depth = path);
    }

    /// Where a class acts: white in that image, or everywhere.
    pub fn set_region(&mut self, class: &str, mask: Option<PathBuf>) {
        self.edit(|settings| {
            let regions = &mut settings.weather.regions;
            regions.retain(|region| region.class != class);
            let class = class.to_owned();
            regions.extend(mask.map(|mask| ClassMask { class, mask }));
        });
    }

    /// Lets a class act in a rectangle alone, of which the corners are given in shares of the scene's width and height; the mask
    /// is written into `folder`.
    pub fn draw_region(&mut self, class: &str, [left, top, right, bottom]: [f32; 4], folder: PathBuf) {
        let Some(scene) = &self.scene else { return };
        let (wide, high) = scene.seen().unwrap_or((1.0, 1.0));
        let place = |at: f32, seen: f32| 0.5 + (at.clamp(0.0, 1.0) - 0.5) * seen;
        let (width, height) = scene.original_size_px;
        let shrink = (f64::from(MASK_PX) / f64::from(width.max(height).max(1))).min(1.0);
        let side = |length: u32| ((f64::from(length) * shrink).round() as u32).max(1);
        self.send_chore(Chore::DrawMask {
            class: class.to_owned(),
            size_px: (side(width), side(height)),
            corners: [
                place(left.min(right), wide),
                place(top.min(bottom), high),
                place(left.max(right), wide),
                place(top.max(bottom), high),
            ],
            folder,
        });
    }

    /// All classes that something can make: the checkpoint's, then those that only formulas have. Colours go by this order.
    pub fn known_classes(&self) -> impl Iterator<Item = &str> {
        let of_checkpoint = || self.classes().iter().map(String::as_str);
        let others = FORMULA_CLASSES
            .into_iter()
            .filter(move |class| of_checkpoint().all(|known| known != *class));
        of_checkpoint().chain(others)
    }

    /// A class's place among all of them.
    pub fn class_place(&self, class: &str) -> Option<usize> {
        self.known_classes().position(|known| known == class)
    }

    /// Whether the selected lane is degraded by formulas, without a network.
    pub fn is_by_formula(&self) -> bool {
        let selected = self.lanes().get(self.selected_lane());
        selected.is_some_and(|slot| slot.setup.kind == LaneKind::Physical)
    }

    /// The classes that the Mixer offers: the checkpoint's, and those of the formulas for a physical lane; with others that the
    /// mix has already, so that they can be turned off.
    pub fn offered_classes(&self) -> Vec<String> {
        let own = self.classes();
        let mix = &self.settings.sampling.mix;
        let is_offered = |class: &&str| {
            own.iter().any(|known| known == class)
                || self.is_by_formula()
                || (!own.is_empty() && mix.ratio(class) > 0.0)
        };
        self.known_classes().filter(is_offered).map(str::to_owned).collect()
    }

    /// Active classes of the lane at `index` that the checkpoint lacks, so that its network leaves them out.
    pub fn lacking_classes(&self, index: usize) -> Vec<String> {
        let is_sampled = self
            .lanes()
            .get(index)
            .is_some_and(|slot| slot.setup.kind == LaneKind::Sampled);
        let asked = self.whole_request_of(index);
        let active = asked.sampling.mix.active().map(|(class, _)| class);
        let lacking = active.filter(|class| is_sampled && self.only_formula_has(class));
        lacking.map(str::to_owned).collect()
    }

    /// Whether a class has a formula and isn't one of the loaded checkpoint's.
    pub(super) fn only_formula_has(&self, class: &str) -> bool {
        let is_known = self.classes().iter().any(|known| known == class);
        !self.classes().is_empty() && !is_known && FORMULA_CLASSES.contains(&class)
    }

    /// A depth map and regions are those of one photo: with another they are put aside, and undo brings them back.
    pub(super) fn put_weather_files_aside(&mut self) {
        let mut had_any = false;
        self.for_each_settings(|settings| had_any |= forget_files_of_photo(&mut settings.weather));
        if had_any {
            let message =
                "The depth map and the regions belong to the photo before, and are put aside; undo brings them back";
            self.messages.notify(Level::Info, message, None);
        }
    }
}

/// What a scene's depth depends on.
pub(super) fn depth_of(settings: &WeatherSettings) -> WeatherSettings {
    WeatherSettings {
        depth: settings.depth.clone(),
        depth_kind: settings.depth_kind,
        depth_metres_per_unit: settings.depth_metres_per_unit,
        depth_model: settings.depth_model.clone(),
        ..WeatherSettings::default()
    }
}

/// Forgets what belongs to one photo: its depth map and the regions. Whether there were any.
pub fn forget_files_of_photo(settings: &mut WeatherSettings) -> bool {
    let depth = settings.depth.take();
    let regions = std::mem::take(&mut settings.regions);
    depth.is_some() || !regions.is_empty()
}
