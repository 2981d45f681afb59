//! How lanes are compared: which images go into a lane's cell, and what is done with them. Nothing is drawn here.

use std::sync::Arc;

use mdsd3_words::image::Rgba8;
use mdsd3_words::lane::{LaneId, LaneKind};

use crate::colormap::difference_color;
use crate::lane::Lane;
use crate::picture::Picture;
use crate::state::{LaneSlot, State};

/// Seconds that each image of a flicker is shown at first: slow enough for eyes that tire, fast enough to see what moves.
pub const FLICKER_SECS: f64 = 0.6;

/// Seconds that can be chosen instead. Three flashes a second are the most that guidelines for photosensitive people
/// allow; 0.2 s per image are two and a half.
pub const FLICKER_RANGE_SECS: std::ops::RangeInclusive<f64> = 0.2..=3.0;

/// Ends of the difference scale on offer, in 8-bit levels.
pub const RANGES_LEVELS: [u8; 5] = [8, 16, 32, 64, 128];

/// What is done with a lane's image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CompareMode {
    /// It is shown as it is.
    #[default]
    Images,
    /// It is shown left of a line, what it is compared with right of it.
    Wipe,
    /// It takes turns with what it is compared with.
    Flicker,
    /// What it is compared with is taken away from it.
    Difference,
    /// What its classes do alone is taken away from what they do together.
    Interaction,
}

impl CompareMode {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Images,
        Self::Wipe,
        Self::Flicker,
        Self::Difference,
        Self::Interaction,
    ];

    /// The one after it; the first after the last.
    #[must_use]
    pub fn next(self) -> Self {
        let after = Self::ALL.iter().position(|mode| *mode == self).map_or(0, |at| at + 1);
        Self::ALL[after % Self::ALL.len()]
    }
}

/// What a lane's image is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Against {
    /// The photo.
    #[default]
    Scene,
    /// The clean branch on the same noise, at the same step.
    Clean,
    /// Another lane, at the same step.
    Lane(LaneId),
}

/// How lanes are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparing {
    /// What is done.
    pub mode: CompareMode,
    /// With what.
    pub against: Against,
    /// End of the difference scale, in 8-bit levels.
    pub range_levels: u8,
    /// Where a wipe changes over, in shares of the images' width.
    pub split: f32,
    /// How long each image of a flicker is shown, in seconds.
    pub flicker_secs: f64,
}

impl Default for Comparing {
    fn default() -> Self {
        Self {
            mode: CompareMode::default(),
            against: Against::default(),
            range_levels: 64,
            split: 0.5,
            flicker_secs: FLICKER_SECS,
        }
    }
}

/// Images of one size with a weight each.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedSum {
    /// The images and their weights.
    pub parts: Vec<(Rgba8, f32)>,
}

/// What a signed map amounts to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MapFigures {
    /// Root mean square of its luma, in 8-bit levels.
    pub rms_levels: f32,
    /// Share of its pixels whose luma is beyond the ends of the scale, 0 to 1.
    pub beyond: f32,
}

/// What a lane's cell shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// An image; with what it is when that is not the lane's own.
    Image(Rgba8, Option<String>),
    /// The first image left of the line, the second right of it.
    Wipe(Rgba8, Rgba8),
    /// A signed map, and its formula in words.
    Map(WeightedSum, String),
    /// A layer of a physical lane, with its scale.
    Layer(Arc<Picture>),
    /// The lane has no image at this step yet.
    NoImage,
    /// What to compare with is not there, and what to do about it.
    Missing(&'static str),
}

impl WeightedSum {
    /// The sum at a pixel, in 8-bit levels per channel; `None` outside, and when the images differ in size.
    pub fn levels_at(&self, x: u32, y: u32) -> Option<[f32; 3]> {
        let mut sum = [0.0; 3];
        let (first, _) = self.parts.first()?;
        for (image, weight) in &self.parts {
            if (image.width, image.height) != (first.width, first.height) || x >= image.width || y >= image.height {
                return None;
            }
            let at = (y * image.width + x) as usize * 4;
            let pixel = image.pixels.get(at..at + 3)?;
            let levels = sum.iter_mut().zip(pixel);
            levels.for_each(|(sum, level)| *sum += weight * f32::from(*level));
        }
        Some(sum)
    }

    /// Luma of the sum at a pixel, in 8-bit levels, weighted as in the spectra.
    pub fn luma_at(&self, x: u32, y: u32) -> Option<f32> {
        let [r, g, b] = self.levels_at(x, y)?;
        Some(0.299 * r + 0.587 * g + 0.114 * b)
    }

