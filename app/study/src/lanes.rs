//! Which residuals are measured: one per mix, and one per mix for what its classes do to each other.

use mdsd3_render::RenderError;
use mdsd3_words::Mix;

use crate::request::AnalyzeRequest;

/// Mixes and the interactions between them.
#[derive(Debug, Clone)]
pub struct LanePlan {
    /// Names of all lanes: the mixes, then the interactions.
    pub names: Vec<String>,
    /// The mixes that are sampled.
    pub mixes: Vec<Mix>,
    /// A mix of several classes, and the lanes that hold each of them alone at the same ratio.
    pub interactions: Vec<(usize, Vec<usize>)>,
}

impl LanePlan {
    /// The lanes of a request, and an interaction for every mix whose parts are lanes themselves.
    pub fn new(request: &AnalyzeRequest) -> Result<Self, RenderError> {
        let mixes = request
            .lanes
            .iter()
            .map(|lane| lane.mix(request.ratio))
            .collect::<Result<Vec<_>, _>>()?;
        let mut names: Vec<String> = request.lanes.iter().map(|lane| lane.name.clone()).collect();
        let mut interactions = Vec::new();
        for (index, mix) in mixes.iter().enumerate().filter(|(_, mix)| mix.active().count() > 1) {
            let alone = |(class, ratio)| mixes.iter().position(|other| other.active().eq([(class, ratio)]));
            if let Some(parts) = mix.active().map(alone).collect::<Option<Vec<_>>>() {
                let minus: Vec<&str> = parts.iter().map(|part| request.lanes[*part].name.as_str()).collect();
                names.push(format!("({}) - {}", names[index], minus.join(" - ")));
                interactions.push((index, parts));
            }
        }
        Ok(Self {
            names,
            mixes,
            interactions,
        })
    }

    /// Differences of each mix to the clean branch, which comes last in `samples`, then of each interaction: the mix's
    /// difference minus those of its parts, zero if classes merely added up.
    pub(super) fn residuals(&self, samples: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let Some((clean, lanes)) = samples.split_last() else {
            return Vec::new();
        };
        let minus = |a: &[f32], b: &[f32]| -> Vec<f32> { a.iter().zip(b).map(|(a, b)| a - b).collect() };
        let mut residuals: Vec<Vec<f32>> = lanes.iter().map(|lane| minus(lane, clean)).collect();
        for (mix, parts) in &self.interactions {
            let rest = parts
                .iter()
                .fold(residuals[*mix].clone(), |rest, part| minus(&rest, &residuals[*part]));
            residuals.push(rest);
        }
        residuals
    }

    /// Lanes of one class alone.
    pub fn singles(&self) -> Vec<usize> {
        (0..self.mixes.len())
            .filter(|lane| self.mixes[*lane].active().count() == 1)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::tests::parsed;

    fn plan(args: &[&str]) -> LanePlan {
        LanePlan::new(&parsed(args)).expect("in range")
    }

    #[test]
    fn a_mix_whose_parts_are_lanes_gets_an_interaction() {
        let default = plan(&[]);
        assert_eq!(
            default.names,
            ["haze", "rain", "haze+rain", "(haze+rain) - haze - rain"]
        );
        assert_eq!(
            (default.interactions.clone(), default.singles()),
            (vec![(2, vec![0, 1])], vec![0, 1])
        );
        assert!(plan(&["--lanes", "haze,haze+rain"]).interactions.is_empty());
        assert!(plan(&["--lanes", "haze,rain,haze=0.5+rain"]).interactions.is_empty());
    }

    #[test]
    fn an_interaction_is_zero_when_classes_add_up() {
        let plan = plan(&[]);
        let samples = [vec![3.0, 1.0], vec![1.0, 6.0], vec![3.0, 5.0], vec![1.0, 1.0]];
        let residuals = plan.residuals(&samples);
        assert_eq!(residuals[2], [2.0, 4.0]);
        assert_eq!(residuals[3], [0.0, -1.0]);
    }
}
