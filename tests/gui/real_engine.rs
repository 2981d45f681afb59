//! The studio over the real engine and the bundled model.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use egui::accesskit::Role;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use mdsd3_engine::Engine;
use mdsd3_engine::EngineOptions;
use mdsd3_gui::Studio;
use mdsd3_gui::prefs::Prefs;
use mdsd3_render::bundled;
use mdsd3_words::{RenderRequest, SceneSettings};

use crate::skipped::skip;
use crate::support::WINDOW;

/// Far beyond what any wait needs; a hang fails the test instead of the whole run.
const PATIENCE: Duration = Duration::from_mins(2);

/// A studio on the smallest useful size; `None`, with the test skipped, in a build without the bundled model.
fn studio() -> Option<Harness<'static, Studio>> {
    if bundled::model_bytes().is_none() {
        skip("this build has no bundled model (assets/models/mini)");
        return None;
    }
    let settings = RenderRequest {
        scene: SceneSettings {
            size: 128,
            ..SceneSettings::default()
        },
        ..RenderRequest::default()
    };
    let prefs = Prefs {
        settings,
        ..Prefs::default()
    };
    let build = move |cc: &mut eframe::CreationContext<'_>| {
        let engine = Engine::start(EngineOptions::default()).expect("the engine starts");
        Studio::new(&cc.egui_ctx, Box::new(engine), prefs, None)
    };
    Some(
        Harness::builder()
            .with_size(WINDOW)
            .with_step_dt(0.05)
            .build_eframe(build),
    )
}

fn wait(harness: &mut Harness<'static, Studio>, what: &str, mut done: impl FnMut(&Studio) -> bool) {
    let start = Instant::now();
    while !done(harness.state()) {
        assert!(start.elapsed() < PATIENCE, "{what}: still not so after two minutes");
        std::thread::sleep(Duration::from_millis(20));
        harness.step();
    }
    harness.step();
}

fn set_slider(harness: &mut Harness<'static, Studio>, name: &str, value: f64) {
    harness
        .get_by_role_and_label(Role::Slider, name)
        .set_value_accesskit(value);
    harness.step();
}

#[test]
fn a_photo_is_loaded_mixed_and_previewed() {
    let Some(mut harness) = studio() else {
        return;
    };
    wait(&mut harness, "model and demo photo", |studio| {
        studio.state().mix_blocker().is_none()
    });
    let photo = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../assets/photos/great-wall.jpg");
    harness.state_mut().state_mut().open_scene(Some(photo.clone()));
    wait(&mut harness, "the photo", |studio| {
        studio
            .state()
            .scene
            .as_ref()
            .is_some_and(|scene| scene.path.as_ref() == Some(&photo))
    });
    let class = harness.state().state().classes()[0].clone();
    set_slider(&mut harness, &format!("{class} ratio"), 1.0);
    set_slider(&mut harness, "steps", 3.0);
    harness.get_by_role_and_label(Role::Button, "Mix").click();
    harness.step();
    wait(&mut harness, "the result", |studio| {
        studio.state().finished_run().is_some() && studio.state().shown_step() == Some(3)
    });
    harness.get_by_role_and_label(Role::Image, "Step image");
    let lane = harness.state().state().lane().expect("a run is shown");
    assert_eq!(lane.step_secs.len(), 3);
    assert!((lane.request.sampling.mix.ratio(&class) - 1.0).abs() < 1e-6);
    assert_eq!(lane.request.scene.size, 128);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = folder.path().join("mix.png");
    harness.state_mut().state_mut().save_result(target.clone());
    wait(&mut harness, "the saved file", |studio| {
        studio
            .state()
            .messages
            .notices
            .iter()
            .any(|notice| notice.message.starts_with("Saved"))
    });
    assert_eq!(image::image_dimensions(&target).expect("a PNG"), (128, 128));
}

