//! The studio, driven through its accessibility tree: what a user does and sees, without a window.

mod commands;
mod controls;
mod failures;
mod lanes;
mod real_engine;
mod shaders;
mod snapshots;
mod support;