    /// What it amounts to on a scale that ends at `range_levels`; `None` when the images differ in size.
    pub fn figures(&self, range_levels: u8) -> Option<MapFigures> {
        let (first, _) = self.parts.first()?;
        let (mut squares, mut beyond) = (0.0_f64, 0_u32);
        for (y, x) in (0..first.height).flat_map(|y| (0..first.width).map(move |x| (y, x))) {
            let luma = self.luma_at(x, y)?;
            squares += f64::from(luma * luma);
            beyond += u32::from(luma.abs() > f32::from(range_levels));
        }
        let pixels = f64::from(first.width * first.height).max(1.0);
        Some(MapFigures {
            rms_levels: (squares / pixels).sqrt() as f32,
            beyond: (f64::from(beyond) / pixels) as f32,
        })
    }

    /// Luma in the colours of the signed table, `range_levels` at its upper end; `None` when the images differ in size.
    pub fn colored(&self, range_levels: u8) -> Option<Rgba8> {
        let (first, _) = self.parts.first()?;
        let at = |(x, y)| {
            let luma = self.luma_at(x, y)?;
            Some(difference_color(luma, f32::from(range_levels)).to_array())
        };
        let places = (0..first.height).flat_map(|y| (0..first.width).map(move |x| (x, y)));
        let pixels: Vec<[u8; 4]> = places.map(at).collect::<Option<_>>()?;
        Some(Rgba8 {
            width: first.width,
            height: first.height,
            pixels: pixels.concat().into(),
        })
    }
}

impl Comparing {
    /// Whether it needs the clean branch.
    pub fn needs_clean(&self) -> bool {
        match self.mode {
            CompareMode::Images => false,
            CompareMode::Interaction => true,
            CompareMode::Wipe | CompareMode::Flicker | CompareMode::Difference => self.against == Against::Clean,
        }
    }

    /// Whether it draws maps, which need a scale beside them.
    pub fn has_scale(&self) -> bool {
        matches!(self.mode, CompareMode::Difference | CompareMode::Interaction)
    }

    /// What the cell of the lane at `index` shows at `now_secs`.
    pub fn cell(&self, state: &State, index: usize, now_secs: f64) -> Cell {
        let slot = state.lanes().get(index);
        let Some((slot, lane, image)) = slot.and_then(|slot| {
            let lane = slot.result.as_ref()?;
            Some((slot, lane, &state.frame_of(lane)?.image))
        }) else {
            return Cell::NoImage;
        };
        match self.mode {
            CompareMode::Images => return Cell::Image(image.clone(), None),
            CompareMode::Interaction => return interaction(state, slot, lane, image),
            CompareMode::Wipe | CompareMode::Flicker | CompareMode::Difference => {}
        }
        let (other, name) = match reference(state, self.against, slot, lane) {
            Ok(Some(reference)) => reference,
            Ok(None) => return Cell::Image(image.clone(), None),
            Err(missing) => return Cell::Missing(missing),
        };
        match self.mode {
            CompareMode::Wipe => Cell::Wipe(image.clone(), other),
            CompareMode::Flicker if is_second_turn(now_secs, self.flicker_secs) => Cell::Image(other, Some(name)),
            CompareMode::Difference => {
                let formula = format!("{} − {name}", state.lane_name(index));
                let parts = vec![(image.clone(), 1.0), (other, -1.0)];
                Cell::Map(WeightedSum { parts }, formula)
            }
            CompareMode::Images | CompareMode::Flicker | CompareMode::Interaction => Cell::Image(image.clone(), None),
        }
    }
}

/// Whether a flicker shows what is compared with, rather than the lane.
fn is_second_turn(now_secs: f64, each_secs: f64) -> bool {
    (now_secs / each_secs).rem_euclid(2.0) >= 1.0
}

/// The image to compare a lane with, and its name; `None` when it is the lane itself.
fn reference(
    state: &State,
    against: Against,
    slot: &LaneSlot,
    lane: &Lane,
) -> Result<Option<(Rgba8, String)>, &'static str> {
    match against {
        Against::Scene => {
            let scene = state
                .scene
                .as_ref()
                .map(|scene| (scene.image.clone(), "scene".to_owned()));
            scene.map(Some).ok_or("There is no photo.")
        }
        Against::Clean => Ok(Some((clean(state, lane)?, "clean branch".to_owned()))),
        Against::Lane(id) if id == slot.setup.id => Ok(None),
        Against::Lane(id) => {
            let index = state.lanes().iter().position(|other| other.setup.id == id);
            let index = index.ok_or("The lane to compare with is gone: choose another.")?;
            let result = state.lanes().get(index).and_then(|other| other.result.as_ref());
            let frame = result.and_then(|result| state.frame_of(result));
            let image = frame
                .ok_or("The lane to compare with has no image yet: press Mix.")?
                .image
                .clone();
            Ok(Some((image, state.lane_name(index))))
        }
    }
}