/// A drag over a running mix: the run is stopped once, nothing is mixed with a value that the hand only passed by, and the mix
/// that follows has the value where it came to rest.
#[test]
fn dragging_a_slider_queues_no_stale_work() {
    let Some(mut harness) = studio() else {
        return;
    };
    wait(&mut harness, "model and demo photo", |studio| {
        studio.state().mix_blocker().is_none()
    });
    let class = harness.state().state().classes()[0].clone();
    let rail = harness
        .get_by_role_and_label(Role::Slider, &format!("{class} ratio"))
        .rect();
    let at = |share: f32| egui::pos2(rail.left() + share * rail.width(), rail.center().y);
    set_slider(&mut harness, "steps", 100.0);
    harness.key_press(egui::Key::Space);
    wait(&mut harness, "the first step", |studio| studio.state().lane().is_some());
    let mut asked_for = Vec::new();
    let mut watch = |studio: &Studio| {
        if let Some(active) = &studio.state().runs.active {
            let asked = (active.run, active.lanes[0].request.sampling.mix.ratio(&class));
            if asked_for.last() != Some(&asked) {
                asked_for.push(asked);
            }
        }
    };
    watch(harness.state());
    harness.drag_at(at(0.1));
    for place in 0_u8..40 {
        harness.hover_at(at(0.1 + 0.02 * f32::from(place)));
        harness.step();
        watch(harness.state());
        std::thread::sleep(Duration::from_millis(10));
    }
    harness.drop_at(at(0.5));
    set_slider(&mut harness, "steps", 2.0);
    wait(&mut harness, "the result", |studio| {
        watch(studio);
        studio.state().finished_run().is_some() && !studio.state().is_busy()
    });
    let rested = harness.state().state().settings().sampling.mix.ratio(&class);
    assert_eq!(
        asked_for.len(),
        2,
        "the run that was stopped and the last: {asked_for:?}"
    );
    assert!(
        (asked_for[1].1 - rested).abs() < 1e-6 && (0.6..0.9).contains(&rested),
        "{rested}"
    );
}

#[test]
fn stop_and_a_panic_leave_a_studio_that_mixes_again() {
    let Some(mut harness) = studio() else {
        return;
    };
    wait(&mut harness, "model and demo photo", |studio| {
        studio.state().mix_blocker().is_none()
    });
    set_slider(&mut harness, "steps", 100.0);
    harness.key_press(egui::Key::Space);
    wait(&mut harness, "the first step", |studio| studio.state().lane().is_some());
    harness.key_press(egui::Key::Escape);
    wait(&mut harness, "the stop", |studio| !studio.state().is_busy());
    assert!(harness.state().state().finished_run().is_none());

    harness.state_mut().panic_worker_for_test();
    wait(&mut harness, "the message", |studio| {
        !studio.state().messages.notices.is_empty()
    });
    set_slider(&mut harness, "steps", 1.0);
    harness.get_by_role_and_label(Role::Button, "Mix again").click();
    harness.step();
    wait(&mut harness, "a result", |studio| {
        studio.state().finished_run().is_some()
    });
}

#[test]
fn a_photo_that_is_not_one_is_refused_in_words() {
    let Some(mut harness) = studio() else {
        return;
    };
    let file = tempfile::Builder::new()
        .suffix(".png")
        .tempfile()
        .expect("a temporary file");
    std::fs::write(file.path(), b"not a picture").expect("a writable file");
    harness.state_mut().state_mut().open_scene(Some(file.path().to_owned()));
    wait(&mut harness, "the message", |studio| {
        !studio.state().messages.notices.is_empty()
    });
    let message = harness.state().state().messages.notices[0].message.clone();
    assert!(message.contains(".png"), "{message}");
    harness.get_by_label(&message);
}

/// Depth and layers of the demo photo come up from the worker; what is wrong with a depth map comes up in its words.
#[test]
fn depth_and_layers_are_computed_and_shown() {
    let Some(mut harness) = studio() else {
        return;
    };
    wait(&mut harness, "model and demo photo", |studio| {
        studio.state().mix_blocker().is_none()
    });
    harness.key_press(egui::Key::D);
    wait(&mut harness, "the depth", |studio| {
        matches!(studio.state().scene_weather(), Some(Ok(_)))
    });
    harness.get_by_role_and_label(Role::Image, "Depth image");
    let Some(Ok(view)) = harness.state().state().scene_weather() else {
        panic!("it is known");
    };
    assert_eq!((view.depth.width, view.depth.height), (128, 128));
    assert!(view.depth.metres.iter().all(|metres| *metres > 0.0));

    let state = harness.state_mut().state_mut();
    state.add_physical_lane();
    state.remove_lane(0);
    state.clear_mix();
    state.set_ratio("haze", 0.5);
    harness.step();
    harness.get_by_role_and_label(Role::Button, "Mix").click();
    harness.step();
    wait(&mut harness, "the baseline", |studio| {
        studio.state().finished_run().is_some()
    });
    harness.key_press(egui::Key::Y);
    wait(&mut harness, "the layers", |studio| {
        matches!(studio.state().layers(), Some(Ok(_)))
    });
    harness.step();
    let Some(Ok(layers)) = harness.state().state().layers() else {
        panic!("they are known");
    };
    let transmission = layers.iter().find(|layer| layer.name.contains("transmission"));
    let transmission = transmission.expect("haze has one");
    assert!(transmission.values.iter().all(|share| (0.0..=1.0).contains(share)));
    harness.get_by_role_and_label(Role::Image, &format!("Layer {}", layers[0].name));

    harness
        .state_mut()
        .state_mut()
        .set_depth(Some("no/such/map.npy".into()));
    wait(
        &mut harness,
        "the fault",
        |studio| matches!(studio.state().scene_weather(), Some(Err(message)) if message.contains("no/such/map.npy")),
    );
}
