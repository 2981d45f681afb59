//! The studio in a harness, without a window.

use std::path::PathBuf;

use eframe::egui_wgpu::RenderState;
use egui::{Vec2, vec2};
use egui_kittest::{Harness, SnapshotOptions};
use mdsd3_gui::Studio;
use mdsd3_gui::prefs::Prefs;
use mdsd3_gui::theme::Look;

use super::engine::FakeEngine;
use crate::skipped::skip;

/// The window size that the studio is designed for, in points.
pub const WINDOW: Vec2 = vec2(1440.0, 900.0);

/// The one tolerance of all snapshots: lavapipe versions round edges differently, so some pixels may be off by a little,
/// while a moved control or a changed colour is off by thousands.
pub fn snapshot_options() -> SnapshotOptions {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("snapshots");
    SnapshotOptions::new()
        .threshold(1.5)
        .max_failed_pixels(400)
        .output_path(folder)
}

/// A studio over `engine` in a harness of the given size.
pub fn studio(engine: &FakeEngine, prefs: Prefs, size: Vec2) -> Harness<'static, Studio> {
    let link = engine.clone();
    Harness::builder()
        .with_size(size)
        .with_step_dt(0.1)
        .with_max_steps(64)
        .build_eframe(move |cc| {
            Studio::new(
                &link.attached(&cc.egui_ctx),
                Box::new(link),
                prefs,
                target(cc.wgpu_render_state.as_ref()),
            )
        })
}

/// The same, drawn by wgpu; `None`, with the test skipped, where there is no adapter.
pub fn drawn_studio(engine: &FakeEngine, prefs: Prefs, size: Vec2) -> Option<Harness<'static, Studio>> {
    drawn_studio_with(engine, prefs, size, true)
}

/// The same, with or without the shader for spectra.
pub fn drawn_studio_with(
    engine: &FakeEngine,
    prefs: Prefs,
    size: Vec2,
    with_shader: bool,
) -> Option<Harness<'static, Studio>> {
    let link = engine.clone();
    let Ok(builder) = std::panic::catch_unwind(|| Harness::builder().wgpu()) else {
        skip("there is no graphics adapter (on Debian: apt-get install mesa-vulkan-drivers libvulkan1)");
        return None;
    };
    let theme = match prefs.look {
        Look::Dark => egui::Theme::Dark,
        Look::Light => egui::Theme::Light,
    };
    let harness = builder
        .with_size(size)
        .with_step_dt(0.1)
        .with_max_steps(64)
        .with_theme(theme)
        .with_render_cursor(false)
        .with_options(snapshot_options())
        .build_eframe(move |cc| {
            let ctx = link.attached(&cc.egui_ctx);
            let target = target(cc.wgpu_render_state.as_ref()).filter(|_| with_shader);
            Studio::new(&ctx, Box::new(link), prefs, target)
        });
    Some(harness)
}

fn target(render: Option<&RenderState>) -> Option<eframe::wgpu::TextureFormat> {
    render.map(|render| render.target_format)
}

/// Draws frames until `done` holds, at most `frames` of them.
pub fn run_until(harness: &mut Harness<'static, Studio>, frames: usize, done: impl Fn(&Studio) -> bool) {
    for _ in 0..frames {
        if done(harness.state()) {
            return;
        }
        harness.step();
    }
    assert!(done(harness.state()), "still not so after {frames} frames");
}
