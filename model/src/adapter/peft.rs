//! The scale of an update: what a trainer's settings say its product is multiplied with.
//!
//! | where | what it says |
//! |---|---|
//! | a tensor `MODULE.alpha` | kohya's scale, `alpha / rank` |
//! | `adapter_config.json` beside PEFT's file | `lora_alpha`, `use_rslora`, `alpha_pattern`, `rank_pattern` |
//! | `lora_adapter_metadata` in diffusers' metadata | the same, per network |
//! | `lora_alpha` in this program's metadata | `alpha / rank` |
//!
//! Without any of them the scale is 1, as diffusers has it.

use std::path::Path;

use regex::Regex;
use serde_json::{Map, Value};

use crate::error::ModelError;
use crate::io::checkpoint::Weights;
use crate::io::layout::Home;

/// PEFT's name for the configuration in its folders.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// PEFT's `LoraConfig.lora_alpha` where a configuration leaves it out.
const PEFT_ALPHA: f64 = 8.0;
/// Fields of a PEFT configuration that would change what is computed, when they are set.
const UNREAD_FIELDS: [&str; 8] = [
    "fan_in_fan_out",
    "layer_replication",
    "use_qalora",
    "alora_invocation_tokens",
    "use_bdlora",
    "trainable_token_indices",
    "arrow_config",
    "kasa_config",
];
/// Initialisations that change the base's own weights, so that updates fit no other base.
const CHANGED_BASES: [&str; 5] = ["pissa", "olora", "corda", "loftq", "lora_ga"];

/// All that an adapter's files say about scales.
#[derive(Debug, Default)]
pub struct Scales {
    /// PEFT configurations by the network they are for; `None` for whichever the file is over.
    sections: Vec<(Option<Home>, Section)>,
    /// This program's own metadata.
    alpha: Option<f64>,
}

/// A PEFT configuration, with the place it was read from for messages.
#[derive(Debug)]
struct Section {
    place: String,
    rank: Option<f64>,
    alpha: f64,
    rank_stabilised: bool,
    ranks: Vec<(Regex, f64)>,
    alphas: Vec<(Regex, f64)>,
    magnitudes: bool,
}

impl Scales {
    /// Reads what the file's metadata says, and the PEFT configuration where there is one.
    ///
    /// # Errors
    /// Bad input when one of them can't be read, or asks for something that isn't computed here.
    pub fn read(weights: &Weights, config: Option<&Path>) -> Result<Self, ModelError> {
        let mut scales = Self::default();
        if let Some(path) = config {
            let place = path.display().to_string();
            let bytes = std::fs::read(path).map_err(|e| bad(&place, format_args!("can't be read ({e})")))?;
            let fields = object(&bytes).ok_or_else(|| bad(&place, "can't be read as PEFT's JSON"))?;
            scales.sections.push((None, Section::read(&fields, &place)?));
        }
        let metadata = weights.metadata();
        if let Some(text) = metadata.get("lora_adapter_metadata") {
            let place = format!("{}: lora_adapter_metadata", weights.name());
            let all = object(text.as_bytes()).ok_or_else(|| bad(&place, "can't be read as JSON"))?;
            for home in [Home::Transformer, Home::Encoder(0), Home::Encoder(1), Home::Encoder(2)] {
                let prefix = format!("{}.", home.section());
                let own = all
                    .iter()
                    .filter_map(|(k, v)| Some((k.strip_prefix(&prefix)?.to_owned(), v.clone())));
                let fields: Map<String, Value> = own.collect();
                if !fields.is_empty() {
                    scales.sections.push((Some(home), Section::read(&fields, &place)?));
                }
            }
        }
        if let Some(text) = metadata.get("lora_alpha") {
            let number = text.parse().ok().filter(|alpha: &f64| alpha.is_finite());
            let wrong = || {
                bad(
                    weights.name(),
                    format_args!("lora_alpha {text:?} in its metadata is not a number"),
                )
            };
            scales.alpha = Some(number.ok_or_else(wrong)?);
        }
        Ok(scales)
    }

    /// The scale of a low-rank update of that rank; `alpha` is the tensor beside it.
    ///
    /// # Errors
    /// Bad input when a configuration contradicts the file.
    pub fn of(&self, (home, module): (Home, &str), rank: usize, alpha: Option<f64>) -> Result<f64, ModelError> {
        let rank = rank as f64;
        if let Some(alpha) = alpha {
            return Ok(alpha / rank);
        }
        match self.section(home) {
            Some(section) => section.scale(module, rank),
            None => Ok(self.alpha.map_or(1.0, |alpha| alpha / rank)),
        }
    }

