//! What a layout has to say.

use std::path::Path;

use super::naming::{Dataset, Done, Job, List, Pack, Place};
use super::reading::Reading;
use super::source::Item;
use crate::error::ModelError;

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

    /// Where a file of a pair's layers goes.
    fn layer(&self, dataset: &Dataset, job: &Job, file: &str) -> String {
        format!("extra/layers/{}/{file}", dataset.stem(job))
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
