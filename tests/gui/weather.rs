//! The weather: depth, regions and layers, as a user sees and sets them.

use std::path::PathBuf;

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use mdsd3_engine::chores::Chore;
use mdsd3_engine::protocol::{Event, Request};
use mdsd3_gui::Studio;
use mdsd3_gui::commands::Command;
use mdsd3_gui::panes;
use mdsd3_words::lane::LaneKind;
use mdsd3_words::weather::{Composition, DepthKind, Space};

use crate::support::{Drive, FakeEngine, ready};

fn shown(engine: &FakeEngine) -> Harness<'static, Studio> {
    let mut harness = ready(engine);
    harness.command("show the weather");
    assert_eq!(Command::Show(panes::weather::PANE).label(), "Show the weather");
    harness
}

fn weather_of<'a>(harness: &'a Harness<'static, Studio>) -> &'a mdsd3_words::weather::WeatherSettings {
    &harness.state().state().settings().weather
}

fn labels(harness: &Harness<'static, Studio>, part: &str) -> Vec<String> {
    let nodes = harness.query_all_by(move |node| {
        let name = node.label().or_else(|| node.value()).unwrap_or_default();
        name.contains(part)
    });
    let words = nodes.map(|node| {
        let node = node.accesskit_node();
        node.label().or_else(|| node.value())
    });
    words.flatten().collect()
}

/// Questions about depth and regions that the engine was asked.
fn asked(engine: &FakeEngine) -> usize {
    let is_it = |request: &&Request| matches!(request, Request::SceneWeather(_));
    engine.0.borrow().requests.iter().filter(is_it).count()
}

#[test]
fn the_depth_is_asked_for_once_when_it_is_shown_with_its_scale_and_source() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    assert_eq!(asked(&engine), 0, "nothing shows it yet");
    harness.press(Key::D);
    harness.get_by_role_and_label(Role::Image, "Depth image");
    let scale = "Scale of Depth, from 2 to 200 m, logarithmic, sky in its own colour";
    harness.get_by_role_and_label(Role::Label, scale);
    harness.command("show the weather");
    assert!(labels(&harness, "depth: Estimated from the photo").len() == 1);
    assert!(labels(&harness, "horizon is at 27 %").len() == 1, "its notes are told");
    harness.run();
    assert_eq!(asked(&engine), 1);
    harness.press(Key::D);
    harness.get_by_role_and_label(Role::Image, "Scene image");
}

#[test]
fn another_depth_map_is_typed_and_removed_and_told_when_it_can_not_be_read() {
    let engine = FakeEngine::new();
    let mut harness = shown(&engine);
    let file = tempfile::Builder::new().suffix(".npy").tempfile().expect("a file");
    let type_path = |harness: &mut Harness<'static, Studio>, path: &str| {
        harness.click_on(Role::TextInput, "depth map path");
        harness.press_with(Modifiers::COMMAND, Key::A);
        harness.type_into("depth map path", path);
        harness.press(Key::Enter);
    };
    type_path(&mut harness, &file.path().display().to_string());
    assert_eq!(weather_of(&harness).depth.as_deref(), Some(file.path()));
    assert_eq!(
        labels(&harness, &format!("depth: From {}", file.path().display())).len(),
        1
    );
    harness.click_on(Role::RadioButton, "numbers of the depth map: Disparity");
    assert_eq!(weather_of(&harness).depth_kind, DepthKind::Disparity);
    assert_eq!(asked(&engine), 3, "first, with the file, and with its kind");

    type_path(&mut harness, "no/such/map.npy");
    assert!(!labels(&harness, "no such file").is_empty());
    harness.click_on(Role::Button, "Remove the depth map");
    assert_eq!(weather_of(&harness).depth, None);
    assert_eq!(labels(&harness, "depth: Estimated").len(), 1);
}

#[test]
fn a_depth_map_is_told_from_a_photo_when_it_is_dropped() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, b"x").expect("written");
        path
    };
    for name in ["a.npy", "street.depth.png"] {
        let path = write(name);
        harness.state_mut().state_mut().open_file(path.clone());
        harness.run();
        assert_eq!(weather_of(&harness).depth, Some(path), "{name}");
    }
    // Another photo has another depth.
    harness.state_mut().state_mut().open_scene(Some(write("other.png")));
    harness.run();
    assert_eq!(weather_of(&harness).depth, None);
}

#[test]
fn composition_is_set_and_belongs_to_physical_lanes_alone() {
    let engine = FakeEngine::new();
    let mut harness = shown(&engine);
    harness.click_on(Role::RadioButton, "haze in: Linear light");
    harness.click_on(Role::RadioButton, "rain: Adds light");
    let weather = weather_of(&harness);
    assert_eq!(
        (weather.space, weather.rain_composition),
        (Space::Linear, Composition::Additive)
    );
    harness.command("add a physical lane");
    harness.mix();
    let (_, lanes) = engine.runs().pop().expect("a run");
    let spaces: Vec<_> = lanes
        .iter()
        .map(|lane| (lane.kind, lane.request.weather.space))
        .collect();
    assert_eq!(
        spaces,
        [(LaneKind::Sampled, Space::Srgb), (LaneKind::Physical, Space::Linear)],
        "a network knows nothing of it"
    );
}

