//! The items of a recipe's folder: pairs in a known layout, or photos.

use std::path::Path;

use super::super::recipe::DataLayout;
use crate::error::ModelError;
use crate::pair_layout::source::{Item, Source, images_in};
use crate::pair_layout::{LayoutKind, Reading, Skipped};

/// Finds all items of a dataset's folder, and what belongs to none. Parts of a split (`train/`, `val/` ...) are read when
/// their layouts are inside.
///
/// # Errors
/// Bad input when nothing is found, saying what was looked for.
pub fn items(root: &Path, layout: DataLayout, classes: &[String]) -> Result<(Vec<Item>, Vec<Skipped>), ModelError> {
    if !root.is_dir() {
        return Err(ModelError::BadInput(format!(
            "{}: there is no such folder of training images",
            root.display()
        )));
    }
    // With a split everything is in a folder of the part's name; training reads the part called train.
    let folders = [root.to_owned(), root.join("train")];
    let layout = match layout {
        DataLayout::Auto => folders
            .iter()
            .find_map(|folder| of_folder(folder))
            .ok_or_else(|| nothing(root, "no layout that is known"))?,
        told => told,
    };
    let mut reading = Reading::new(root, classes);
    for folder in &folders {
        let items = match layout {
            DataLayout::Pairs(kind) => kind.read(folder, &mut reading)?,
            DataLayout::Auto | DataLayout::Photos => images_in(folder).into_iter().map(photo).collect(),
        };
        if !items.is_empty() {
            return Ok((items, reading.unpaired));
        }
    }
    Err(nothing(root, &format!("no pair in the layout {}", layout.name())))
}

fn nothing(root: &Path, what: &str) -> ModelError {
    ModelError::BadInput(format!(
        "{}: {what}; data.layout may be {}",
        root.display(),
        DataLayout::names()
    ))
}

/// What a folder is laid out as.
fn of_folder(folder: &Path) -> Option<DataLayout> {
    let photos = || (!images_in(folder).is_empty()).then_some(DataLayout::Photos);
    LayoutKind::of_folder(folder).map(DataLayout::Pairs).or_else(photos)
}

fn photo(path: std::path::PathBuf) -> Item {
    Item {
        clean: Source::File(path),
        degraded: None,
        mix: None,
        prompt: None,
    }
}
