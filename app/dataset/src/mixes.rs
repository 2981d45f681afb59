//! Mixes of a plan: numbers, grids and random ranges, expanded to one mix per job.

use mdsd3_model::sampler::noise;
use mdsd3_render::RenderError;
use mdsd3_words::{MAX_RATIO, Mix};
use serde::Serialize;
use sha2::{Digest, Sha256};
use toml::{Table, Value};

use crate::check::{bad, check_keys, typed};

/// Random ratios are rounded to this many parts of 1, so that they read well and print exactly.
const DRAW_PARTS: f64 = 10_000.0;

/// What a plan says about one class of a mix.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ratio {
    /// One number.
    Fixed(f32),
    /// One mix per number.
    Grid(Vec<f32>),
    /// A draw per job, uniform between two numbers.
    Uniform([f32; 2]),
    /// A draw per job, normal with mean and standard deviation, held to `0..=1.5`.
    Normal([f32; 2]),
}

/// A mix of a plan: classes in the order given.
pub type MixSpec = Vec<(String, Ratio)>;

/// Reads one entry of `mixes`, such as `{ haze = { uniform = [0.2, 1.0] }, rain = 0.5 }`.
pub(super) fn read(value: &Value, place: &str) -> Result<MixSpec, RenderError> {
    let Value::Table(table) = value else {
        return Err(bad(format!(
            "{place}: a mix is a table such as {{ haze = 0.5, rain = 1.0 }}"
        )));
    };
    table
        .iter()
        .map(|(class, value)| Ok((class.clone(), read_ratio(value, &format!("{place}: {class}"))?)))
        .collect()
}

fn read_ratio(value: &Value, place: &str) -> Result<Ratio, RenderError> {
    let ratio = match value {
        Value::Integer(_) | Value::Float(_) => Ratio::Fixed(typed(value, place)?),
        Value::Array(_) => Ratio::Grid(typed(value, place)?),
        Value::Table(table) => read_range(table, place)?,
        _ => {
            return Err(bad(format!(
                "{place}: give a number, {{ grid = [..] }}, {{ uniform = [low, high] }} or {{ normal = [mean, deviation] }}"
            )));
        }
    };
    check_ratio(&ratio, place)?;
    Ok(ratio)
}

fn read_range(table: &Table, place: &str) -> Result<Ratio, RenderError> {
    check_keys(table, &["grid", "uniform", "normal"], place)?;
    let mut entries = table.iter();
    let (Some((kind, value)), None) = (entries.next(), entries.next()) else {
        return Err(bad(format!("{place}: give one of grid, uniform and normal")));
    };
    let place = format!("{place}: {kind}");
    Ok(match kind.as_str() {
        "grid" => Ratio::Grid(typed(value, &place)?),
        "uniform" => Ratio::Uniform(typed(value, &place)?),
        _ => Ratio::Normal(typed(value, &place)?),
    })
}

fn check_ratio(ratio: &Ratio, place: &str) -> Result<(), RenderError> {
    let in_range = |value: &f32| (0.0..=MAX_RATIO).contains(value);
    let numbers: &[f32] = match ratio {
        Ratio::Fixed(value) => std::slice::from_ref(value),
        Ratio::Grid(values) if values.is_empty() => return Err(bad(format!("{place}: the grid is empty"))),
        Ratio::Grid(values) => values,
        Ratio::Uniform(ends) if ends[0] > ends[1] => {
            return Err(bad(format!(
                "{place}: the range ends below its start; give [low, high]"
            )));
        }
        Ratio::Uniform(ends) => ends,
        Ratio::Normal([mean, deviation]) if !deviation.is_finite() || *deviation < 0.0 || !in_range(mean) => {
            return Err(bad(format!(
                "{place}: give a mean of 0 to {MAX_RATIO} and a deviation of 0 or more"
            )));
        }
        Ratio::Normal(_) => &[],
    };
    match numbers.iter().find(|value| !in_range(value)) {
        Some(outside) => Err(bad(format!("{place}: ratio {outside} is outside 0 to {MAX_RATIO}"))),
        None => Ok(()),
    }
}

/// How many mixes [`expand`] makes of a mix; the largest number when there are more.
pub(super) fn count(spec: &MixSpec) -> usize {
    let sizes = spec.iter().map(|(_, ratio)| match ratio {
        Ratio::Grid(values) => values.len(),
        _ => 1,
    });
    sizes.fold(1, usize::saturating_mul)
}

/// Every combination of a mix's grids; ranges stay ranges.
pub(super) fn expand(spec: &MixSpec) -> Vec<MixSpec> {
    let mut expanded = vec![MixSpec::new()];
    for (class, ratio) in spec {
        let values = match ratio {
            Ratio::Grid(values) => values.iter().map(|value| Ratio::Fixed(*value)).collect(),
            other => vec![other.clone()],
        };
        expanded = expanded
            .iter()
            .flat_map(|head| values.iter().map(move |value| (head, value)))
            .map(|(head, value)| head.iter().cloned().chain([(class.clone(), value.clone())]).collect())
            .collect();
    }
    expanded
}

