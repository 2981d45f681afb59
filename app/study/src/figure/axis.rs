//! Axes of charts: where values lie, and which are labelled.

/// How numbers map to a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Proportional.
    Linear,
    /// By the decimal logarithm.
    Log,
}

/// One axis of a panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What it shows, with the unit.
    pub label: String,
    /// How.
    pub scale: Scale,
    /// Value at the left or bottom, value at the right or top; the first may be the larger.
    pub range: (f64, f64),
    /// Where labels stand, and what they say.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// A linear axis with a label at each of `ticks`.
    pub fn linear(label: &str, range: (f64, f64), ticks: &[f64]) -> Self {
        let ticks = ticks.iter().map(|tick| (*tick, tick.to_string())).collect();
        Self {
            label: label.to_owned(),
            scale: Scale::Linear,
            range,
            ticks,
        }
    }

    /// A linear axis from 0 to a round number that holds `largest`, with up to six labels.
    pub fn from_zero(label: &str, largest: f64) -> Self {
        let rough = largest.max(1e-9) / 5.0;
        let magnitude = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|m| m * magnitude)
            .into_iter()
            .find(|step| *step >= rough)
            .unwrap_or(rough);
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let count = (largest / step).ceil().max(1.0) as usize;
        let ticks = (0..=count)
            .map(|i| (i as f64 * step, format!("{:.decimals$}", i as f64 * step)))
            .collect();
        Self {
            label: label.to_owned(),
            scale: Scale::Linear,
            range: (0.0, count as f64 * step),
            ticks,
        }
    }

    /// A logarithmic axis over whole decades that hold `range`.
    pub fn decades(label: &str, range: (f64, f64)) -> Self {
        let low = range.0.log10().floor() as i32;
        // A black image has no power to draw.
        let high = (range.1.log10().ceil() as i32).max(low + 1);
        let every = ((high - low) / 6 + 1) as usize;
        let ticks = (low..=high)
            .step_by(every)
            .map(|power| (10f64.powi(power), format!("1e{power}")))
            .collect();
        Self {
            label: label.to_owned(),
            scale: Scale::Log,
            range: (10f64.powi(low), 10f64.powi(high)),
            ticks,
        }
    }

    /// Position of a value, 0 to 1 within the range.
    pub(super) fn position(&self, value: f64) -> f64 {
        let (a, b) = self.range;
        match self.scale {
            Scale::Linear => (value - a) / (b - a),
            Scale::Log => (value / a).log10() / (b / a).log10(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_place_values_and_hold_the_largest() {
        let falling = Axis::linear("sigma", (1.0, 0.0), &[1.0, 0.0]);
        assert!((falling.position(0.75) - 0.25).abs() < 1e-12);
        let log = Axis::decades("power", (3e-5, 0.2));
        assert_eq!(log.range, (1e-5, 1.0));
        assert!((log.position(1e-4) - 0.2).abs() < 1e-9);
        assert_eq!(
            Axis::decades("power", (1.0, 1e-8)).range,
            (1.0, 10.0),
            "nothing to draw"
        );
        for largest in [0.03, 0.7, 1.0, 23.0] {
            let axis = Axis::from_zero("x", largest);
            assert!(axis.range.1 >= largest && axis.ticks.len() <= 7, "{axis:?}");
        }
    }
}
