//! Mixes: how much of each degradation class a scene gets.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The largest ratio the sampler accepts; the studio's sliders span `0..=MAX_RATIO`.
pub const MAX_RATIO: f32 = 1.5;

/// Ratios by class name, in the order they were given; a class that is absent has ratio 0.
///
/// Written `haze=0.8,rain=0.5` on the command line and as a table in TOML and JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "serde_json::Map<String, serde_json::Value>", into = "serde_json::Map<String, serde_json::Value>")]
pub struct Mix(Vec<(String, f32)>);
