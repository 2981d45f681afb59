//! Ratio curves: a class's ratio may change with the noise level instead of being a constant.
//!
//! The claim behind them is that low frequencies form at high noise and high frequencies at low noise, so that switching
//! a class on and off over sigma says where it is decided (and may keep classes out of each other's way).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::WordsError;
use crate::mix::{MAX_RATIO, Mix};

/// Factor on one class's ratio over sigma, piecewise linear and constant beyond its outer points.
///
/// Written `haze=1:1,0.5:1,0.3:0`: pairs of sigma and factor, here on until sigma 0.5 and fading out until 0.3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RatioCurve {
    class: String,
    /// (sigma, factor), by ascending sigma; at least one.
    points: Vec<(f32, f32)>,
}

impl RatioCurve {
    /// A curve through `points` of (sigma, factor), in any order.
    ///
    /// # Errors
    /// Bad input when there is no point, a sigma is outside 0..=1 or given twice, or a factor is outside
    /// `0..=MAX_RATIO`.
    pub fn new(class: &str, mut points: Vec<(f32, f32)>) -> Result<Self, WordsError> {
        if class.is_empty() || points.is_empty() {
            return Err(WordsError::BadInput(format!(
                "curve {class:?} has no class or no points: write class=sigma:factor,..."
            )));
        }
        for &(sigma, factor) in &points {
            if !(0.0..=1.0).contains(&sigma) || !(0.0..=MAX_RATIO).contains(&factor) {
                return Err(WordsError::BadInput(format!(
                    "curve of {class}: point {sigma}:{factor} is outside sigma 0 to 1 and factor 0 to {MAX_RATIO}"
                )));
            }
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        if points.windows(2).any(|pair| pair[1].0 <= pair[0].0) {
            return Err(WordsError::BadInput(format!(
                "curve of {class}: a sigma is given twice; keep one of them"
            )));
        }
        Ok(Self {
            class: class.to_owned(),
            points,
        })
    }

    /// The class it is about.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// Its points (sigma, factor), by ascending sigma.
    pub fn points(&self) -> &[(f32, f32)] {
        &self.points
    }

    /// The factor at a noise level.
    pub fn factor(&self, sigma: f32) -> f32 {
        let above = self.points.partition_point(|point| point.0 < sigma);
        match (above.checked_sub(1).map(|i| self.points[i]), self.points.get(above)) {
            (Some((s0, f0)), Some(&(s1, f1))) => f0 + (f1 - f0) * (sigma - s0) / (s1 - s0),
            (Some((_, factor)), None) | (None, Some(&(_, factor))) => factor,
            (None, None) => 1.0,
        }
    }
}

/// The mix at a noise level: every class that has a curve is scaled by it, up to the largest ratio allowed.
///
/// # Errors
/// None in practice: the scaled ratios stay in range.
pub fn mix_at(mix: &Mix, curves: &[RatioCurve], sigma: f32) -> Result<Mix, WordsError> {
    let mut scaled = mix.clone();
    for curve in curves {
        let ratio = mix.ratio(&curve.class);
        if ratio > 0.0 {
            scaled.set(&curve.class, (ratio * curve.factor(sigma)).min(MAX_RATIO))?;
        }
    }
    Ok(scaled)
}

/// Refuses curves of unknown classes and two curves of one class.
pub fn check_curves<S: AsRef<str>>(curves: &[RatioCurve], known: &[S]) -> Result<(), WordsError> {
    let mut all = Mix::new();
    for curve in curves {
        if all.iter().any(|(class, _)| class == curve.class) {
            return Err(WordsError::BadInput(format!(
                "class {} has two curves: keep one of them",
                curve.class
            )));
        }
        all.set(&curve.class, 1.0)?;
    }
    all.check_classes(known)
}

impl fmt::Display for RatioCurve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.class)?;
        for (index, (sigma, factor)) in self.points.iter().rev().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{sigma}:{factor}")?;
        }
        Ok(())
    }
}

impl FromStr for RatioCurve {
    type Err = WordsError;

    fn from_str(text: &str) -> Result<Self, WordsError> {
        let bad = || {
            WordsError::BadInput(format!(
                "curve {text:?} is not class=sigma:factor,..., such as haze=1:1,0.5:1,0.3:0"
            ))
        };
        let (class, points) = text.split_once('=').ok_or_else(bad)?;
        let point = |part: &str| {
            let (sigma, factor) = part.split_once(':')?;
            Some((sigma.trim().parse().ok()?, factor.trim().parse().ok()?))
        };
        let points: Option<Vec<_>> = points.split(',').map(point).collect();
        Self::new(class.trim(), points.ok_or_else(bad)?)
    }
}

impl TryFrom<String> for RatioCurve {
    type Error = WordsError;

    fn try_from(text: String) -> Result<Self, WordsError> {
        text.parse()
    }
}

impl From<RatioCurve> for String {
    fn from(curve: RatioCurve) -> Self {
        curve.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_linear_between_points_and_constant_beyond() {
        let curve: RatioCurve = "haze=0.9:1, 0.5:0.5 ,0.3:0".parse().unwrap();
        for (sigma, factor) in [
            (1.0, 1.0),
            (0.9, 1.0),
            (0.7, 0.75),
            (0.5, 0.5),
            (0.4, 0.25),
            (0.3, 0.0),
            (0.1, 0.0),
        ] {
            assert!(
                (curve.factor(sigma) - factor).abs() < 1e-6,
                "{sigma}: {}",
                curve.factor(sigma)
            );
        }
        assert_eq!(curve.to_string(), "haze=0.9:1,0.5:0.5,0.3:0");
        assert_eq!(curve.to_string().parse::<RatioCurve>().unwrap(), curve);
    }

    #[test]
    fn bad_curves_are_refused_in_one_line() {
        for text in [
            "haze",
            "haze=",
            "=1:1",
            "haze=1",
            "haze=1:x",
            "haze=1.1:1",
            "haze=1:2",
            "haze=nan:1",
            "haze=0.5:1,0.5:0",
        ] {
            let error = text.parse::<RatioCurve>().expect_err(text);
            assert!(
                error.is_bad_input() && error.to_string().lines().count() == 1,
                "{error}"
            );
        }
        let curve: RatioCurve = "haze=1:1".parse().unwrap();
        assert!(check_curves(&[curve.clone(), curve.clone()], &["haze"]).is_err());
        assert!(check_curves(&[curve], &["rain"]).is_err());
    }

    #[test]
    fn only_classes_with_a_curve_change() {
        let mix: Mix = "rain=1.5,haze=0.8".parse().unwrap();
        let curves = [
            "haze=1:0.5".parse().unwrap(),
            "rain=1:1.5".parse().unwrap(),
            "snow=1:1".parse().unwrap(),
        ];
        let scaled = mix_at(&mix, &curves, 0.4).unwrap();
        assert_eq!(scaled.to_string(), "rain=1.5,haze=0.4");
        assert_eq!(mix_at(&mix, &[], 0.4).unwrap(), mix);
    }
}
