//! The studio, or a line that says why it can't open.

use std::env;
use std::path::PathBuf;

use anyhow::bail;
use mdsd3_render::memory;
use mdsd3_words::WordsError;

/// How the studio starts.
#[derive(Debug, clap::Args)]
pub struct StudioArgs {
    /// Photo to open; the last session's when absent
    #[arg(value_name = "PHOTO")]
    photo: Option<PathBuf>,
    /// Model folder or safetensors file; the last session's model when absent
    #[arg(long, value_name = "DIR|FILE")]
    model: Option<PathBuf>,
    /// Compute device: cpu, cuda, cuda:N or metal
    #[arg(long)]
    device: Option<String>,
    /// Compute dtype: f32, bf16 or f16
    #[arg(long)]
    dtype: Option<String>,
}

/// Opens the studio and returns when its window is closed.
pub fn run(args: StudioArgs) -> anyhow::Result<()> {
    memory::use_one_arena();
    if let Some(photo) = args.photo.as_ref().filter(|photo| !photo.exists()) {
        // A mistyped command reads as a photo, too.
        let message = "neither a photo nor a command; check the path, or see mdsd3 --help";
        return Err(WordsError::BadInput(format!("{}: {message}", photo.display())).into());
    }
    if !has_display() {
        bail!(
            "the studio needs a display and there is none (neither DISPLAY nor WAYLAND_DISPLAY is set); mix without one \
             by `mdsd3 render`, or `cargo run --release -- render` in the repository"
        );
    }
    let StudioArgs {
        photo,
        model,
        device,
        dtype,
    } = args;
    Ok(mdsd3_gui::run(mdsd3_gui::StudioOptions {
        model,
        device,
        dtype,
        scene: photo,
    })?)
}

/// The display variables that are set; `None` on systems that have no such variables.
fn displays() -> Option<Vec<(&'static str, String)>> {
    if !cfg!(all(unix, not(target_os = "macos"))) {
        return None;
    }
    let set = |name: &'static str| Some((name, env::var(name).ok().filter(|value| !value.is_empty())?));
    Some(["DISPLAY", "WAYLAND_DISPLAY"].into_iter().filter_map(set).collect())
}

/// Whether there is a display to open a window on, as far as the environment tells.
pub fn has_display() -> bool {
    displays().is_none_or(|found| !found.is_empty())
}

/// Whether there is a display, for `mdsd3 doctor`.
pub fn display_in_words() -> String {
    match displays() {
        None => "by the system".to_owned(),
        Some(found) if found.is_empty() => "none (DISPLAY and WAYLAND_DISPLAY are not set): no studio here".to_owned(),
        Some(found) => found
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join(" "),
    }
}
