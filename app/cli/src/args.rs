//! The command line.

use clap::{Parser, Subcommand};

use crate::analyze::AnalyzeArgs;
use crate::bench::BenchArgs;
use crate::degrade::DegradeArgs;
use crate::info::InfoArgs;
use crate::parity::ParityArgs;
use crate::render::RenderArgs;
use crate::studio::StudioArgs;
use crate::sweep::SweepArgs;
use crate::train::TrainArgs;

/// Degradation mixing with a head-wise masked Stable Diffusion 3 transformer.
///
/// Without a command the studio opens, with PHOTO when one is named.
#[derive(Debug, Parser)]
#[command(name = "mdsd3", version, about, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How the studio opens without a command.
    #[command(flatten)]
    pub studio: StudioArgs,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant)] // made once a process; boxing would only hide the arguments from clap
pub enum Command {
    /// Open the studio (what happens without a command)
    Studio(StudioArgs),
    /// Mix degradations into a photo and write a PNG; without any argument, into the demo photo
    Render(RenderArgs),
    /// Measure when each degradation forms, by frequency, over seeds and photos
    Analyze(AnalyzeArgs),
    /// Degrade a photo by physical formulas, without a network
    Degrade(DegradeArgs),
    /// Export a dataset of aligned pairs from a plan
    Sweep(SweepArgs),
    /// Train a model from a recipe, resumably
    Train(TrainArgs),
    /// Recompute reference cases and print the largest error of each tensor
    Parity(ParityArgs),
    /// Show what a model is, or the settings a PNG was made with
    Info(InfoArgs),
    /// Measure how fast this machine is, on random weights
    Bench(BenchArgs),
    /// Show devices, memory, display and what is missing
    Doctor,
}
