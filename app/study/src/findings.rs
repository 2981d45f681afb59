//! What the numbers say, in sentences. They follow from the figures alone: none is written down beforehand, and where an
//! interval holds 0 it is said that nothing can be told.

use std::fmt::Write;

use mdsd3_model::spectrum::bands::{BANDS, band_edges};
use mdsd3_model::spectrum::bootstrap::Estimate;

use crate::analysis::Analysis;
use crate::summary::{ALL_BANDS, Measure};
use crate::tables::HIGH_BAND_RMS;
use crate::trajectory::Space;

/// Least share of a lane's energy that a band needs to be spoken of.
const SPOKEN_SHARE: f64 = 0.02;

/// The paragraph of findings, sentence by sentence.
pub fn findings(analysis: &Analysis) -> Vec<String> {
    let plan = &analysis.lanes;
    let mut sentences = Vec::new();
    for lane in 0..plan.mixes.len() {
        sentences.extend(formation(analysis, lane));
        sentences.extend(sampled(analysis, lane));
    }
    let singles = plan.singles();
    for (index, first) in singles.iter().enumerate() {
        for second in &singles[index + 1..] {
            sentences.extend(order(analysis, *first, *second, Space::Pixels));
            sentences.extend(order(analysis, *first, *second, Space::BetweenSeeds));
            sentences.extend(order_in_bands(analysis, *first, *second));
        }
    }
    for (index, (mix, parts)) in plan.interactions.iter().enumerate() {
        sentences.extend(interaction(analysis, index, *mix));
        for part in parts {
            sentences.extend(crispness(analysis, *part, *mix));
        }
    }
    for (lane, variant) in analysis.variant_kinds() {
        sentences.extend(intervention(analysis, lane, variant));
    }
    sentences
}

/// When a lane has half of its energy, and how that depends on frequency.
fn formation(analysis: &Analysis, lane: usize) -> Option<String> {
    let name = &analysis.lanes.names[lane];
    let formed = analysis.formed(lane, Space::Pixels, ALL_BANDS, 0.5)?;
    let mut sentence = format!(
        "Half of the energy of {name} is there at sigma {}",
        shown(formed.sigma, 2)
    );
    if formed.at_start > 0 {
        // Writing to a String can't fail, here and below.
        let _ = write!(
            sentence,
            ", in {} of {} runs at the first step already, whose prediction can only come from scene and class, not from \
             anything sampled",
            formed.at_start, formed.sigma.count
        );
    }
    let spoken: Vec<usize> = (1..BANDS)
        .filter(|band| {
            analysis
                .final_share(lane, Space::Pixels, *band)
                .is_some_and(|share| share.mean >= SPOKEN_SHARE)
        })
        .collect();
    if let [lowest, .., highest] = spoken[..] {
        let at = |band| {
            analysis
                .formed(lane, Space::Pixels, band, 0.5)
                .map(|formed| shown(formed.sigma, 2))
        };
        let (low, high) = (at(lowest)?, at(highest)?);
        let _ = write!(
            sentence,
            "; by frequency, {} at {low} and {} at {high}",
            in_words(lowest),
            in_words(highest)
        );
    }
    Some(sentence + ".")
}

/// When the part of a lane that differs between seeds forms, and how large it is.
fn sampled(analysis: &Analysis, lane: usize) -> Option<String> {
    let name = &analysis.lanes.names[lane];
    let energy = analysis.final_energy(lane, Space::BetweenSeeds, ALL_BANDS)?;
    let whole = analysis.final_energy(lane, Space::Pixels, ALL_BANDS)?;
    let half = analysis.formed(lane, Space::BetweenSeeds, ALL_BANDS, 0.5)?;
    let percent = 100.0 * energy.mean / whole.mean.max(f64::MIN_POSITIVE);
    Some(format!(
        "What differs between the seeds of a scene, {percent:.1} % of the energy of {name}, is half there at sigma {}.",
        shown(half.sigma, 2)
    ))
}

/// Which of two classes forms earlier.
fn order(analysis: &Analysis, first: usize, second: usize, space: Space) -> Option<String> {
    let lead = analysis.formed_earlier_by(first, second, space, ALL_BANDS)?;
    let (a, b) = (&analysis.lanes.names[first], &analysis.lanes.names[second]);
    let what = if space == Space::BetweenSeeds {
        "Counting only what differs between seeds"
    } else {
        "On the same noise"
    };
    Some(match sign(lead) {
        Some(true) => format!("{what}, {a} forms before {b}, by {} in sigma.", shown(lead, 2)),
        Some(false) => format!("{what}, {b} forms before {a}, by {} in sigma.", shown(negated(lead), 2)),
        None => format!(
            "{what}, it can't be told which of {a} and {b} forms first: they differ by {} in sigma.",
            shown(lead, 2)
        ),
    })
}

