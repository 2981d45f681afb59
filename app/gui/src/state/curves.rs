//! Editing ratio curves: points over sigma, held in order and in range.

use mdsd3_words::{MAX_RATIO, RatioCurve};

use super::State;
use crate::notice::Level;

/// Sigma and factor of a point.
pub type Point = (f32, f32);

/// Least distance of two points in sigma.
const GAP: f32 = 0.01;

impl State {
    /// The points of a class's curve by ascending sigma; none while its ratio is constant.
    pub fn curve_points(&self, class: &str) -> Vec<Point> {
        let curve = self
            .settings
            .sampling
            .curves
            .iter()
            .find(|curve| curve.class() == class);
        curve.map(|curve| curve.points().to_vec()).unwrap_or_default()
    }

    /// Sets a class's curve; no points make its ratio constant.
    pub fn set_curve(&mut self, class: &str, points: Vec<Point>) {
        let curve = (!points.is_empty()).then(|| RatioCurve::new(class, points)).transpose();
        let curve = curve.unwrap_or_else(|error| {
            // The controls can't make such a curve; if they could, the ratio would be constant.
            self.messages.record(Level::Warning, error.to_string());
            None
        });
        self.edit(|settings| {
            settings.sampling.curves.retain(|curve| curve.class() != class);
            settings.sampling.curves.extend(curve);
        });
    }

    /// Adds a point, and both ends where the ratio was constant; the index of the new point.
    pub fn add_curve_point(&mut self, class: &str, at: Point) -> usize {
        let mut points = self.curve_points(class);
        if points.is_empty() {
            points = vec![(0.0, 1.0), (1.0, 1.0)];
        }
        let at = in_range(at);
        let index = points.partition_point(|point| point.0 < at.0);
        let crowded = points.iter().any(|point| (point.0 - at.0).abs() < GAP);
        if crowded {
            return index.min(points.len() - 1);
        }
        points.insert(index, at);
        self.set_curve(class, points);
        index
    }

    /// Moves a point; it stays between its neighbours.
    pub fn move_curve_point(&mut self, class: &str, index: usize, to: Point) {
        let mut points = self.curve_points(class);
        if index >= points.len() {
            return;
        }
        let (sigma, factor) = in_range(to);
        let lowest = index.checked_sub(1).map_or(0.0, |before| points[before].0 + GAP);
        let highest = points.get(index + 1).map_or(1.0, |after| after.0 - GAP);
        let moved = (rounded(sigma.min(highest).max(lowest)), factor);
        if points[index] != moved {
            points[index] = moved;
            self.set_curve(class, points);
        }
    }

    /// Takes a point away; without any the ratio is constant.
    pub fn remove_curve_point(&mut self, class: &str, index: usize) {
        let mut points = self.curve_points(class);
        if index < points.len() {
            points.remove(index);
            self.set_curve(class, points);
        }
    }

    /// Makes every ratio constant.
    pub fn clear_curves(&mut self) {
        self.edit(|settings| settings.sampling.curves.clear());
    }
}

/// Two digits, as the read-outs show them.
fn rounded(value: f32) -> f32 {
    (value * 100.0).round() / 100.0
}

fn in_range((sigma, factor): Point) -> Point {
    (rounded(sigma.clamp(0.0, 1.0)), rounded(factor.clamp(0.0, MAX_RATIO)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_stay_between_their_neighbours_and_in_range() {
        let mut state = State::default();
        assert!(state.curve_points("rain").is_empty(), "constant by default");
        let index = state.add_curve_point("rain", (0.5, 0.3));
        assert_eq!(index, 1);
        assert_eq!(state.curve_points("rain"), [(0.0, 1.0), (0.5, 0.3), (1.0, 1.0)]);
        state.move_curve_point("rain", 1, (7.0, -3.0));
        assert_eq!(state.curve_points("rain")[1], (0.99, 0.0));
        state.move_curve_point("rain", 1, (-1.0, 9.0));
        assert_eq!(state.curve_points("rain")[1], (0.01, MAX_RATIO));
        state.move_curve_point("rain", 9, (0.5, 0.5));
        assert!(state.curve_points("haze").is_empty());
    }

    #[test]
    fn removing_the_last_point_makes_the_ratio_constant() {
        let mut state = State::default();
        state.set_curve("rain", vec![(0.4, 0.5)]);
        assert_eq!(state.settings.sampling.curves.len(), 1);
        state.remove_curve_point("rain", 0);
        state.remove_curve_point("rain", 0);
        assert!(state.settings.sampling.curves.is_empty());
    }

    #[test]
    fn a_point_on_top_of_another_is_not_added() {
        let mut state = State::default();
        state.set_curve("rain", vec![(0.4, 0.5)]);
        assert_eq!(state.add_curve_point("rain", (0.405, 0.1)), 0);
        assert_eq!(state.curve_points("rain"), [(0.4, 0.5)]);
    }
}
