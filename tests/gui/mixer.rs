//! Curves, single heads, the pad, presets and the strip of seeds.

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use mdsd3_gui::Studio;
use mdsd3_gui::prefs::Prefs;
use mdsd3_words::RenderRequest;

use crate::support::{Drive, FakeEngine, WINDOW, run_until, studio};

fn ready(engine: &FakeEngine) -> Harness<'static, Studio> {
    // Tall enough for the whole Mixer, so that nothing has to be scrolled into view.
    let mut harness = studio(engine, Prefs::default(), WINDOW + egui::vec2(0.0, 700.0));
    harness.run();
    for section in ["Ratios over sigma", "Attention heads"] {
        harness.get_by_role_and_label(Role::DisclosureTriangle, section).click();
        harness.run();
    }
    harness
}

fn settings<'a>(harness: &'a Harness<'static, Studio>) -> &'a RenderRequest {
    harness.state().state().settings()
}

fn mix_and_wait(harness: &mut Harness<'static, Studio>) {
    harness.get_by_role_and_label(Role::Button, "Mix").click();
    run_until(harness, 60, |studio| studio.state().finished_run().is_some());
}

#[test]
fn a_curve_is_drawn_by_dragging_points_and_reaches_the_run() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    harness.click_on(Role::RadioButton, "curve of: haze");
    harness.click_on(Role::Button, "Early");
    let point = harness.get_by_role_and_label(Role::Slider, "haze curve point 1 at sigma 0.40");
    let from = point.rect().center();
    harness.drag_at(from);
    harness.run();
    harness.hover_at(from + egui::vec2(20.0, -20.0));
    harness.run();
    harness.drop_at(from + egui::vec2(20.0, -20.0));
    harness.run();
    let [(sigma, factor), (0.6, 1.0)] = harness.state().state().curve_points("haze")[..] else {
        panic!("two points");
    };
    assert!(
        sigma < 0.39 && factor > 0.2,
        "moved right (less noise) and up: {sigma} {factor}"
    );
    mix_and_wait(&mut harness);
    let (_, request) = engine.renders().pop().expect("a run");
    assert_eq!(request.sampling.curves.len(), 1);
    assert_eq!(request.sampling.curves[0].class(), "haze");
}

#[test]
fn curve_points_are_moved_and_removed_by_keys() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    harness.click_on(Role::Button, "Late");
    harness
        .get_by_role_and_label(Role::Slider, "rain curve point 1 at sigma 0.40")
        .focus();
    harness.run();
    harness.key_press(Key::ArrowRight);
    harness.press(Key::ArrowDown);
    assert_eq!(harness.state().state().curve_points("rain")[0], (0.38, 0.95));
    harness.press(Key::Delete);
    assert_eq!(harness.state().state().curve_points("rain"), [(0.6, 0.0)]);
    harness.click_on(Role::Button, "All constant");
    assert!(settings(&harness).sampling.curves.is_empty());
}

#[test]
fn a_single_head_is_set_and_follows_its_class_again() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    harness.click_on(Role::Button, "head 4, haze, ratio 0.60");
    harness
        .get_by_role_and_label(Role::Slider, "head 4 ratio")
        .set_value_accesskit(0.0);
    harness.run();
    harness.get_by_role_and_label(Role::Button, "head 4, haze, ratio 0.00");
    harness.get_by_role_and_label(Role::Button, "head 3, haze, ratio 0.60");
    mix_and_wait(&mut harness);
    let (_, request) = engine.renders().pop().expect("a run");
    assert_eq!(
        request
            .sampling
            .head_ratios
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["4=0"]
    );
    harness.click_on(Role::Button, "Follow its class again");
    assert!(settings(&harness).sampling.head_ratios.is_empty());
}

#[test]
fn the_pad_sets_both_weights_and_snaps_to_the_line() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    let pad = harness
        .get_by_role_and_label(Role::Slider, "alpha and beta pad")
        .rect()
        .shrink(10.0);
    // A third of 1.5 from the left and, a little off, from below.
    harness.drag_at(pad.left_bottom() + egui::vec2(pad.width() / 3.0, -pad.height() / 3.0 - 1.0));
    harness.run();
    harness.drop_at(pad.left_bottom() + egui::vec2(pad.width() / 3.0, -pad.height() / 3.0 - 1.0));
    harness.run();
    let (alpha, beta) = (settings(&harness).sampling.alpha, settings(&harness).sampling.beta);
    assert!((alpha + beta - 1.0).abs() < 1e-5, "{alpha} + {beta}");
    assert!((alpha - 0.5).abs() < 0.03);
    harness.get_by_label("α + β = 1");
    harness.press(Key::ArrowUp);
    assert!(settings(&harness).sampling.beta > beta, "arrow keys move it as well");
    harness.get_by_label("α + β > 1");
}

