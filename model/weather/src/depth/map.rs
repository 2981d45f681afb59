//! From the numbers of a depth map to distances of a scene.

use image::Rgb32FImage;
use mdsd3_words::WordsError;
use mdsd3_words::weather::DepthKind;

use super::resample::{Grid, filled, resampled};
use super::{DepthSource, MEDIAN_METRES, SKY_METRES, SceneDepth, bad, estimate};
use crate::plane::Plane;

/// Nearest and farthest distance of anything but the sky, in metres.
const METRES: (f32, f32) = (0.1, SKY_METRES / 2.0);
/// Disparities below this share of the nearest ones are as good as zero, which is infinitely far: one level of 8 bits.
const LEAST_DISPARITY: f32 = 1.0 / 255.0;
/// The share of pixels that is left out at the near end where the nearest is asked for: specks are no measure.
const SPECKS: f32 = 0.01;
/// By how much the aspect of a map may differ from its photo's.
const ASPECT_TOLERANCE: f64 = 0.02;
/// Of what isn't sky, the share that must be nearer than what the estimate takes for sky, so that the map agrees that it is.
const FAR_SHARE: f32 = 0.75;
/// The least share of a scene that is looked at as its sky.
const LEAST_SKY: f32 = 0.01;

/// A depth map of a whole photo.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthMap {
    /// Logarithm of metres; what it says where there is sky or a hole doesn't count.
    log_metres: Plane,
    /// 1 where it says that nothing is there, infinitely far.
    sky: Plane,
    /// 1 where it says nothing.
    holes: Plane,
    source: DepthSource,
    notes: Vec<String>,
}

/// The part of a photo that a scene shows, in shares of the photo's sides: left, top, width, height.
pub type Part = [f64; 4];

impl DepthMap {
    /// Distances from the numbers of a map.
    ///
    /// # Arguments
    /// - `metres_per_unit`: metres in one unit of a distance, metres times the unit of a disparity; without it the median of what
    ///   isn't sky is put at [`MEDIAN_METRES`]
    /// - `origin`: where it comes from, and what a user should know of how it was read
    ///
    /// # Errors
    /// In words that follow its name: what is wrong with the numbers, and what to do.
    pub(super) fn new(
        numbers: Plane,
        kind: DepthKind,
        metres_per_unit: Option<f32>,
        (source, mut notes): (DepthSource, Vec<String>),
    ) -> Result<Self, String> {
        check(&numbers, kind)?;
        let least = match kind {
            DepthKind::Distance => 0.0,
            DepthKind::Disparity => quantile(numbers.values.iter().copied(), 1.0 - SPECKS) * LEAST_DISPARITY,
        };
        let is_sky = |value: f32| match kind {
            DepthKind::Distance => value.is_infinite(),
            DepthKind::Disparity => value <= least,
        };
        let is_hole = |value: f32| kind == DepthKind::Distance && value == 0.0;
        let distance = |value: f32| match kind {
            DepthKind::Distance => value,
            DepthKind::Disparity => 1.0 / value,
        };
        let valid = numbers
            .values
            .iter()
            .copied()
            .filter(|value| !is_sky(*value) && !is_hole(*value));
        let scale = match metres_per_unit {
            Some(scale) => scale,
            None => MEDIAN_METRES / quantile(valid.map(distance), 0.5),
        };
        let each = |number: &dyn Fn(f32) -> f32| Plane {
            values: numbers.values.iter().map(|value| number(*value)).collect(),
            ..numbers
        };
        let share = |is: bool| if is { 1.0 } else { 0.0 };
        let holes = each(&|value| share(is_hole(value)));
        let sky = each(&|value| share(is_sky(value)));
        let missing = holes.mean();
        if missing > 0.5 {
            return Err(format!(
                "is 0, so without a distance, in {:.0} % of its pixels; fill it first, or set the depth kind to disparity if 0 is infinitely far",
                100.0 * missing
            ));
        }
        if missing > 0.0 {
            notes.push(format!(
                "{:.1} % of the depth map are 0, so without a distance; they were filled from their neighbours",
                100.0 * missing
            ));
        }
        if kind == DepthKind::Distance && sky.mean() > 0.0 {
            notes.push("infinite distances of the depth map are the sky".to_owned());
        }
        let log_metres = each(&|value| libm::logf((distance(value) * scale).clamp(METRES.0, METRES.1)));
        let valid = holes
            .values
            .iter()
            .zip(&sky.values)
            .map(|(hole, sky)| *hole == 0.0 && *sky == 0.0);
        let log_metres = filled(&log_metres, &valid.collect::<Vec<bool>>());
        Ok(Self {
            log_metres,
            sky,
            holes,
            source,
            notes,
        })
    }

    /// A network's relative disparity of the whole photo, larger nearer.
    ///
    /// # Errors
    /// [`WordsError::BadInput`] for numbers that say nothing.
    pub fn of_network(disparity: Plane, name: &str) -> Result<Self, WordsError> {
        let origin = (DepthSource::Network(name.to_owned()), Vec::new());
        Self::new(disparity, DepthKind::Disparity, None, origin)
            .map_err(|reason| bad(format!("{name}: its depth {reason}")))
    }