#[test]
fn a_physical_lane_takes_all_classes_of_the_formulas_and_a_network_says_what_it_lacks() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    assert!(harness.query_by_role_and_label(Role::Slider, "defocus ratio").is_none());
    harness.command("add a physical lane");
    for class in ["low_light", "motion_blur", "defocus", "raindrop", "jpeg", "downsample"] {
        harness.get_by_role_and_label(Role::Slider, &format!("{class} ratio"));
    }
    harness.set_slider("defocus ratio", 0.5);
    harness.run();
    assert!(harness.state().state().mix_blocker().is_none());
    // The same asked of a network: it is left out, and said to be.
    harness.state_mut().state_mut().select_lane(0);
    harness.state_mut().state_mut().set_ratio("defocus", 0.5);
    harness.run();
    let state = harness.state().state();
    assert!(state.mix_blocker().is_none());
    assert_eq!(state.lacking_classes(0), ["defocus"]);
    assert!(state.lacking_classes(1).is_empty());
    assert_eq!(
        state.request_of(0).sampling.mix.ratio("defocus").to_bits(),
        0.0_f32.to_bits()
    );
    assert!((state.request_of(1).sampling.mix.ratio("defocus") - 0.5).abs() < 1e-6);
    harness.get_by_role_and_label(Role::Slider, "defocus ratio");
}

#[test]
fn layers_are_shown_chosen_and_saved_as_they_are_seen() {
    let engine = FakeEngine::new();
    let mut harness = shown(&engine);
    harness.command("add a physical lane");
    harness.mix();
    harness.press(Key::Y);
    harness.get_by_role_and_label(Role::Image, "Layer haze: transmission");
    harness.press(Key::N);
    harness.get_by_role_and_label(Role::Image, "Layer noise: residual");
    harness.get_by_role_and_label(Role::Label, "Scale of noise: residual, from −0.25 to 0.25 value");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("residual.png");
    harness.state_mut().save_seen(path.clone());
    let saved = image::open(&path).expect("an image").into_rgb8();
    // (x y) % 7 / 14 - 1/4 on a scale from -1/4 to 1/4: 0 is black, and 3 of 6 grey.
    assert_eq!((saved.get_pixel(0, 0).0, saved.get_pixel(3, 1).0), ([0; 3], [109; 3]));
    let folder = folder.path().join("layers");
    harness.state_mut().state_mut().save_layers(folder.clone());
    harness.run();
    let wire = engine.0.borrow();
    let Some(Request::SaveLayers { folder: asked, .. }) = wire.requests.last() else {
        panic!("{:?}", wire.requests.last());
    };
    assert_eq!(*asked, folder);
    drop(wire);
    harness.press(Key::Y);
    assert!(
        harness
            .query_by_role_and_label(Role::Image, "Layer noise: residual")
            .is_none()
    );
}

#[test]
fn a_region_is_drawn_on_the_photo_shown_over_it_and_cleared() {
    let engine = FakeEngine::new();
    let mut harness = shown(&engine);
    harness.click_on(Role::Button, "Draw region of rain");
    let canvas = harness
        .get_by_role_and_label(Role::Canvas, "Draw where rain acts")
        .rect();
    let at = |x: f32, y: f32| canvas.min + canvas.size() * egui::vec2(x, y);
    harness.drag_at(at(0.0, 0.25));
    harness.run();
    harness.hover_at(at(0.5, 1.0));
    harness.run();
    harness.drop_at(at(0.5, 1.0));
    harness.run();
    let corners = engine.0.borrow().requests.iter().find_map(|request| match request {
        Request::Chore(chore) => match &**chore {
            Chore::DrawMask { corners, size_px, .. } => Some((*corners, *size_px)),
            _ => None,
        },
        _ => None,
    });
    let ([left, top, right, bottom], size_px) = corners.expect("a mask");
    // The photo is 1600 x 1067 px, of which the middle 1067 are seen.
    let seen = 1067.0 / 1600.0;
    let near = |one: f32, other: f32| (one - other).abs() < 0.01;
    assert!(near(left, 0.5 - seen / 2.0) && near(right, 0.5), "{left} {right}");
    assert!(near(top, 0.25) && near(bottom, 1.0), "{top} {bottom}");
    assert_eq!(size_px, (1600, 1067));
    assert_eq!(weather_of(&harness).regions[0].class, "rain");
    assert!(weather_of(&harness).regions[0].mask.ends_with("mask.png"));
    harness.get_by_role_and_label(Role::Label, "Regions of rain");
    harness.click_on(Role::Button, "Clear region of rain");
    assert!(weather_of(&harness).regions.is_empty());
    assert!(
        harness
            .query_by_role_and_label(Role::Label, "Regions of rain")
            .is_none()
    );
}

#[test]
fn a_region_is_set_by_keyboard() {
    let engine = FakeEngine::new();
    let mut harness = shown(&engine);
    harness.click_on(Role::Button, "Draw region of haze");
    for side in ["left", "top", "right", "bottom"] {
        harness.get_by_role_and_label(Role::SpinButton, &format!("{side} side of the region"));
    }
    harness.click_on(Role::Button, "Set");
    assert_eq!(weather_of(&harness).regions[0].class, "haze");
    harness.command("clear all regions");
    assert!(weather_of(&harness).regions.is_empty());
}

#[test]
fn a_restarted_engine_is_asked_again_when_something_changes() {
    let engine = FakeEngine::new();
    let mut harness = shown(&engine);
    engine.tell(Event::WorkerRestarted {
        run: None,
        message: "a panic for the test".to_owned(),
    });
    harness.run();
    harness
        .state_mut()
        .state_mut()
        .set_depth(Some(PathBuf::from("no/such.png")));
    harness.run();
    assert_eq!(asked(&engine), 2);
}