    /// Whether the configuration says that weights are divided into magnitude and direction (DoRA).
    pub fn wants_magnitudes(&self, home: Home) -> bool {
        self.section(home).is_some_and(|section| section.magnitudes)
    }

    fn section(&self, home: Home) -> Option<&Section> {
        let serves = |of: Option<Home>| of.is_none_or(|of| of == home);
        self.sections
            .iter()
            .find(|(of, _)| serves(*of))
            .map(|(_, section)| section)
    }
}

impl Section {
    fn read(fields: &Map<String, Value>, place: &str) -> Result<Self, ModelError> {
        let kind = fields.get("peft_type").and_then(Value::as_str).unwrap_or("LORA");
        if !["LORA", "LOHA", "LOKR"].contains(&kind) {
            return Err(bad(
                place,
                format_args!("a PEFT adapter of the kind {kind}, and LoRA, LoHa and LoKr are read here"),
            ));
        }
        let is_set = |field: &&&str| match fields.get(**field) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Array(list)) => !list.is_empty(),
            Some(_) => true,
        };
        if let Some(field) = UNREAD_FIELDS.iter().find(is_set) {
            return Err(bad(place, format_args!("it sets {field}, which isn't computed here")));
        }
        let start = fields
            .get("init_lora_weights")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_lowercase();
        if CHANGED_BASES.iter().any(|kind| start.starts_with(kind)) {
            return Err(bad(
                place,
                format_args!(
                    "trained from {start}, which changes the base's weights too: save it with PEFT's path_initial_model_for_weight_conversion, as plain LoRA"
                ),
            ));
        }
        let number = |field: &str| match fields.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_f64()
                .map(Some)
                .ok_or_else(|| bad(place, format_args!("{field} is not a number"))),
        };
        let flag = |field: &str| fields.get(field).and_then(Value::as_bool).unwrap_or(false);
        Ok(Self {
            place: place.to_owned(),
            rank: number("r")?,
            alpha: number(if kind == "LORA" { "lora_alpha" } else { "alpha" })?.unwrap_or(PEFT_ALPHA),
            rank_stabilised: flag("use_rslora"),
            ranks: patterns(fields, "rank_pattern", place)?,
            alphas: patterns(fields, "alpha_pattern", place)?,
            magnitudes: flag("use_dora"),
        })
    }

    fn scale(&self, module: &str, rank: f64) -> Result<f64, ModelError> {
        let said = self.matching(&self.ranks, module)?.or(self.rank);
        if let Some(said) = said.filter(|said| (said - rank).abs() > 0.0) {
            return Err(bad(
                &self.place,
                format_args!(
                    "it says rank {said} for {module}, whose update has rank {rank}; do these files belong together?"
                ),
            ));
        }
        let alpha = self.matching(&self.alphas, module)?.unwrap_or(self.alpha);
        // Rank-stabilised LoRA (Kalajdzievski 2023, arXiv:2312.03732).
        Ok(alpha / if self.rank_stabilised { rank.sqrt() } else { rank })
    }

    /// The number whose expression matches. PEFT takes the first in the order of the file, which JSON doesn't promise to keep, so
    /// two that differ are refused.
    fn matching(&self, patterns: &[(Regex, f64)], module: &str) -> Result<Option<f64>, ModelError> {
        let mut values = patterns
            .iter()
            .filter(|(regex, _)| regex.is_match(module))
            .map(|(_, value)| *value);
        let first = values.next();
        if values.any(|value| Some(value) != first) {
            return Err(bad(
                &self.place,
                format_args!("two of its patterns match {module} and differ"),
            ));
        }
        Ok(first)
    }
}

/// Numbers by regular expressions on module names. An expression has to match a whole name, or its end after a dot.
fn patterns(fields: &Map<String, Value>, field: &str, place: &str) -> Result<Vec<(Regex, f64)>, ModelError> {
    let Some(Value::Object(map)) = fields.get(field) else {
        return Ok(Vec::new());
    };
    let read = |(pattern, value): (&String, &Value)| {
        let wrong = || bad(place, format_args!("{field} {pattern:?} can't be used"));
        let regex = Regex::new(&format!(r"^(?:.*\.)?(?:{pattern})$")).map_err(|_| wrong())?;
        Ok((regex, value.as_f64().ok_or_else(wrong)?))
    };
    map.iter().map(read).collect()
}

fn object(json: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(json).ok()
}

fn bad(place: &str, what: impl std::fmt::Display) -> ModelError {
    ModelError::BadInput(format!("{place}: {what}"))
}