    #[cfg(test)]
    pub(super) fn log_metres(&self) -> &Plane {
        &self.log_metres
    }

    #[cfg(test)]
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Refuses a map that can't be of a photo of this size.
    ///
    /// # Errors
    /// [`WordsError::BadInput`] that says both sizes.
    pub fn check_covers(&self, photo: (u32, u32)) -> Result<(), WordsError> {
        let (width, height) = (self.log_metres.width, self.log_metres.height);
        let ratio = width as f64 * f64::from(photo.1) / (height as f64 * f64::from(photo.0));
        // Small maps can't have the aspect exactly.
        let rounding = 1.0 / width.min(height) as f64;
        if (ratio - 1.0).abs() <= ASPECT_TOLERANCE.max(rounding) {
            return Ok(());
        }
        let name = self.source.name();
        Err(bad(format!(
            "{name}: is {width}x{height} px and its photo {}x{} px; a depth map covers the whole photo at any size, so give it the same aspect",
            photo.0, photo.1
        )))
    }

    /// The depth of a scene that shows a part of the photo, along the edges of the scene.
    pub fn of_scene(&self, scene: &Rgb32FImage, part: Part) -> SceneDepth {
        let grid = Grid::new(scene, part, (self.log_metres.width, self.log_metres.height));
        let log_metres = resampled(&self.log_metres, &grid);
        let metres = Plane::from_rows(log_metres.width, log_metres.height, |y, row| {
            for (metres, log) in row.iter_mut().zip(log_metres.row(y)) {
                *metres = libm::expf(*log).clamp(METRES.0, METRES.1);
            }
        });
        let mut depth = SceneDepth {
            metres,
            sky: resampled(&self.sky, &grid),
            source: self.source.clone(),
            notes: self.notes.clone(),
        };
        let holes = resampled(&self.holes, &grid);
        add_sky(&mut depth, &holes, &estimate(scene).sky);
        depth
    }
}

/// Where the photo shows sky and the map is as far as it goes there, or says nothing, it is sky: few maps have a value for it.
fn add_sky(depth: &mut SceneDepth, holes: &Plane, seen: &Plane) {
    let share = seen.mean();
    if share < LEAST_SKY || depth.metres.values.is_empty() {
        return;
    }
    let places = || depth.metres.values.iter().zip(&seen.values);
    let ground = quantile(
        places().filter(|(_, sky)| **sky < 0.5).map(|(metres, _)| *metres),
        FAR_SHARE,
    );
    let middle = quantile(places().filter(|(_, sky)| **sky < 0.5).map(|(metres, _)| *metres), 0.5);
    let sky = quantile(places().filter(|(_, sky)| **sky > 0.5).map(|(metres, _)| *metres), 0.5);
    let known = depth
        .sky
        .values
        .iter()
        .zip(&seen.values)
        .filter(|(known, seen)| **seen > 0.5 && **known > 0.5);
    let is_known = known.count() * 2 > seen.values.iter().filter(|seen| **seen > 0.5).count();
    let are_holes = holes
        .values
        .iter()
        .zip(&seen.values)
        .filter(|(hole, seen)| **seen > 0.5 && **hole > 0.5)
        .count()
        * 2
        > seen.values.iter().filter(|seen| **seen > 0.5).count();
    if !is_known && !are_holes && sky < middle {
        depth.notes.push(format!(
            "warning: in {} the sky is nearer than most of the scene; if its numbers are the other way round, set the depth kind to \
             disparity or distance",
            depth.source.name()
        ));
        return;
    }
    for (at, seen) in seen.values.iter().enumerate() {
        if depth.metres.values[at] >= ground || holes.values[at] > 0.5 {
            depth.sky.values[at] = depth.sky.values[at].max(*seen);
        }
    }
}

fn check(numbers: &Plane, kind: DepthKind) -> Result<(), String> {
    let values = &numbers.values;
    if values.iter().any(|value| value.is_nan()) {
        return Err("holds NaN; write the sky as inf and unknown distances as 0".to_owned());
    }
    if values.iter().any(|value| *value < 0.0) {
        return Err("holds negative numbers; distances and disparities are 0 or more".to_owned());
    }
    if kind == DepthKind::Disparity && values.iter().any(|value| value.is_infinite()) {
        return Err(
            "holds infinite disparities, which are no distance; set the depth kind to distance, whose inf is the sky"
                .to_owned(),
        );
    }
    let mut finite = values
        .iter()
        .copied()
        .filter(|value| value.is_finite() && (*value > 0.0 || kind == DepthKind::Disparity));
    let Some(first) = finite.next() else {
        return Err("holds no distance at all; save it again".to_owned());
    };
    if finite.all(|value| value.to_bits() == first.to_bits()) {
        return Err(format!(
            "is {first} everywhere, so it tells nothing apart; give another, or none for an estimate"
        ));
    }
    Ok(())
}

/// The value below which a share of the values lies; 1 for none.
fn quantile(values: impl Iterator<Item = f32>, share: f32) -> f32 {
    let mut values: Vec<f32> = values.filter(|value| value.is_finite()).collect();
    if values.is_empty() {
        return 1.0;
    }
    let at = ((values.len() - 1) as f32 * share) as usize;
    *values.select_nth_unstable_by(at, f32::total_cmp).1
}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
