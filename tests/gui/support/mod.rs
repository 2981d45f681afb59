//! A studio over recorded answers, and the hands that drive it.

mod answers;
mod drive;
mod engine;
mod harness;
mod pictures;

pub use answers::inspection;
pub use drive::{CTRL_SHIFT, Drive, ready};
pub use engine::FakeEngine;
pub use harness::{WINDOW, drawn_studio, drawn_studio_with, run_until, snapshot_options, studio};
pub use pictures::picture;
