//! The studio, driven through its accessibility tree: what a user does and sees, without a window.

mod commands;
mod controls;
mod failures;
mod files;
mod frozen;
mod keyboard;
mod lanes;
mod mixer;
mod model;
mod pane_snapshots;
mod preferences;
mod queue;
mod real_engine;
mod shaders;
#[path = "../skipped.rs"]
mod skipped;
mod snapshots;
mod soak;
mod spectrum;
mod support;
mod training;
mod weather;
