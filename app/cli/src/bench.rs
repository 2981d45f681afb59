//! `mdsd3 bench`: how fast this machine is.

use mdsd3_render::bench::{self, BenchReport, BenchRequest};

use crate::outcome::say;
use crate::progress;

/// What to measure and how to say it.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    #[command(flatten)]
    request: BenchRequest,
    /// Print the figures as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let working = progress::spinner("preparing");
    let report = bench::run(&args.request, &mut |stage| working.set_message(stage));
    working.finish_and_clear();
    let report = report?;
    if args.json {
        return say(&serde_json::to_string(&report)?);
    }
    for (label, value) in table(&report) {
        say(&format!("{label:<32}{value}"))?;
    }
    say_profile(&report)
}

fn table(report: &BenchReport) -> Vec<(&'static str, String)> {
    let seconds = |secs: f64| format!("{secs:.4} s");
    let mut lines = vec![
        (
            "transformer",
            format!(
                "{} blocks, {:.1} million parameters, {} on {} with {} threads",
                report.layers,
                report.parameters as f64 / 1e6,
                report.dtype,
                report.device,
                report.threads
            ),
        ),
        (
            "sizes",
            format!(
                "latents {0}x{0}, {1} context tokens, batch {2}",
                report.latent, report.context, report.batch
            ),
        ),
        ("evaluation", seconds(report.seconds_per_evaluation)),
    ];
    if report.clean {
        lines.push((
            "evaluation without clean cache",
            seconds(report.seconds_per_evaluation_uncached),
        ));
    }
    let optional = [("encoder", report.encoder_seconds), ("decoder", report.decoder_seconds)];
    lines.extend(
        optional
            .into_iter()
            .filter_map(|(label, secs)| Some((label, seconds(secs?)))),
    );
    if let Some(speed) = report.training_samples_per_second {
        lines.push(("training", format!("{speed:.0} samples/s")));
    }
    lines.extend([
        ("tokens", format!("{:.0} /s", report.tokens_per_second)),
        (
            "matrix products",
            format!(
                "{:.1} GFLOP per evaluation, {:.0} GFLOP/s",
                report.gflop_per_evaluation, report.gflop_per_second
            ),
        ),
    ]);
    if let Some(bytes) = report.peak_bytes {
        lines.push(("peak memory", format!("{:.0} MB", bytes as f64 / 1e6)));
    }
    lines
}

fn say_profile(report: &BenchReport) -> anyhow::Result<()> {
    if report.profile.is_empty() {
        return Ok(());
    }
    say("")?;
    say(&format!(
        "{:<24}{:>7}{:>12}{:>9}{:>10}",
        "operation", "calls", "seconds", "share", "GFLOP/s"
    ))?;
    for line in &report.profile {
        let speed = if line.gflop_per_second > 0.0 {
            format!("{:.0}", line.gflop_per_second)
        } else {
            String::new()
        };
        say(&format!(
            "{:<24}{:>7}{:>12.4}{:>7.1} %{:>10}",
            line.operation,
            line.calls,
            line.seconds,
            100.0 * line.share,
            speed
        ))?;
    }
    Ok(())
}
