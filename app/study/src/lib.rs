//! When does each degradation form? The frequency analysis behind `mdsd3 analyze`.
//!
//! For every scene and seed all mixes and the clean branch run on the same noise. At each step the clean-data prediction
//! of each mix minus that of the clean branch is its *residual*: what the mix has added so far. Its energy per frequency
//! band, as a share of the final energy, says when the band forms.
//!
//! | module | contents |
//! |---|---|
//! | [`analysis`] | all runs, and all that is measured |
//! | [`request`] | the photos, mixes and seeds that are analysed |
//! | [`lanes`] | mixes, and interactions between their classes |
//! | [`trajectory`] | the measurement at each step |
//! | `sampled` | the part of it that differs between seeds |
//! | [`variants`] | the same mixes with sampling aids, and over alpha and beta |
//! | [`summary`] | "formed at" and other figures with intervals over seeds and scenes |
//! | [`findings`] | sentences computed from them |
//! | [`formation`] | the part of it that the studio shows |
//! | [`tables`], [`figures`], [`variant_figures`], [`report`] | the files; [`figure`] writes them |
//!
//! # Example
//!
//! ```
//! use mdsd3_study::request::LaneSpec;
//! use mdsd3_words::Mix;
//!
//! // A lane's classes have the common ratio, or one of their own.
//! let lane: LaneSpec = "rain=0.5+haze".parse()?;
//! let mix: Mix = "rain=0.5,haze=1".parse()?;
//! assert_eq!(lane.mix(1.0)?, mix);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod analysis;
pub mod figure;
pub mod figures;
pub mod findings;
pub mod formation;
pub mod lanes;
pub mod report;
pub mod request;
pub mod summary;
pub mod tables;
pub mod trajectory;
pub mod variant_figures;
pub mod variants;

mod sampled;

use std::path::Path;

use mdsd3_render::RenderError;
use mdsd3_render::session::Session;

pub use analysis::{Analysis, AnalyzeObserver, measure};
pub use request::AnalyzeRequest;

/// Analyses and writes every file into `folder`, which is made when it isn't there; `None` when the observer stopped it.
///
/// All settings and photos are checked before anything is computed or written.
///
/// # Errors
/// [`RenderError`] with the setting, photo or file that is at fault.
pub fn run(
    session: &mut Session,
    request: &AnalyzeRequest,
    folder: &Path,
    observer: &mut dyn AnalyzeObserver,
) -> Result<Option<Analysis>, RenderError> {
    let Some(analysis) = measure(session, request, Some(folder), observer)? else {
        return Ok(None);
    };
    report::write(&analysis, folder)?;
    Ok(Some(analysis))
}

#[cfg(test)]
mod tests;
