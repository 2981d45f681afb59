//! Percentile intervals of a mean over scenes and seeds.

use rand_chacha::rand_core::Rng;

use crate::sampler::noise::stream;

/// Resamples per interval: the 2.5 % quantile then rests on 50 of them.
const RESAMPLES: usize = 2000;

/// A mean and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Mean over scenes of the mean over seeds.
    pub mean: f64,
    /// 2.5 % quantile of the resampled means.
    pub low: f64,
    /// 97.5 % quantile.
    pub high: f64,
    /// Values it rests on.
    pub count: usize,
}

/// Mean and 95 % percentile interval by the two-stage bootstrap (Davison and Hinkley 1997, section 3.8): scenes are drawn
/// with replacement, then seeds within each, since seeds of one scene resemble each other. Deterministic. `None`
/// without values; with one scene the interval speaks of seeds alone.
///
/// # Arguments
/// - `scenes`: per scene the values of its seeds; scenes without values are left out
pub fn estimate(scenes: &[Vec<f64>]) -> Option<Estimate> {
    let scenes: Vec<&Vec<f64>> = scenes.iter().filter(|values| !values.is_empty()).collect();
    if scenes.is_empty() {
        return None;
    }
    let mut rng = stream(0, 0, scenes.len() as u64);
    let mut pick = |count: usize| (rng.next_u64() % count as u64) as usize;
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let mut sum = 0.0;
            for _ in 0..scenes.len() {
                let seeds = scenes[pick(scenes.len())];
                sum += (0..seeds.len()).map(|_| seeds[pick(seeds.len())]).sum::<f64>() / seeds.len() as f64;
            }
            sum / scenes.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    Some(Estimate {
        mean: scenes
            .iter()
            .map(|values| values.iter().sum::<f64>() / values.len() as f64)
            .sum::<f64>()
            / scenes.len() as f64,
        low: means[RESAMPLES / 40],
        high: means[RESAMPLES - 1 - RESAMPLES / 40],
        count: scenes.iter().map(|values| values.len()).sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::noise::gaussian;

    #[test]
    fn equal_values_have_no_spread_and_nothing_has_no_estimate() {
        let all = estimate(&[vec![0.5; 4], vec![0.5; 3], vec![]]).expect("values");
        assert_eq!((all.mean, all.low, all.high, all.count), (0.5, 0.5, 0.5, 7));
        assert!(estimate(&[]).is_none() && estimate(&[vec![]]).is_none());
    }

    #[test]
    fn the_interval_is_the_normal_one_for_many_normal_values() {
        let values: Vec<f64> = gaussian(1, 0, 0, 400).into_iter().map(f64::from).collect();
        let all = estimate(std::slice::from_ref(&values)).expect("values");
        let width = all.high - all.low;
        assert!((width / (2.0 * 1.96 / 20.0) - 1.0).abs() < 0.15, "{all:?}");
        assert!(all.low < all.mean && all.mean < all.high);
        assert_eq!(estimate(&[values]), Some(all));
    }

    #[test]
    fn scenes_that_differ_widen_it() {
        let alike = estimate(&[vec![0.0, 1.0], vec![0.0, 1.0], vec![0.0, 1.0]]).expect("values");
        let apart = estimate(&[vec![0.0, 0.0], vec![0.5, 0.5], vec![1.0, 1.0]]).expect("values");
        assert!(
            apart.high - apart.low > alike.high - alike.low,
            "{apart:?} against {alike:?}"
        );
    }
}
