//! Layouts of pairs on disk: where a dataset's files go, the lists that a trainer reads, and how pairs are found again.
//!
//! One file per trainer's convention and one line of [`LayoutKind::ALL`]; nothing else knows their names. Paths are relative
//! to the dataset and separated by `/`. No name has a space, or a dot but the extension's (RESIDE's ratios excepted).

mod basicsr;
mod cdd11;
mod imagefolder;
mod naming;
mod promptir;
mod reading;
mod reside;
mod restormer;
pub mod source;
mod webdataset;

use std::fmt::{self, Debug, Formatter};
use std::ops::Deref;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use naming::{Dataset, Done, Job, List, Pack, Place, STAGING};
pub use reading::{Reading, Skipped};

use crate::error::ModelError;
use source::Item;

/// A convention of where pairs lie.
pub trait Layout: Sync {
    /// Its name in plans and recipes.
    fn name(&self) -> &'static str;

    /// What people call it.
    fn label(&self) -> &'static str;

    /// Whether degraded images are JPEG when the plan doesn't say: as in the layout's original.
    fn prefers_jpeg(&self) -> bool {
        false
    }

    /// Whether degraded images may be JPEG: not where a reader wants the clean image's very name.
    fn takes_jpeg(&self) -> bool {
        false
    }

    /// Refuses datasets that the layout has no place for.
    ///
    /// # Errors
    /// Bad input that says what there is no place for.
    fn check(&self, _dataset: &Dataset) -> Result<(), ModelError> {
        Ok(())
    }

    /// Where a job's images go.
    fn place(&self, dataset: &Dataset, job: &Job) -> Place;

    /// Where a job's parameters go.
    fn info(&self, dataset: &Dataset, job: &Job) -> String {
        format!("info/{}.json", dataset.stem(job))
    }

    /// Where a further image goes; `what` is such as `vae_gt`.
    fn extra(&self, dataset: &Dataset, job: &Job, what: &str) -> String {
        format!("extra/{what}/{}.png", dataset.stem(job))
    }

    /// The lists of a finished dataset.
    ///
    /// # Errors
    /// Bad input for a value that a list can't hold.
    fn lists(&self, _dataset: &Dataset, _done: &[Done]) -> Result<Vec<List>, ModelError> {
        Ok(Vec::new())
    }

    /// The tars of a finished dataset.
    fn packs(&self, _dataset: &Dataset, _done: &[Done]) -> Vec<Pack> {
        Vec::new()
    }

    /// Whether a folder is laid out so; no other layout says so of the same folder.
    fn is_in(&self, folder: &Path) -> bool;

    /// The pairs of a folder; none when it is laid out otherwise.
    ///
    /// # Errors
    /// Bad input for a list or a tar that can't be read.
    fn read(&self, folder: &Path, reading: &mut Reading<'_>) -> Result<Vec<Item>, ModelError>;
}

/// A layout that is known: a plan's choice, and a recipe's.
#[derive(Clone, Copy)]
pub struct LayoutKind(&'static dyn Layout);

impl LayoutKind {
    /// All of them, the default first.
    pub const ALL: [Self; 7] = [
        Self(&basicsr::Basicsr),
        Self(&restormer::Restormer),
        Self(&cdd11::Cdd11),
        Self(&promptir::Promptir),
        Self(&reside::Reside),
        Self(&imagefolder::Imagefolder),
        Self(&webdataset::Webdataset),
    ];

    /// The layout of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.name() == name)
    }

    /// The layout of a folder.
    pub fn of_folder(folder: &Path) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.is_in(folder))
    }

    /// All names, for messages.
    pub fn names() -> String {
        Self::ALL.map(|layout| layout.name()).join(", ")
    }
}

impl Deref for LayoutKind {
    type Target = dyn Layout;

    fn deref(&self) -> &Self::Target {
        self.0
    }
}

impl Default for LayoutKind {
    fn default() -> Self {
        Self::ALL[0]
    }
}

impl PartialEq for LayoutKind {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for LayoutKind {}

impl Debug for LayoutKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for LayoutKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for LayoutKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let unknown = || serde::de::Error::custom(format!("layout {name:?} is unknown: give {}", Self::names()));
        Self::named(&name).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests;