/// Classes of an expanded mix that can have a ratio above 0.
pub(super) fn classes(spec: &MixSpec) -> impl Iterator<Item = &str> {
    spec.iter()
        .filter(|(_, ratio)| !matches!(ratio, Ratio::Fixed(value) if *value == 0.0))
        .map(|(class, _)| class.as_str())
}

/// The mix of one job: ranges are drawn, keyed by `job_words` and the class, so that a draw depends on nothing else.
pub(super) fn mix(spec: &MixSpec, job_words: &str) -> Result<Mix, RenderError> {
    let mut mix = Mix::new();
    for (class, ratio) in spec {
        let ratio = match ratio {
            Ratio::Fixed(value) => *value,
            // Grids are gone after `expand`; a lone one is its first value.
            Ratio::Grid(values) => values.first().copied().unwrap_or_default(),
            Ratio::Uniform([low, high]) => {
                let share = noise::unit(draw_key(job_words, class).0);
                rounded(f64::from(*low) + f64::from(high - low) * share)
            }
            Ratio::Normal([mean, deviation]) => {
                let (seed, stream) = draw_key(job_words, class);
                let normal = noise::normals(&mut noise::stream(seed, stream, 0), 1)[0];
                rounded(f64::from(*mean) + f64::from(*deviation) * f64::from(normal))
            }
        };
        mix.set(class, ratio).map_err(mdsd3_model::error::ModelError::from)?;
    }
    Ok(mix)
}

fn rounded(ratio: f64) -> f32 {
    ((ratio * DRAW_PARTS).round() / DRAW_PARTS).clamp(0.0, f64::from(MAX_RATIO)) as f32
}

fn draw_key(job_words: &str, class: &str) -> (u64, u64) {
    let digest = Sha256::digest(format!("mdsd3 draw v1\n{class}\n{job_words}"));
    let word = |from: usize| {
        digest[from..from + 8]
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte))
    };
    (word(0), word(8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> Result<MixSpec, RenderError> {
        let table: Table = toml::from_str(&format!("mix = {text}")).expect("TOML");
        read(&table["mix"], "mixes[0]")
    }

    #[test]
    fn grids_multiply_and_ranges_stay() {
        let spec = spec("{ haze = [0.1, 0.2], rain = { grid = [0.25, 0.5, 1] }, snow = { uniform = [0, 1] } }")
            .expect("valid");
        let expanded = expand(&spec);
        assert_eq!((expanded.len(), count(&spec)), (6, 6));
        let words = |spec: &MixSpec| mix(spec, "job").expect("valid").to_string();
        assert!(
            words(&expanded[1]).starts_with("haze=0.1,rain=0.5,snow=0."),
            "{}",
            words(&expanded[1])
        );
    }

    #[test]
    fn grids_are_counted_without_being_made() {
        let grid: Vec<String> = (0..1000)
            .map(|index| format!("{}", f64::from(index) / 1000.0))
            .collect();
        let classes = (0..30).map(|class| format!("c{class} = [{}]", grid.join(",")));
        let spec = spec(&format!("{{ {} }}", classes.collect::<Vec<_>>().join(", "))).expect("valid");
        assert_eq!(count(&spec), usize::MAX);
    }

    #[test]
    fn draws_are_keyed_by_the_job_and_fill_their_range() {
        let spec = spec("{ haze = { uniform = [0.2, 0.4] }, rain = { normal = [1.4, 0.5] } }").expect("valid");
        let drawn: Vec<Mix> = (0..500)
            .map(|job| mix(&spec, &job.to_string()).expect("valid"))
            .collect();
        assert_eq!(drawn[7], mix(&spec, "7").expect("valid"));
        let haze: Vec<f32> = drawn.iter().map(|mix| mix.ratio("haze")).collect();
        assert!(haze.iter().all(|value| (0.2..=0.4).contains(value)));
        let mean = haze.iter().sum::<f32>() / 500.0;
        assert!((mean - 0.3).abs() < 0.01, "{mean}");
        assert!(drawn.iter().all(|mix| mix.ratio("rain") <= MAX_RATIO));
    }

    #[test]
    fn wrong_ratios_are_refused_by_place() {
        for (text, what) in [
            ("{ haze = 1.6 }", "1.6"),
            ("{ haze = { uniform = [0.5, 0.2] } }", "low, high"),
            ("{ haze = { unifrom = [0.5, 0.2] } }", "\"uniform\""),
            ("{ haze = [] }", "empty"),
            ("{ haze = { normal = [0.5, -1.0] } }", "deviation"),
            ("{ haze = \"much\" }", "uniform"),
            ("0.5", "table"),
        ] {
            let error = spec(text).expect_err(text).to_string();
            assert!(error.contains("mixes[0]") && error.contains(what), "{error}");
        }
    }
}
