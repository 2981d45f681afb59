//! `mdsd3 sweep`: a plan becomes a dataset.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use mdsd3_dataset::estimate::{self, Estimate};
use mdsd3_dataset::slurm::{self, SlurmOptions, TimeLimit};
use mdsd3_dataset::{Outcome, Plan, RunOptions, Shard, Sweep, SweepObserver, finish, open, run, verify};
use mdsd3_render::RenderError;
use mdsd3_render::loaded::LoadedModel;
use mdsd3_render::metadata;
use mdsd3_words::error::one_line;
use serde_json::json;

use crate::outcome::{printable, say};
use crate::progress;
use crate::signals::stop_on_signals;

/// Jobs that a dry run shows.
const SHOWN_JOBS: usize = 10;
/// File names that a check shows of each kind.
const SHOWN_FILES: usize = 5;

/// Which plan, and what to do with it.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools)] // each is a switch of the command line
pub struct SweepArgs {
    /// Plan: scenes, mixes, seeds and layout of the dataset
    #[arg(value_name = "PLAN.toml", required_unless_present = "verify")]
    plan: Option<PathBuf>,
    /// Output folder [default: named after the plan and its hash]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print counts, estimates and the first jobs, and make nothing
    #[arg(long, conflicts_with_all = ["resume", "force", "merge", "slurm"])]
    dry_run: bool,
    /// Go on where an earlier run of this plan stopped
    #[arg(long)]
    resume: bool,
    /// Write into a folder that holds other files
    #[arg(long)]
    force: bool,
    /// Make one part of the pairs, I from 0 to N-1; parts may run at once, on any machines that share the folder
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Join the parts that --shard made, and write the lists
    #[arg(long, conflicts_with_all = ["resume", "force", "shard", "slurm"])]
    merge: bool,
    /// Write a script for SLURM's sbatch, named after the output folder
    #[arg(long, conflicts_with = "shard")]
    slurm: bool,
    /// Tasks of the SLURM array
    #[arg(long, default_value_t = 4, requires = "slurm", value_parser = clap::value_parser!(u32).range(1..))]
    shards: u32,
    /// Time limit of a SLURM task
    #[arg(long, default_value = "04:00:00", requires = "slurm", value_name = "HH:MM:SS")]
    time: TimeLimit,
    /// GPUs of a SLURM task [default: 1, or 0 when the plan computes on the processor]
    #[arg(long, requires = "slurm")]
    gpus: Option<u32>,
    /// Processor cores of a SLURM task
    #[arg(long, default_value_t = 4, requires = "slurm")]
    cores: u32,
    /// Check a dataset against its journal, file by file
    #[arg(long, value_name = "DIR", exclusive = true)]
    verify: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &SweepArgs) -> anyhow::Result<()> {
    if let Some(folder) = &args.verify {
        return verify_dataset(folder);
    }
    let path = args.plan.as_deref().context("name a plan")?;
    let plan = Plan::read(path)?;
    tell_skipped(&plan);
    let (sweep, model) = open(plan)?;
    for part in sweep.empty_parts() {
        eprintln!("note: split: no photo falls into {part}, so it is left out; give more photos or a larger share");
    }
    let folder = args
        .output
        .clone()
        .unwrap_or_else(|| open::default_folder(path, &sweep));
    if args.dry_run {
        return dry_run(&sweep, model);
    }
    if args.slurm {
        return write_script(args, &sweep, path, &folder);
    }
    if args.merge {
        let merged = finish::merge(&sweep, &folder)?;
        say(&format!(
            "merged {} pairs{}; wrote {}",
            merged.pairs,
            skipped(merged.failed_scenes),
            folder.display()
        ))?;
        return check_none_failed(merged.failed_scenes, &folder);
    }
    make(args, &sweep, model, &folder)
}

/// Says on stderr how many files the plan's patterns match that aren't taken, by reason.
fn tell_skipped(plan: &Plan) {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for file in &plan.skipped {
        match reasons.iter_mut().find(|(reason, _)| *reason == file.reason) {
            Some((_, names)) => names.push(&file.name),
            None => reasons.push((&file.reason, vec![&file.name])),
        }
    }
    for (reason, names) in reasons {
        let line = match names.as_slice() {
            [only] => format!("{only} {reason}"),
            names => format!("{} files, such as {}: each {reason}", names.len(), names[0]),
        };
        // Without stderr there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "mdsd3: passed over: {}", printable(&one_line(&line)));
    }
}

