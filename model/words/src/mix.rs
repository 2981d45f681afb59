//! Mixes: how much of each degradation class a scene gets.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::WordsError;

/// The largest ratio the sampler accepts; the studio's sliders span `0..=MAX_RATIO`.
pub const MAX_RATIO: f32 = 1.5;

/// Ratios by class name, in the order they were given; a class that is absent has ratio 0.
///
/// Written `haze=0.8,rain=0.5` on the command line (spaces around names and numbers are ignored, the empty
/// string is the clean mix) and as a table such as `{"haze": 0.8, "rain": 0.5}` in TOML and JSON. Every way of
/// building one holds the ratios to `0..=MAX_RATIO` and the names to letters, digits, `_`, `-` and `.`, so that
/// a mix can be printed, parsed and used in file names without quoting.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mix {
    ratios: Vec<(String, f32)>,
}

/// What is wrong with a mix; each message is one line.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MixError {
    /// A part without `=`.
    #[error("mix part {0:?} has no '=': write class=ratio pairs separated by commas, such as haze=0.8,rain=0.5")]
    MissingEquals(String),
    /// A ratio without a class.
    #[error("mix part {0:?} names no class: write class=ratio pairs separated by commas, such as haze=0.8,rain=0.5")]
    EmptyName(String),
    /// A class name that could not be printed and parsed back.
    #[error("class name {0:?} may hold only letters, digits, '_', '-' and '.'")]
    BadName(String),
    /// A ratio that is not a number.
    #[error("ratio of {class} is {text:?}, which is not a number: give 0 to {MAX_RATIO}")]
    NotANumber {
        /// The class.
        class: String,
        /// What stood in place of the number.
        text: String,
    },
    /// A ratio outside `0..=MAX_RATIO`.
    #[error("ratio of {class} is {ratio}: give 0 (off) to {MAX_RATIO} (1 is the strength the model was trained at)")]
    OutOfRange {
        /// The class.
        class: String,
        /// Its ratio.
        ratio: f32,
    },
    /// A class that is given twice.
    #[error("class {0} is given twice: keep one of them")]
    Duplicate(String),
}

impl Mix {
    /// The clean mix: no class at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ratio of `class`, 0 when it is absent.
    pub fn ratio(&self, class: &str) -> f32 {
        self.iter()
            .find(|(name, _)| *name == class)
            .map_or(0.0, |(_, ratio)| ratio)
    }

    /// All classes with their ratios, in the order given, zeros included.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f32)> {
        self.ratios.iter().map(|(name, ratio)| (name.as_str(), *ratio))
    }

    /// The classes with a ratio above 0, in the order given.
    pub fn active(&self) -> impl Iterator<Item = (&str, f32)> {
        self.iter().filter(|(_, ratio)| *ratio > 0.0)
    }

    /// Whether no class has a ratio above 0.
    pub fn is_clean(&self) -> bool {
        self.active().next().is_none()
    }

    /// Sets the ratio of `class`, in its place when it is there already, else at the end.
    pub fn set(&mut self, class: &str, ratio: f32) -> Result<(), MixError> {
        let ratio = checked_ratio(class, ratio)?;
        match self.ratios.iter_mut().find(|(name, _)| name == class) {
            Some(entry) => entry.1 = ratio,
            None => self.ratios.push((class.to_owned(), ratio)),
        }
        Ok(())
    }

    /// Refuses classes that are not among `known`, naming the nearest known one when there is a likely slip of the pen.
    pub fn check_classes<S: AsRef<str>>(&self, known: &[S]) -> Result<(), WordsError> {
        let unknown = self
            .iter()
            .find(|(name, _)| known.iter().all(|class| class.as_ref() != *name));
        let Some((name, _)) = unknown else {
            return Ok(());
        };
        let hint = nearest(name, known)
            .map(|class| format!(", did you mean {class}?"))
            .unwrap_or_default();
        let list = known.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
        Err(WordsError::BadInput(format!(
            "unknown class {name}{hint} (known classes: {list})"
        )))
    }

    fn push_new(&mut self, class: &str, ratio: f32) -> Result<(), MixError> {
        if self.iter().any(|(name, _)| name == class) {
            return Err(MixError::Duplicate(class.to_owned()));
        }
        self.set(class, ratio)
    }
}

/// The ratio, validated together with its class name; `-0` becomes `0` so that it prints as such.
fn checked_ratio(class: &str, ratio: f32) -> Result<f32, MixError> {
    if class.is_empty() {
        return Err(MixError::EmptyName(format!("={ratio}")));
    }
    if !class
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
    {
        return Err(MixError::BadName(class.to_owned()));
    }
    if (0.0..=MAX_RATIO).contains(&ratio) {
        Ok(ratio.abs())
    } else {
        Err(MixError::OutOfRange {
            class: class.to_owned(),
            ratio,
        })
    }
}

/// The known class within two edits of `name` (one for names up to four letters, where two would make hail a slip of
/// rain).
fn nearest<'a, S: AsRef<str>>(name: &str, known: &'a [S]) -> Option<&'a str> {
    let allowed = if name.chars().count() <= 4 { 1 } else { 2 };
    known
        .iter()
        .map(|class| {
            (
                edit_distance(&name.to_lowercase(), &class.as_ref().to_lowercase()),
                class.as_ref(),
            )
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, class)| class)
}

/// Levenshtein distance in characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, ratio)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{name}={ratio}")?;
        }
        Ok(())
    }
}

impl FromStr for Mix {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, MixError> {
        let mut mix = Self::new();
        if text.trim().is_empty() {
            return Ok(mix);
        }
        for part in text.split(',') {
            let (name, number) = part.split_once('=').ok_or_else(|| missing_equals(part))?;
            let (name, number) = (name.trim(), number.trim());
            if name.is_empty() {
                return Err(MixError::EmptyName(part.to_owned()));
            }
            let ratio = number.parse().map_err(|_| MixError::NotANumber {
                class: name.to_owned(),
                text: number.to_owned(),
            })?;
            mix.push_new(name, ratio)?;
        }
        Ok(mix)
    }
}

/// A blank part comes from a stray comma: it lacks a name before it lacks the sign.
fn missing_equals(part: &str) -> MixError {
    if part.trim().is_empty() {
        MixError::EmptyName(part.to_owned())
    } else {
        MixError::MissingEquals(part.to_owned())
    }
}

impl Serialize for Mix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.ratios.len()))?;
        for (name, ratio) in self.iter() {
            map.serialize_entry(name, &shortest_f64(ratio))?;
        }
        map.end()
    }
}

/// The shortest decimal of `ratio` as a double, since widening 0.8 bit by bit would be written 0.800000011920929.
fn shortest_f64(ratio: f32) -> f64 {
    ratio.to_string().parse().unwrap_or_else(|_| f64::from(ratio))
}

impl<'de> Deserialize<'de> for Mix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MixVisitor)
    }
}

/// Reads a table entry by entry, which keeps the order of the text; a map type in between would sort it.
struct MixVisitor;

impl<'de> Visitor<'de> for MixVisitor {
    type Value = Mix;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of ratios by class, such as {\"haze\": 0.8, \"rain\": 0.5}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Mix, A::Error> {
        let mut mix = Mix::new();
        while let Some((name, ratio)) = map.next_entry::<String, f32>()? {
            mix.push_new(&name, ratio).map_err(A::Error::custom)?;
        }
        Ok(mix)
    }
}

#[cfg(test)]
mod tests;
