//! `mdsd3 analyze`: when each degradation forms, as tables, figures and a report.

use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::Context;
use indicatif::ProgressBar;
use mdsd3_render::session::Session;
use mdsd3_study::{AnalyzeObserver, AnalyzeRequest, findings};

use crate::outcome::say;
use crate::output;
use crate::progress;

/// What to analyse and where to.
#[derive(Debug, clap::Args)]
pub struct AnalyzeArgs {
    #[command(flatten)]
    request: AnalyzeRequest,
    /// Folder for tables, figures, per-step images and report.html; made when it isn't there
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

/// Runs the command.
pub fn run(args: &AnalyzeArgs) -> anyhow::Result<()> {
    output::check_folder_target(&args.output)?;
    args.request.check_settings()?;
    let mut watch = Watch(None);
    let analysis = mdsd3_study::run(&mut Session::new(), &args.request, &args.output, &mut watch)?
        .context("the analysis was stopped")?;
    drop(watch);
    for sentence in findings::findings(&analysis) {
        say(&sentence)?;
    }
    let (runs, minutes) = (
        args.request.seeds as usize * analysis.scenes.len(),
        analysis.elapsed_secs / 60.0,
    );
    say(&format!(
        "analysed {runs} runs of {} mixes in {minutes:.1} min",
        analysis.lanes.mixes.len()
    ))?;
    say(&format!("wrote {}", args.output.join("report.html").display()))
}

/// A bar over all steps.
struct Watch(Option<ProgressBar>);

impl AnalyzeObserver for Watch {
    fn planned(&mut self, steps: usize) {
        self.0 = Some(progress::bar(steps, "analysing"));
    }

    fn step_done(&mut self) -> ControlFlow<()> {
        if let Some(bar) = &self.0 {
            bar.inc(1);
        }
        ControlFlow::Continue(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