/// A sweep with the model it needs.
fn open(plan: Plan) -> anyhow::Result<(Sweep, Option<LoadedModel>)> {
    let loading = progress::spinner("loading the model");
    let opened = open::open(plan, None)?;
    loading.finish_and_clear();
    Ok(opened)
}

fn make(args: &SweepArgs, sweep: &Sweep, model: Option<LoadedModel>, folder: &Path) -> anyhow::Result<()> {
    let options = RunOptions {
        shard: args.shard.unwrap_or(Shard::ALL),
        resume: args.resume,
        force: args.force,
    };
    let watch = Watch {
        bar: progress::bar(sweep.len(), "pairs"),
        // A second Ctrl-C loses nothing that is in the journal.
        stop: stop_on_signals()?,
    };
    let outcome = run::run(sweep, model, folder, &options, &watch);
    watch.bar.finish_and_clear();
    report(args, &outcome?, sweep.plan.skipped.len(), folder)
}

struct Watch {
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
}

impl Watch {
    fn tell(&self, line: &str) {
        // Without stderr there is nobody to tell; the journal knows it as well.
        self.bar.suspend(|| {
            let _ = writeln!(std::io::stderr(), "mdsd3: {}", printable(line));
        });
    }
}

impl SweepObserver for Watch {
    fn progress(&self, done: usize, total: usize) {
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
    }

    fn scene_failed(&self, scene: &str, reason: &str) {
        self.tell(&format!("skipped {scene}: {reason}"));
    }

    fn disk_full(&self, message: &str) {
        self.tell(&format!(
            "waiting for room: {message}; free some, or stop and use --resume later"
        ));
    }