/// Whether classes still differ when the same band is compared: if not, frequency and not class decides.
fn order_in_bands(analysis: &Analysis, first: usize, second: usize) -> Option<String> {
    let (a, b) = (&analysis.lanes.names[first], &analysis.lanes.names[second]);
    let (mut earlier, mut later, mut open) = (Vec::new(), Vec::new(), Vec::new());
    for band in 1..BANDS {
        let Some(lead) = analysis.formed_earlier_by(first, second, Space::Pixels, band) else {
            continue;
        };
        match sign(lead) {
            Some(true) => earlier.push(in_words(band)),
            Some(false) => later.push(in_words(band)),
            None => open.push(in_words(band)),
        }
    }
    let list = |bands: &[String]| bands.join(", ");
    let mut parts = Vec::new();
    if !earlier.is_empty() {
        parts.push(format!("{a} is earlier in {}", list(&earlier)));
    }
    if !later.is_empty() {
        parts.push(format!("{b} is earlier in {}", list(&later)));
    }
    if !open.is_empty() {
        parts.push(format!("no difference shows in {}", list(&open)));
    }
    (!parts.is_empty()).then(|| format!("Compared within the same band, {}.", parts.join("; ")))
}

/// How far a mix is from the sum of its parts.
fn interaction(analysis: &Analysis, index: usize, mix: usize) -> Option<String> {
    let all = analysis.interaction_share(index, Space::Pixels, ALL_BANDS)?;
    let fine = analysis.interaction_share(index, Space::Pixels, BANDS - 1)?;
    Some(format!(
        "What {} does beyond the sum of its parts is {} % of its energy over all bands and {} % in {}.",
        analysis.lanes.names[mix],
        shown(percent(all), 1),
        shown(percent(fine), 1),
        in_words(BANDS - 1)
    ))
}

/// How a part's streaks fare in a mix.
fn crispness(analysis: &Analysis, part: usize, mix: usize) -> Option<String> {
    let streak: Measure = |m| m.streak;
    let (alone, mixed) = (analysis.measured(part, streak)?, analysis.measured(mix, streak)?);
    let anisotropy: Measure = |m| m.anisotropy;
    let (alone_direction, mixed_direction) = (
        analysis.measured(part, anisotropy)?,
        analysis.measured(mix, anisotropy)?,
    );
    Some(format!(
        "New fine detail measures {} in {} alone and {} in {} (RMS of 255), with anisotropy {} and {}.",
        shown(alone, 1),
        analysis.lanes.names[part],
        shown(mixed, 1),
        analysis.lanes.names[mix],
        shown(alone_direction, 2),
        shown(mixed_direction, 2)
    ))
}

/// Whether another way of sampling makes the new detail of a mix crisper: more of it above 1/4 cycle per pixel without
/// losing its direction.
fn intervention(analysis: &Analysis, lane: usize, variant: &str) -> Option<String> {
    let change = |of: Measure| analysis.variant_change(lane, variant, of);
    let streak = change(|m| m.streak)?;
    let fine = change(HIGH_BAND_RMS)?;
    let direction = change(|m| m.anisotropy)?;
    let verdict = match (sign(fine), sign(direction)) {
        (Some(true), Some(true) | None) => "crisper",
        (Some(true), Some(false)) => "finer but less directed, so not crisper",
        (Some(false), _) => "less crisp",
        (None, Some(false)) => "less directed",
        (None, Some(true)) => "more directed, but not finer",
        (None, None) => "as crisp as without, as far as can be told",
    };
    Some(format!(
        "Sampled with {variant}, the new detail of {} is {verdict}: against the plain sampler on the same seeds it changes by {} (RMS of \
         255), above 1/4 cycle per pixel by {}, its anisotropy by {}.",
        analysis.lanes.names[lane],
        shown(streak, 2),
        shown(fine, 2),
        shown(direction, 3)
    ))
}

/// Whether an interval lies above 0 (true), below (false) or around it (none).
pub fn sign(estimate: Estimate) -> Option<bool> {
    if estimate.low > 0.0 {
        Some(true)
    } else if estimate.high < 0.0 {
        Some(false)
    } else {
        None
    }
}

fn percent(share: Estimate) -> Estimate {
    Estimate {
        mean: share.mean * 100.0,
        low: share.low * 100.0,
        high: share.high * 100.0,
        count: share.count,
    }
}

fn negated(estimate: Estimate) -> Estimate {
    Estimate {
        mean: -estimate.mean,
        low: -estimate.high,
        high: -estimate.low,
        count: estimate.count,
    }
}

/// `0.81 [0.78, 0.84]`.
pub fn shown(estimate: Estimate, decimals: usize) -> String {
    format!(
        "{:.decimals$} [{:.decimals$}, {:.decimals$}]",
        estimate.mean, estimate.low, estimate.high
    )
}

/// A band in cycles per pixel: `1/16-1/8`.
pub fn in_words(band: usize) -> String {
    let fraction = |frequency: f32| {
        if frequency > 0.0 {
            format!("1/{:.0}", 1.0 / frequency)
        } else {
            "0".to_owned()
        }
    };
    match band {
        0 => "mean".to_owned(),
        ALL_BANDS => "all".to_owned(),
        _ => format!(
            "{}-{} cycles/px",
            fraction(band_edges(band).0),
            fraction(band_edges(band).1)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_around_zero_decides_nothing() {
        let of = |low, high| Estimate {
            mean: 0.0,
            low,
            high,
            count: 4,
        };
        assert_eq!(
            (sign(of(0.1, 0.2)), sign(of(-0.2, -0.1)), sign(of(-0.1, 0.2))),
            (Some(true), Some(false), None)
        );
        assert_eq!(in_words(5), "1/16-1/8 cycles/px");
        assert_eq!(
            (in_words(0), in_words(1)),
            ("mean".to_owned(), "0-1/128 cycles/px".to_owned())
        );
    }
}
