//! Hugging Face imagefolder: one row per pair in `metadata.jsonl` or `metadata.csv`.
//!
//! The degraded image is the column `image`, `image_file_name` or `file_name`; the clean one `conditioning_image`,
//! `conditioning_image_file_name` or, as this program exports it, `gt_file_name`; `text` is the prompt. Severities are the
//! columns of the classes' names; without any, the classes that the text names count 1.

use std::path::{Path, PathBuf};

use mdsd3_words::Mix;
use serde_json::{Map, Value};

use super::source::{Item, Source};
use crate::error::ModelError;

const TABLES: [&str; 2] = ["metadata.jsonl", "metadata.csv"];
const DEGRADED: [&str; 3] = ["image", "image_file_name", "file_name"];
const CLEAN: [&str; 3] = ["conditioning_image", "conditioning_image_file_name", "gt_file_name"];

/// The table of a folder.
pub fn table(folder: &Path) -> Option<PathBuf> {
    TABLES.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// All rows as pairs.
///
/// # Errors
/// Bad input for a table that can't be read, naming line and column.
pub fn items(folder: &Path, classes: &[String]) -> Result<Vec<Item>, ModelError> {
    let Some(path) = table(folder) else {
        return Ok(Vec::new());
    };
    let bad = |line: usize, what: &str| ModelError::BadInput(format!("{}, row {line}: {what}", path.display()));
    rows(&path)?
        .iter()
        .enumerate()
        .map(|(index, row)| {
            let file = |columns: [&str; 3]| columns.iter().find_map(|name| row.get(*name)).and_then(path_of);
            let degraded = file(DEGRADED).ok_or_else(|| bad(index + 1, "no column image or file_name"))?;
            let clean = file(CLEAN).ok_or_else(|| {
                bad(
                    index + 1,
                    "no column conditioning_image or gt_file_name with the clean image",
                )
            })?;
            let prompt = row.get("text").and_then(Value::as_str).map(str::to_owned);
            let mix = mix(row, prompt.as_deref(), classes).map_err(|what| bad(index + 1, &what))?;
            Ok(Item {
                clean: Source::File(folder.join(clean)),
                degraded: Some(Source::File(folder.join(degraded))),
                mix,
                prompt,
            })
        })
        .collect()
}

/// A path, as a string or as `datasets` writes an image feature: `{"path": ...}`.
fn path_of(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("path")?.as_str())
}

fn mix(row: &Map<String, Value>, text: Option<&str>, classes: &[String]) -> Result<Option<Mix>, String> {
    let mut mix = Mix::new();
    let mut told = false;
    for class in classes {
        let Some(value) = row.get(class) else { continue };
        let ratio = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let ratio = ratio.ok_or_else(|| format!("column {class} is {value}, which is no number"))?;
        mix.set(class, ratio as f32).map_err(|e| e.to_string())?;
        told = true;
    }
    if told {
        return Ok(Some(mix));
    }
    let text = text.unwrap_or_default().to_lowercase();
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).collect();
    for class in classes
        .iter()
        .filter(|class| words.contains(&class.to_lowercase().as_str()))
    {
        mix.set(class, 1.0).map_err(|e| e.to_string())?;
    }
    Ok((!mix.is_clean() || words.contains(&"clean")).then_some(mix))
}

fn rows(path: &Path) -> Result<Vec<Map<String, Value>>, ModelError> {
    let bad = |what: String| ModelError::BadInput(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| bad(format!("can't be read ({e})")))?;
    if path.extension().is_some_and(|e| e == "jsonl") {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        return lines
            .map(|(index, line)| {
                serde_json::from_str(line).map_err(|e| bad(format!("line {} is no JSON object ({e})", index + 1)))
            })
            .collect();
    }
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let headers = table.headers().map_err(|e| bad(e.to_string()))?.clone();
    table
        .records()
        .map(|record| {
            let record = record.map_err(|e| bad(e.to_string()))?;
            let cells = headers.iter().zip(record.iter());
            Ok(cells
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name.to_owned(), Value::from(value)))
                .collect())
        })
        .collect()
}
