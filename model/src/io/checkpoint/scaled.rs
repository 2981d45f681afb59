//! Scaled 8-bit floats: a factor beside each weight, as ComfyUI writes them (`comfy/ops.py`, `comfy/model_detection.py`).
//!
//! | tensor | what |
//! |---|---|
//! | `X.weight` | numbers that stand for themselves times the factor |
//! | `X.scale_weight` or `X.weight_scale` | the factor, one number |
//! | `X.scale_input`, `X.input_scale` | for products in 8 bits, of which there are none here |
//! | `X.comfy_quant` | JSON that names the format |
//! | `scaled_fp8` at the end of any prefix | says that the file is of this kind; empty or two numbers |

use std::collections::BTreeMap;

use candle_core::{DType, Device};
use serde::Deserialize;

use super::error::CheckpointError;
use super::format::Format;
use super::slot::Slot;
use crate::error::ModelError;

const SCALES: [&str; 2] = [".scale_weight", ".weight_scale"];
const INPUT_SCALES: [&str; 2] = [".scale_input", ".input_scale"];
const DESCRIPTION: &str = ".comfy_quant";
const MARKER: &str = "scaled_fp8";
/// Formats that ComfyUI's descriptions name and that are read here.
const FORMATS: [&str; 2] = ["float8_e4m3fn", "float8_e5m2"];

/// What `X.comfy_quant` says; other fields are about how products are computed.
#[derive(Deserialize)]
struct Description {
    format: String,
}

/// Gives weights the factors beside them, and takes what belongs to this scheme out of the tensors.
///
/// # Errors
/// Bad input when a factor has no weight or isn't one finite number, or a description names another format.
pub fn apply(slots: &mut BTreeMap<String, Slot>, file: &str) -> Result<(), ModelError> {
    let is_marker = |key: &str, slot: &Slot| {
        key.strip_suffix(MARKER)
            .is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('.'))
            && matches!(slot.entry.format, Some(Format::E4m3 | Format::E5m2))
            && slot.entry.bytes <= 2
    };
    slots.retain(|key, slot| !is_marker(key, slot));
    for (key, module) in ending_in(slots, &[DESCRIPTION]) {
        let wrong = |reason: String| {
            CheckpointError::Scale {
                key: key.clone(),
                reason,
            }
            .at(file)
        };
        let bytes = slots[&key].load(None, &Device::Cpu)?.flatten_all()?.to_vec1::<u8>();
        let bytes = bytes.map_err(|_| wrong("it should be JSON in bytes".to_owned()))?;
        let said: Description = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
        if !FORMATS.contains(&said.format.as_str()) {
            return Err(wrong(format!(
                "{module} is in the format {}, and {} are read here",
                said.format,
                FORMATS.join(" and ")
            )));
        }
        slots.remove(&key);
    }
    for (key, module) in ending_in(slots, &SCALES) {
        let wrong = |reason: &str| {
            CheckpointError::Scale {
                key: key.clone(),
                reason: reason.to_owned(),
            }
            .at(file)
        };
        let factors = slots[&key]
            .load(Some(DType::F32), &Device::Cpu)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        let [factor] = factors.as_slice() else {
            return Err(wrong("one factor for a whole weight is read here, and it has several"));
        };
        let weight = slots.get_mut(&format!("{module}.weight"));
        let weight = weight.ok_or_else(|| wrong("the weight that it is the factor of is missing"))?;
        weight.scale = Some(*factor);
        slots.remove(&key);
    }
    for (key, _) in ending_in(slots, &INPUT_SCALES) {
        slots.remove(&key);
    }
    Ok(())
}

/// Names that end in one of these, with what stands before it.
fn ending_in(slots: &BTreeMap<String, Slot>, ends: &[&str]) -> Vec<(String, String)> {
    let module = |key: &String| ends.iter().find_map(|end| key.strip_suffix(end)).map(str::to_owned);
    slots
        .keys()
        .filter_map(|key| Some((key.clone(), module(key)?)))
        .collect()
}