#[test]
fn a_start_at_the_noise_share_says_where_that_is() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    harness.click_on(Role::CheckBox, "Start at the noise share");
    harness.get_by_label(
        "The first step is at sigma 1.00, from the scene under that much noise; the ratio of α to β counts.",
    );
    harness
        .get_by_role_and_label(Role::Slider, "beta")
        .set_value_accesskit(1.0);
    harness.run();
    harness.get_by_label(
        "The first step is at sigma 0.50, from the scene under that much noise; the ratio of α to β counts.",
    );
    mix_and_wait(&mut harness);
    let (_, request) = engine.renders().pop().expect("a run");
    assert!(request.sampling.start_at_noise_share);
    harness.press_with(Modifiers::COMMAND, Key::Z);
    harness.press_with(Modifiers::COMMAND, Key::Z);
    assert!(
        !settings(&harness).sampling.start_at_noise_share,
        "undone as any other setting"
    );
}

#[test]
fn measured_strengths_stand_under_the_sliders() {
    let engine = FakeEngine::new();
    let harness = ready(&engine);
    harness.get_by_label("41 % veiled · physical 41 %");
    harness.get_by_label("5.7 / 255 RMS · physical 7.1");
}

#[test]
fn presets_are_taken_over_saved_and_removed() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    harness.click_on(Role::Button, "Presets");
    harness.click_on(Role::Button, "Snow alone");
    assert_eq!(
        settings(&harness).sampling.mix.active().collect::<Vec<_>>(),
        [("snow", 1.0)]
    );
    harness.click_on(Role::Button, "Presets");
    harness.click_on(Role::Button, "Save these settings…");
    harness.type_into("preset name", "Blizzard");
    harness.click_on(Role::Button, "Save preset");
    assert_eq!(harness.state().prefs().presets[0].name, "Blizzard");
    harness.press_with(Modifiers::COMMAND, Key::Backspace);
    harness.click_on(Role::Button, "Presets");
    harness.click_on(Role::Button, "Blizzard");
    assert!((settings(&harness).sampling.mix.ratio("snow") - 1.0).abs() < 1e-6);
    harness.click_on(Role::Button, "Presets");
    harness.click_on(Role::Button, "Remove the preset Blizzard");
    assert!(harness.state().prefs().presets.is_empty());
}

/// Every seed is typed, shown and stepped to exactly: a 64-bit float would make the largest 18446744073709552000.
#[test]
fn the_largest_seeds_are_typed_and_shown_exactly() {
    let mut harness = ready(&FakeEngine::new());
    let shown = |harness: &Harness<'static, Studio>| {
        let field = harness.get_by_role_and_label(Role::TextInput, "seed");
        field.accesskit_node().value().expect("a text")
    };
    let retype = |harness: &mut Harness<'static, Studio>, text: &str| {
        harness.get_by_role_and_label(Role::TextInput, "seed").click();
        harness.run();
        harness.press_with(Modifiers::COMMAND, Key::A);
        harness.type_into("seed", text);
    };
    retype(&mut harness, "18446744073709551615");
    assert_eq!(settings(&harness).sampling.seed, u64::MAX);
    harness.press(Key::ArrowDown);
    assert_eq!(settings(&harness).sampling.seed, u64::MAX - 1);
    assert_eq!(shown(&harness), "18446744073709551614");
    // One more is no seed: the text waits to be mended, and gives way when the field is left.
    retype(&mut harness, "18446744073709551616");
    assert_eq!(shown(&harness), "18446744073709551616");
    assert_eq!(settings(&harness).sampling.seed, u64::MAX - 1);
    harness.press_with(Modifiers::COMMAND, Key::D);
    let drawn = settings(&harness).sampling.seed;
    assert!(drawn < 1_000_000, "another was drawn");
    harness.press(Key::Escape);
    assert_eq!(shown(&harness), drawn.to_string());
}

#[test]
fn the_strip_renders_its_seeds_and_a_click_chooses_one() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    harness
        .get_by_role_and_label(Role::Slider, "steps")
        .set_value_accesskit(1.0);
    harness.run();
    harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::Enter);
    run_until(&mut harness, 120, |studio| {
        engine.renders().len() == 6 && !studio.state().is_busy() && studio.state().seeds_to_do() == 0
    });
    let seeds: Vec<u64> = engine
        .renders()
        .iter()
        .map(|(_, request)| request.sampling.seed)
        .collect();
    assert_eq!(seeds, [0, 1, 2, 3, 4, 5]);
    assert_eq!(settings(&harness).sampling.seed, 0, "the seed it began with");
    harness.click_on(Role::Button, "seed 3");
    assert_eq!(settings(&harness).sampling.seed, 3);
    assert!(
        harness
            .state_mut()
            .state_mut()
            .seed_strip()
            .iter()
            .all(|one| one.is_current)
    );
}

#[test]
fn escape_ends_the_strip() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::Enter);
    run_until(&mut harness, 10, |studio| studio.state().is_busy());
    harness.press(Key::Escape);
    assert_eq!(harness.state().state().seeds_to_do(), 0);
    assert_eq!(engine.renders().len(), 1);
}
