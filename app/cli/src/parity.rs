//! `mdsd3 parity`: recomputes reference cases and compares every tensor.

use std::path::PathBuf;

use anyhow::bail;
use mdsd3_render::parity::{self, Report};
use serde_json::json;

use crate::outcome::say;

/// Which cases to recompute.
#[derive(Debug, clap::Args)]
pub struct ParityArgs {
    /// Folder with one folder per case
    #[arg(value_name = "GOLDENS_DIR")]
    goldens: PathBuf,
    /// Compute device: cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Print the errors as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command; fails when a tensor is off by more than the tolerance.
pub fn run(args: &ParityArgs) -> anyhow::Result<()> {
    let report = parity::run(&args.goldens, &args.device)?;
    if args.json {
        say(&in_json(&report).to_string())?;
    } else {
        say_table(&report)?;
    }
    let failed = report.cases.iter().filter(|case| !case.ok).count();
    if failed > 0 {
        bail!(
            "{failed} of {} tensors differ by more than {:e}",
            report.cases.len(),
            report.tolerance
        );
    }
    Ok(())
}

fn say_table(report: &Report) -> anyhow::Result<()> {
    let width = |of: fn(&parity::Case) -> &str| report.cases.iter().map(|case| of(case).len()).max().unwrap_or(0);
    let (folder_width, tensor_width) = (width(|case| &case.folder), width(|case| &case.tensor));
    for case in &report.cases {
        let (folder, tensor, error) = (&case.folder, &case.tensor, case.max_abs_error);
        let verdict = if case.ok { "ok" } else { "DIFFERS" };
        say(&format!(
            "{folder:<folder_width$}  {tensor:<tensor_width$}  {error:>9.2e}  {verdict}"
        ))?;
    }
    if !report.skipped.is_empty() {
        say(&format!("skipped: {}", report.skipped.join(", ")))?;
    }
    say(&format!(
        "tolerance {:e}, largest absolute error of each tensor",
        report.tolerance
    ))
}

fn in_json(report: &Report) -> serde_json::Value {
    let cases = report.cases.iter().map(|case| {
        json!({ "folder": case.folder, "tensor": case.tensor, "max_abs_error": case.max_abs_error, "ok": case.ok })
    });
    json!({ "tolerance": report.tolerance, "skipped": report.skipped, "cases": cases.collect::<Vec<_>>() })
}
