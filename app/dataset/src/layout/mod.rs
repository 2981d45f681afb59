//! Layouts: where the files of a pair go, and the lists that a trainer reads.
//!
//! One file per trainer's convention, each tested by the reading rules of its trainer. Paths are relative to the dataset
//! and separated by `/`. No name has a space, or a dot but the extension's (RESIDE's ratios excepted).

mod basicsr;
mod cdd11;
pub(super) mod formats;
mod imagefolder;
mod promptir;
mod reside;
mod restormer;
mod webdataset;

pub use mdsd3_model::pair_layout::LayoutKind;

use mdsd3_render::RenderError;

use super::mixes;
use super::sweep::{Job, Sweep};

/// The rules of a layout.
fn rules(kind: LayoutKind) -> &'static dyn Layout {
    match kind {
        LayoutKind::Basicsr => &basicsr::Basicsr,
        LayoutKind::Restormer => &restormer::Restormer,
        LayoutKind::Cdd11 => &cdd11::Cdd11,
        LayoutKind::Promptir => &promptir::Promptir,
        LayoutKind::Reside => &reside::Reside,
        LayoutKind::Imagefolder => &imagefolder::Imagefolder,
        LayoutKind::Webdataset => &webdataset::Webdataset,
    }
}

/// The rules of a sweep's layout.
pub(super) fn of(sweep: &Sweep) -> &'static dyn Layout {
    rules(sweep.plan.layout)
}

/// A sweep whose layout has a place for all of its files.
///
/// # Errors
/// [`RenderError::BadInput`] that says what the layout can't hold.
pub(super) fn checked(sweep: Sweep) -> Result<Sweep, RenderError> {
    of(&sweep).check(&sweep)?;
    Ok(sweep)
}

/// Where the two images of a pair go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub gt: String,
    pub lq: String,
}

/// A finished pair, as lists describe it.
#[derive(Debug, Clone)]
pub(super) struct Done {
    pub job: Job,
    pub width: u32,
    pub height: u32,
}

/// A file that is written when all pairs are there.
pub(super) struct List {
    pub path: String,
    pub bytes: Vec<u8>,
}

/// A tar that is packed when all pairs are there.
pub(super) struct Pack {
    pub path: String,
    /// The pairs in it, as indices into the finished pairs.
    pub pairs: Vec<usize>,
}

pub(super) trait Layout: Sync {
    /// Refuses plans that the layout has no place for.
    fn check(&self, _sweep: &Sweep) -> Result<(), RenderError> {
        Ok(())
    }

    /// Where a job's images go.
    fn place(&self, sweep: &Sweep, job: &Job) -> Place;

    /// Where a job's parameters go.
    fn info(&self, sweep: &Sweep, job: &Job) -> String {
        format!("info/{}.json", stem(sweep, job))
    }

    /// Where a further image goes; `what` is such as `vae_gt`.
    fn extra(&self, sweep: &Sweep, job: &Job, what: &str) -> String {
        format!("extra/{what}/{}.png", stem(sweep, job))
    }

    /// The lists of a finished dataset.
    fn lists(&self, _sweep: &Sweep, _done: &[Done]) -> Result<Vec<List>, RenderError> {
        Ok(Vec::new())
    }

    /// The tars of a finished dataset.
    fn packs(&self, _sweep: &Sweep, _done: &[Done]) -> Vec<Pack> {
        Vec::new()
    }
}

/// The name of a pair without extension: the scene's, and the pair's number among the scene's.
fn stem(sweep: &Sweep, job: &Job) -> String {
    numbered(sweep.label(job.scene), job.variant, sweep.jobs_per_scene())
}

/// `label_003`: wide enough that names sort by number; the label alone when there is but one.
fn numbered(label: &str, number: usize, count: usize) -> String {
    if count == 1 {
        return label.to_owned();
    }
    let digits = (count - 1).to_string().len();
    format!("{label}_{number:0digits$}")
}

/// A path in the part of the split that the job's scene is in.
fn in_part(sweep: &Sweep, job: &Job, path: &str) -> String {
    under(sweep.part(job.scene), path)
}

/// `part/path`, or the path alone without a split.
fn under(part: &str, path: &str) -> String {
    if part.is_empty() {
        path.to_owned()
    } else {
        format!("{part}/{path}")
    }
}

/// The classes of a job's mix (those that can be above 0), in `order`, others behind by name.
fn classes_in_order<'a>(sweep: &'a Sweep, mix_index: usize, order: &[&str]) -> Vec<&'a str> {
    let mut classes: Vec<&str> = mixes::classes(&sweep.mixes()[mix_index]).collect();
    let rank = |class: &&str| order.iter().position(|known| known == class).unwrap_or(order.len());
    classes.sort_by_key(|class| (rank(class), class.to_owned()));
    classes
}

/// One list per part of the split: `file` in it, with the lines of that part's pairs.
fn list_per_part(
    sweep: &Sweep,
    done: &[Done],
    file: &str,
    mut line: impl FnMut(&Done) -> Result<Option<String>, RenderError>,
) -> Result<Vec<List>, RenderError> {
    let mut lists = Vec::new();
    for (part, _) in &sweep.plan.split {
        let mut text = String::new();
        for pair in done.iter().filter(|pair| sweep.part(pair.job.scene) == part) {
            if let Some(line) = line(pair)? {
                text.push_str(&line);
                text.push('\n');
            }
        }
        lists.push(List {
            path: under(part, file),
            bytes: text.into_bytes(),
        });
    }
    Ok(lists)
}

/// The extension of degraded images.
fn lq_extension(sweep: &Sweep) -> &'static str {
    sweep.plan.lq_format.extension()
}

/// The file name of a path.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests;
