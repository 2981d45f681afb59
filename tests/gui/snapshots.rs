//! How the studio looks in its main states, dark and light, drawn by a software rasteriser.

use egui::accesskit::Role;
use egui::{Key, Modifiers, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use mdsd3_gui::Studio;
use mdsd3_gui::prefs::Prefs;
use mdsd3_gui::theme::Look;

use crate::support::{Drive, FakeEngine, WINDOW, drawn_studio, drawn_studio_with, run_until};

fn prefs(look: Look) -> Prefs {
    Prefs {
        look,
        ..Prefs::default()
    }
}

#[test]
fn finished_mix_dark() {
    let engine = FakeEngine::new();
    let Some(mut harness) = drawn_studio(&engine, prefs(Look::Dark), WINDOW) else {
        return;
    };
    harness.run();
    harness.key_press(Key::Space);
    run_until(&mut harness, 40, |studio| studio.state().finished_run().is_some());
    harness.run();
    harness.snapshot("finished_mix_dark");
}

#[test]
fn running_mix_light() {
    let engine = FakeEngine::new();
    let Some(mut harness) = drawn_studio(&engine, prefs(Look::Light), vec2(1280.0, 800.0)) else {
        return;
    };
    harness.run();
    harness.key_press(Key::Space);
    run_until(&mut harness, 40, |studio| {
        studio
            .state()
            .runs
            .active
            .as_ref()
            .is_some_and(|run| run.steps_done == 12)
    });
    engine.0.borrow_mut().stalled = true;
    harness.run();
    harness.snapshot("running_mix_light");
}

#[test]
fn first_start_before_anything_is_loaded() {
    let engine = FakeEngine::default();
    let Some(mut harness) = drawn_studio(&engine, prefs(Look::Dark), WINDOW) else {
        return;
    };
    harness.run();
    harness.snapshot("model_loading_dark");
}

#[test]
fn a_bad_photo_has_a_banner() {
    let engine = FakeEngine::new();
    let Some(mut harness) = drawn_studio(&engine, prefs(Look::Dark), vec2(1280.0, 800.0)) else {
        return;
    };
    harness.run();
    harness
        .state_mut()
        .state_mut()
        .open_scene(Some("holiday/broken.jpg".into()));
    harness.run();
    harness.snapshot("bad_photo_dark");
}

#[test]
fn noisy_latents_magnified_dark() {
    let engine = FakeEngine::new();
    let Some(mut harness) = drawn_studio(&engine, prefs(Look::Dark), WINDOW) else {
        return;
    };
    harness.run();
    harness.key_press(Key::Space);
    run_until(&mut harness, 40, |studio| studio.state().finished_run().is_some());
    for key in [Key::X, Key::Home, Key::ArrowRight, Key::Plus, Key::Plus, Key::Plus] {
        harness.key_press(key);
    }
    harness
        .get_by_role_and_label(Role::Slider, "rain ratio")
        .set_value_accesskit(0.3);
    let center = harness
        .get_by_role_and_label(Role::Image, "Scene image")
        .rect()
        .center();
    harness.hover_at(center);
    harness.run();
    harness.snapshot("noisy_latents_magnified_dark");
}

/// The comparison of haze, rain, both and the physical baseline, mixed, in a mode that is reached by pressing C.
fn compared(look: Look, presses: usize) -> Option<Harness<'static, Studio>> {
    let engine = FakeEngine::new();
    let mut harness = drawn_studio(&engine, prefs(look), WINDOW)?;
    harness.run();
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Num4);
    harness.key_press(Key::Space);
    run_until(&mut harness, 40, |studio| studio.state().finished_run().is_some());
    for _ in 0..presses {
        harness.key_press(Key::C);
    }
    harness.run_steps(60);
    Some(harness)
}