/// The clean branch's image beside a lane's; only what started from the same latents can be taken away.
fn clean(state: &State, lane: &Lane) -> Result<Rgba8, &'static str> {
    let waiting = "The clean branch is made as soon as the lanes are done.";
    let clean = state.clean_lane().ok_or(waiting)?;
    if lane.steps() > 0 && !clean.request.starts_as(&lane.request) {
        return Err("The clean branch is on other noise: press Mix.");
    }
    Ok(state.frame_of(clean).ok_or(waiting)?.image.clone())
}

/// For a lane of several classes what remains after taking away what each does alone: all are differences to the clean
/// branch, which therefore comes back once less than there are classes. For other lanes their difference to it.
fn interaction(state: &State, slot: &LaneSlot, lane: &Lane, image: &Rgba8) -> Cell {
    if slot.setup.kind == LaneKind::Physical {
        return Cell::Image(image.clone(), None);
    }
    let clean = match clean(state, lane) {
        Ok(clean) => clean,
        Err(missing) => return Cell::Missing(missing),
    };
    let name = |lane: &Lane| {
        let mut classes: Vec<&str> = lane.request.sampling.mix.active().map(|(class, _)| class).collect();
        classes.sort_unstable();
        classes.join(" + ")
    };
    let classes = lane.request.sampling.mix.active().count();
    if classes < 2 {
        let parts = vec![(image.clone(), 1.0), (clean, -1.0)];
        return Cell::Map(WeightedSum { parts }, format!("{} − clean branch", name(lane)));
    }
    let mut parts = vec![(image.clone(), 1.0)];
    let mut formula = format!("({})", name(lane));
    for (class, ratio) in lane.request.sampling.mix.active() {
        let Some(alone) = alone(state, lane, class, ratio) else {
            return Cell::Missing(
                "A lane with each class alone at the same ratio is needed: choose Each class, together, physical.",
            );
        };
        parts.push((alone, -1.0));
    }
    for class in name(lane).split(" + ") {
        formula.extend([" − ", class]);
    }
    parts.push((clean, (classes - 1) as f32));
    Cell::Map(WeightedSum { parts }, formula)
}

/// The image of the lane that holds one class alone at a ratio, on the noise of `lane`.
fn alone(state: &State, lane: &Lane, class: &str, ratio: f32) -> Option<Rgba8> {
    let is_it = |slot: &&LaneSlot| {
        slot.setup.kind == LaneKind::Sampled
            && slot.result.as_ref().is_some_and(|other| {
                other.request.sampling.mix.active().eq([(class, ratio)]) && other.request.starts_as(&lane.request)
            })
    };
    let found = state.lanes().iter().find(is_it)?.result.as_ref()?;
    Some(state.frame_of(found)?.image.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(levels: [u8; 3]) -> Rgba8 {
        let [r, g, b] = levels;
        Rgba8 {
            width: 2,
            height: 1,
            pixels: vec![r, g, b, 255, r, g, b, 255].into(),
        }
    }

    #[test]
    fn sums_are_signed_levels_and_stop_at_the_images_edge() {
        let sum = WeightedSum {
            parts: vec![(flat([10, 20, 30]), 1.0), (flat([20, 20, 0]), -1.0)],
        };
        assert_eq!(sum.levels_at(1, 0), Some([-10.0, 0.0, 30.0]));
        assert!(
            sum.luma_at(0, 0)
                .is_some_and(|luma| (luma - (-2.99 + 3.42)).abs() < 1e-4)
        );
        let colored = sum.colored(64).expect("one size");
        assert_eq!((colored.width, colored.height, colored.pixels.len()), (2, 1, 8));
        assert_eq!(colored.pixels[..4], difference_color(-2.99 + 3.42, 64.0).to_array());
        assert_eq!(sum.levels_at(2, 0), None);
        assert_eq!(sum.levels_at(0, 1), None);
    }

    #[test]
    fn a_map_amounts_to_its_root_mean_square_and_to_what_is_beyond_the_scale() {
        let mut brighter = flat([0, 0, 0]);
        // Luma 30 at one pixel and 40 at the other: the root mean square is sqrt((900 + 1600) / 2).
        brighter.pixels = vec![30, 30, 30, 255, 40, 40, 40, 255].into();
        let parts = vec![(brighter, 1.0), (flat([0, 0, 0]), -1.0)];
        let figures = WeightedSum { parts }.figures(32).expect("images of one size");
        assert!(
            (figures.rms_levels - 35.355_34).abs() < 1e-3 && (figures.beyond - 0.5).abs() < 1e-6,
            "{figures:?}"
        );
    }

    #[test]
    fn a_flicker_takes_turns_of_equal_length() {
        let turns = |each_secs| [0.0, 0.5, 0.7, 1.1, 1.3].map(|now_secs| is_second_turn(now_secs, each_secs));
        assert_eq!(turns(0.6), [false, false, true, true, false]);
        assert_eq!(turns(1.2), [false, false, false, false, true]);
    }
}