    fn should_stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

fn report(args: &SweepArgs, outcome: &Outcome, passed_over: usize, folder: &Path) -> anyhow::Result<()> {
    let Outcome {
        made,
        done,
        total,
        failed_scenes,
        ..
    } = outcome;
    if args.json {
        let report = json!({
            "output": folder.to_string_lossy(),
            "made": made,
            "done": done,
            "total": total,
            "failed_scenes": failed_scenes,
            "unread_scenes": outcome.unread_scenes,
            "passed_over": passed_over,
            "is_finished": outcome.is_finished,
            "is_stopped": outcome.is_stopped,
            "sampler_busy": outcome.sampler_busy,
            "elapsed_secs": outcome.elapsed_secs,
            "peak_memory_bytes": mdsd3_render::memory::peak_resident_bytes(),
        });
        say(&report.to_string())?;
    }
    if outcome.is_stopped {
        bail!("stopped after {done} of {total} pairs; the same command with --resume goes on");
    }
    if *done == 0 && *failed_scenes > 0 {
        bail!("none of the photos could be used; their reasons are above");
    }
    if !args.json {
        say_in_words(outcome, folder)?;
    }
    match outcome.unread_scenes {
        0 => check_none_failed(*failed_scenes, folder),
        count => bail!(
            "{} could not be read this time and {} no pairs yet; the same command with --resume tries again",
            photos(count),
            if count == 1 { "has" } else { "have" }
        ),
    }
}

fn say_in_words(outcome: &Outcome, folder: &Path) -> anyhow::Result<()> {
    let Outcome {
        made,
        total,
        failed_scenes,
        unread_scenes,
        ..
    } = outcome;
    say(&format!(
        "made {made} of {total} pairs in {:.1} s, sampler busy {:.0} %{}",
        outcome.elapsed_secs,
        outcome.sampler_busy * 100.0,
        skipped(failed_scenes + unread_scenes)
    ))?;
    if !outcome.is_finished && *unread_scenes == 0 {
        say("when all shards have ended, run the same command with --merge instead of --shard")?;
    }
    say(&format!("wrote {}", folder.display()))
}

fn skipped(scenes: usize) -> String {
    match scenes {
        0 => String::new(),
        count => format!(", {} skipped", photos(count)),
    }
}

fn photos(count: usize) -> String {
    format!("{count} photo{}", if count == 1 { "" } else { "s" })
}

/// A dataset without the pairs of some photos is none that a script should go on with unasked.
fn check_none_failed(failed_scenes: usize, folder: &Path) -> anyhow::Result<()> {
    if failed_scenes == 0 {
        return Ok(());
    }
    bail!(
        "{} can't be used and {} no pairs, the rest is complete; {} says why: leave them out of the plan, or mend them and begin in another folder",
        photos(failed_scenes),
        if failed_scenes == 1 { "has" } else { "have" },
        folder.join(".mdsd3").display()
    )
}

fn dry_run(sweep: &Sweep, model: Option<LoadedModel>) -> anyhow::Result<()> {
    let plan = &sweep.plan;
    let measuring = progress::spinner("measuring one pair");
    let estimate = estimate::measure(sweep, model)?;
    measuring.finish_and_clear();
    say(&format!(
        "{} pairs: {} scenes x {} mixes x {} alpha and beta x {} seeds",
        sweep.len(),
        plan.scenes.len(),
        sweep.jobs_per_scene() / plan.alpha_beta.len() / plan.seeds.len(),
        plan.alpha_beta.len(),
        plan.seeds.len()
    ))?;
    match estimate {
        Some(Estimate {
            secs_per_pair,
            bytes_per_pair,
        }) => say(&format!(
            "about {} of computing and {} on this machine",
            in_time(secs_per_pair * sweep.len() as f64),
            in_bytes(bytes_per_pair * sweep.len() as f64)
        ))?,
        None => say("no estimate: none of the first photos can be used")?,
    }
    say(&format!("plan {}", sweep.hash()))?;
    for job in sweep.jobs().take(SHOWN_JOBS) {
        let job = job?;
        say(&format!(
            "{:>6}  {}  {}  alpha {} beta {}  seed {}  {:.8}",
            job.index, plan.scenes[job.scene], job.mix, job.alpha, job.beta, job.seed, job.key
        ))?;
    }
    Ok(())
}

fn in_time(secs: f64) -> String {
    match secs {
        secs if secs < 100.0 => format!("{secs:.1} s"),
        secs if secs < 6000.0 => format!("{:.1} min", secs / 60.0),
        secs => format!("{:.1} h", secs / 3600.0),
    }
}

fn in_bytes(bytes: f64) -> String {
    if bytes < 1e9 {
        format!("{:.1} MB", bytes / 1e6)
    } else {
        format!("{:.1} GB", bytes / 1e9)
    }
}

fn write_script(args: &SweepArgs, sweep: &Sweep, plan: &Path, folder: &Path) -> anyhow::Result<()> {
    // Tasks start in SLURM's working folder, which need not be this one.
    let absolute = |path: &Path| std::path::absolute(path).map(|path| path.to_string_lossy().into_owned());
    let options = SlurmOptions {
        shards: args.shards,
        time: args.time.clone(),
        gpus: args
            .gpus
            .unwrap_or(u32::from(sweep.needs_model() && sweep.plan.run.model.device != "cpu")),
        cores: args.cores,
        program: absolute(&env::current_exe().context("this program's path is unknown")?)?,
        plan: absolute(plan)?,
        output: absolute(folder)?,
    };
    // Components leave out the slash that a shell's completion puts behind a folder.
    let mut file = folder.components().as_path().as_os_str().to_owned();
    file.push(".sbatch");
    let file = Path::new(&file);
    metadata::write_file(file, slurm::script(sweep, &options).as_bytes())?;
    say(&format!(
        "wrote {}; start it by: sbatch {}",
        file.display(),
        slurm::word(&file.to_string_lossy())
    ))
}

fn verify_dataset(folder: &Path) -> anyhow::Result<()> {
    let bar = progress::bar(0, "checking");
    let report = verify::verify(folder, |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    for (kind, files) in [
        ("missing", &report.missing),
        ("differs", &report.differing),
        ("not in the journal", &report.unknown),
    ] {
        for file in files.iter().take(SHOWN_FILES) {
            say(&format!("{kind}: {file}"))?;
        }
        if files.len() > SHOWN_FILES {
            say(&format!("{kind}: {} more", files.len() - SHOWN_FILES))?;
        }
    }
    let shown = folder.display();
    if report.is_good() {
        let (pairs, good) = (report.pairs, report.good);
        return say(&format!(
            "{shown}: {pairs} pairs in {good} files, all as the journal says{}",
            skipped(report.failed_scenes)
        ));
    }
    let mut faults = Vec::new();
    for (count, what) in [
        (report.missing.len(), "files are missing"),
        (report.differing.len(), "files differ"),
        (report.damaged_lines, "journal lines are damaged"),
        (report.lost_lines, "journal lines are missing"),
    ] {
        if count > 0 {
            faults.push(format!("{count} {what}"));
        }
    }
    if !report.is_finished {
        faults.push("the dataset is not finished; go on with --resume".to_owned());
    }
    bail!(RenderError::BadInput(format!("{shown}: {}", faults.join(", "))).one_line())
}