#[test]
fn lanes_side_by_side_dark() {
    let Some(mut harness) = compared(Look::Dark, 0) else {
        return;
    };
    let image = harness.get_by_role_and_label(Role::Image, "rain image").rect();
    harness.hover_at(image.center());
    harness.run();
    harness.snapshot("lanes_dark");
}

#[test]
fn lanes_wiped_light() {
    let Some(mut harness) = compared(Look::Light, 1) else {
        return;
    };
    harness.snapshot("wipe_light");
}

#[test]
fn differences_of_lanes_light() {
    let Some(mut harness) = compared(Look::Light, 3) else {
        return;
    };
    harness.snapshot("difference_light");
}

#[test]
fn non_additivity_dark() {
    let Some(mut harness) = compared(Look::Dark, 4) else {
        return;
    };
    harness.snapshot("non_additivity_dark");
}

#[test]
fn a_branch_beside_its_original_dark() {
    let engine = FakeEngine::new();
    let Some(mut harness) = drawn_studio(&engine, prefs(Look::Dark), vec2(1280.0, 800.0)) else {
        return;
    };
    harness.run();
    harness.key_press(Key::Space);
    run_until(&mut harness, 40, |studio| studio.state().finished_run().is_some());
    harness
        .get_by_role_and_label(Role::Slider, "step")
        .set_value_accesskit(9.0);
    harness.run();
    harness.press(Key::B);
    harness
        .get_by_role_and_label(Role::Slider, "haze ratio")
        .set_value_accesskit(0.0);
    harness.key_press(Key::Space);
    run_until(&mut harness, 40, |studio| studio.state().finished_run() == Some(1));
    harness.run();
    harness.snapshot("branch_dark");
}

#[test]
fn the_shader_and_the_processor_draw_comparisons_alike() {
    for presses in [1, 3] {
        let images = [true, false].map(|with_shader| {
            let engine = FakeEngine::new();
            let mut harness = drawn_studio_with(&engine, prefs(Look::Dark), WINDOW, with_shader)?;
            harness.run();
            harness.key_press(Key::Space);
            run_until(&mut harness, 40, |studio| studio.state().finished_run().is_some());
            for _ in 0..presses {
                harness.key_press(Key::C);
            }
            harness.run_steps(4);
            Some(crop(
                &mut harness,
                if presses == 1 {
                    "Step image"
                } else {
                    "Map of haze + rain − scene"
                },
            ))
        });
        assert_alike(images);
    }
}

#[test]
fn the_shader_and_the_processor_colour_spectra_alike() {
    let images = [true, false].map(|with_shader| {
        let engine = FakeEngine::new();
        let mut harness = drawn_studio_with(&engine, prefs(Look::Dark), WINDOW, with_shader)?;
        harness.run();
        Some(crop(&mut harness, "2-D spectrum of the scene"))
    });
    assert_alike(images);
}

/// The picture of an image in the studio, without its edge.
fn crop(harness: &mut Harness<'static, Studio>, name: &str) -> image::RgbaImage {
    let rect = harness.get_by_role_and_label(Role::Image, name).rect();
    let image = harness.render().expect("a picture of the studio");
    let (x, y, side) = (rect.left() as u32 + 2, rect.top() as u32 + 2, rect.width() as u32 - 4);
    image::imageops::crop_imm(&image, x, y, side, side).to_image()
}

fn assert_alike([by_shader, by_processor]: [Option<image::RgbaImage>; 2]) {
    let Some((by_shader, by_processor)) = by_shader.zip(by_processor) else {
        return;
    };
    // Where a bin's edge falls between two screen pixels the two may choose different neighbours, so a few may differ.
    let differs = |(a, b): (&image::Rgba<u8>, &image::Rgba<u8>)| a.0.iter().zip(b.0).any(|(a, b)| a.abs_diff(b) > 6);
    let different = by_shader
        .pixels()
        .zip(by_processor.pixels())
        .filter(|pair| differs(*pair))
        .count();
    let total = by_shader.pixels().len();
    assert!(different * 50 < total, "{different} of {total} pixels differ");
}
