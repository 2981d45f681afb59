//! `mdsd3 doctor`: what this machine and this build have, and what is missing.

use std::env;
use std::thread;

use mdsd3_gui::adapters;
use mdsd3_render::bundled;
use mdsd3_render::device;
use mdsd3_render::memory;
use mdsd3_words::VERSION;

use crate::outcome::say;
use crate::studio;

/// Runs the command.
pub fn run() -> anyhow::Result<()> {
    for (label, value) in facts() {
        say(&format!("{label:<14}{value}"))?;
    }
    Ok(())
}

fn facts() -> Vec<(String, String)> {
    let system = format!("{} {}", env::consts::OS, env::consts::ARCH);
    let cores = thread::available_parallelism().map_or_else(|_| "unknown".to_owned(), |cores| cores.to_string());
    let mut facts = vec![
        ("version", format!("mdsd3 {VERSION}")),
        ("system", system),
        ("cores", cores),
        ("memory", memory_in_words()),
        ("display", studio::display_in_words()),
        ("model", model_in_words()),
        ("demo photos", photos_in_words()),
    ];
    facts.extend(graphics_in_words().into_iter().map(|adapter| ("graphics", adapter)));
    let devices = device::available().into_iter().map(|device| (device.name, device.note));
    facts.extend(devices);
    facts
        .into_iter()
        .map(|(label, value)| (label.to_owned(), value))
        .collect()
}

fn memory_in_words() -> String {
    let gibibytes = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    match memory::machine_bytes() {
        Some((total, available)) => {
            format!("{:.1} GiB, {:.1} GiB available", gibibytes(total), gibibytes(available))
        }
        None => "unknown on this system".to_owned(),
    }
}

/// What could draw the studio's window, one line each.
fn graphics_in_words() -> Vec<String> {
    if !studio::has_display() {
        // Nothing could be drawn, and some drivers complain when they are opened outside of a session.
        return vec!["not looked for without a display".to_owned()];
    }
    let found = adapters::available();
    if found.is_empty() {
        let advice = "none: no studio here; install a Vulkan driver, on Debian mesa-vulkan-drivers and libvulkan1 (they also \
                      draw without a graphics card)";
        return vec![advice.to_owned()];
    }
    found.iter().map(ToString::to_string).collect()
}

fn model_in_words() -> String {
    match bundled::model_bytes() {
        Some(bytes) => format!("bundled, {:.1} MB", bytes as f64 / 1e6),
        None => "not in this build (assets/models/mini was not there); name one with --model".to_owned(),
    }
}

fn photos_in_words() -> String {
    let photos = bundled::demo_photos();
    let folder = photos.first().and_then(|photo| photo.parent());
    match folder {
        Some(folder) => format!("1 in the program, {} in {}", photos.len(), folder.display()),
        None => "1 in the program".to_owned(),
    }
}
