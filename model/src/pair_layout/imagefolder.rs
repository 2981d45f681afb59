//! Hugging Face imagefolder: `train/metadata.jsonl` with `file_name` (the image) and `gt_file_name` (the column `gt`), and one
//! column per parameter; the part is `train` without a split.
//!
//! Tables of others are read too. The degraded image is the column `image`, `image_file_name` or `file_name`; the clean one
//! `conditioning_image`, `conditioning_image_file_name` or, as this program writes it, `gt_file_name`; `text` is the prompt.
//! Severities are the columns of the classes' names; without any, the classes that the text names count 1.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::naming::{Dataset, Done, Job, List, Place, bad, under};
use super::reading::Reading;
use super::rules::Layout;
use super::source::{Item, Source};
use crate::error::ModelError;
use mdsd3_words::{Mix, regular};

pub(super) struct Imagefolder;

const TABLES: [&str; 2] = ["metadata.jsonl", "metadata.csv"];
const DEGRADED: [&str; 3] = ["image", "image_file_name", "file_name"];
const CLEAN: [&str; 3] = ["conditioning_image", "conditioning_image_file_name", "gt_file_name"];

impl Layout for Imagefolder {
    fn name(&self) -> &'static str {
        "imagefolder"
    }

    fn label(&self) -> &'static str {
        "Hugging Face imagefolder"
    }

    fn takes_jpeg(&self) -> bool {
        true
    }

    fn check(&self, dataset: &Dataset) -> Result<(), ModelError> {
        dataset.check_for_datasets_library()
    }

    fn place(&self, dataset: &Dataset, job: &Job) -> Place {
        let (part, name) = (dataset.part_or_train(job.scene), dataset.stem(job));
        Place {
            gt: under(part, &format!("gt/{name}.png")),
            lq: under(part, &format!("lq/{name}.{}", dataset.lq_extension)),
        }
    }

    fn lists(&self, dataset: &Dataset, done: &[Done]) -> Result<Vec<List>, ModelError> {
        let mut lists = dataset.list_per_part(done, "metadata.jsonl", |pair| {
            let row = serde_json::to_string(&self.row(dataset, pair)?);
            row.map(Some)
                .map_err(|error| bad(format!("metadata.jsonl can't be written ({error})")))
        })?;
        for list in &mut lists {
            if !list.path.contains('/') {
                list.path = under("train", &list.path);
            }
        }
        lists.push(dataset.card(done, |part| format!("{part}/**")));
        Ok(lists)
    }

    fn is_in(&self, folder: &Path) -> bool {
        table(folder).is_some()
    }

    fn read(&self, folder: &Path, reading: &mut Reading<'_>) -> Result<Vec<Item>, ModelError> {
        items(folder, reading.classes)
    }
}

impl Imagefolder {
    /// Every row has the same columns, which the reader needs; a class that is not in the mix has ratio 0.
    fn row(&self, dataset: &Dataset, pair: &Done) -> Result<Map<String, Value>, ModelError> {
        let job = &pair.job;
        let place = self.place(dataset, job);
        let prefix = format!("{}/", dataset.part_or_train(job.scene));
        let in_folder = |path: &str| path.strip_prefix(&prefix).unwrap_or(path).to_owned();
        let mut row = Map::new();
        row.insert("file_name".to_owned(), in_folder(&place.lq).into());
        row.insert("gt_file_name".to_owned(), in_folder(&place.gt).into());
        row.insert("scene".to_owned(), dataset.label(job).into());
        for class in &dataset.classes {
            let ratio = decimal(job.mix.ratio(class))?;
            row.insert(class.clone(), ratio);
        }
        row.insert("seed".to_owned(), job.seed.into());
        if dataset.has_alpha_beta {
            row.insert("alpha".to_owned(), decimal(job.alpha)?);
            row.insert("beta".to_owned(), decimal(job.beta)?);
        }
        Ok(row)
    }
}

/// A number as it was written: widening 0.8 bit by bit would give 0.800000011920929.
fn decimal(value: f32) -> Result<Value, ModelError> {
    let text = format!("{value:?}");
    let wide: f64 = text
        .parse()
        .map_err(|_| bad(format!("{text} is no number for metadata.jsonl")))?;
    Ok(wide.into())
}

/// The table of a folder.
pub(super) fn table(folder: &Path) -> Option<PathBuf> {
    TABLES.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// All rows as pairs.
///
/// # Errors
/// Bad input for a table that can't be read, naming line and column.
fn items(folder: &Path, classes: &[String]) -> Result<Vec<Item>, ModelError> {
    let Some(path) = table(folder) else {
        return Ok(Vec::new());
    };
    let wrong = |line: usize, what: &str| bad(format!("{}, row {line}: {what}", path.display()));
    rows(&path)?
        .iter()
        .enumerate()
        .map(|(index, row)| {
            let file = |columns: [&str; 3]| columns.iter().find_map(|name| row.get(*name)).and_then(path_of);
            let degraded = file(DEGRADED).ok_or_else(|| wrong(index + 1, "no column image or file_name"))?;
            let clean = file(CLEAN).ok_or_else(|| {
                wrong(
                    index + 1,
                    "no column conditioning_image or gt_file_name with the clean image",
                )
            })?;
            let prompt = row.get("text").and_then(Value::as_str).map(str::to_owned);
            let mix = mix(row, prompt.as_deref(), classes).map_err(|what| wrong(index + 1, &what))?;
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
    let wrong = |what: String| bad(format!("{}: {what}", path.display()));
    let text = regular::read_text(path).map_err(|e| wrong(format!("can't be read ({e})")))?;
    if path.extension().is_some_and(|e| e == "jsonl") {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        return lines
            .map(|(index, line)| {
                serde_json::from_str(line).map_err(|e| wrong(format!("line {} is no JSON object ({e})", index + 1)))
            })
            .collect();
    }
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let headers = table.headers().map_err(|e| wrong(e.to_string()))?.clone();
    table
        .records()
        .map(|record| {
            let record = record.map_err(|e| wrong(e.to_string()))?;
            let cells = headers.iter().zip(record.iter());
            Ok(cells
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name.to_owned(), Value::from(value)))
                .collect())
        })
        .collect()
}
