//! The studio of MDSD3: a window in which a photo gets rain, haze, noise and snow, step by step, with its spectrum.
//!
//! - [`run()`] opens the window. [`Studio`] is its contents, which tests draw without one.
//! - [`state`] holds what the studio knows and how it reacts; it draws nothing. [`panes`] draw and hold nothing.
//! - [`commands`] lists every action once, for the menu, the shortcuts and the buttons.
//! - [`theme`] is the one file with colours, distances and type sizes.
//!
//! The studio speaks to the model through [`link::EngineLink`] only: no tensor can be named in this crate, and nothing here
//! computes or waits while a frame is drawn.
//!
//! # Example
//!
//! ```
//! use mdsd3_gui::commands::Command;
//! use mdsd3_gui::panes;
//!
//! // Every pane has a command that brings it to the front, and the menu lists it.
//! let in_menu: Vec<Command> = Command::all().collect();
//! assert!(panes::ALL.iter().all(|pane| in_menu.contains(&Command::Show(*pane))));
//! ```

pub mod adapters;
pub mod colormap;
pub mod commands;
pub mod compare;
pub mod compare_gpu;
pub mod dialogs;
pub mod icons;
pub mod lane;
pub mod layout;
pub mod link;
pub mod notice;
pub mod overlays;
pub mod pane_id;
pub mod panes;
pub mod picture;
pub mod prefs;
pub mod run;
pub mod spectrum_gpu;
pub mod state;
pub mod textures;
pub mod theme;
pub mod widgets;
pub mod zoom;

mod app;
mod config_file;
mod error;
mod frame_times;
mod gpu;
mod style;
mod system_fonts;
mod window;

pub use app::Studio;
pub use error::GuiError;
pub use window::{StudioOptions, run};
