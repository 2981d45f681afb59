//! The studio without a mouse.

use std::collections::BTreeSet;

use egui::accesskit::Role;
use egui::{Event, Key, Modifiers, MouseWheelSource, MouseWheelUnit, PointerButton, Pos2, Rect, TouchPhase, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use mdsd3_engine::protocol::CancelReason;
use mdsd3_gui::Studio;

use crate::support::{Drive, FakeEngine, WINDOW, ready};

/// What a person works with.
const CONTROLS: [Role; 7] = [
    Role::Button,
    Role::CheckBox,
    Role::ComboBox,
    Role::RadioButton,
    Role::Slider,
    Role::SpinButton,
    Role::TextInput,
];

/// More presses of Tab than there are controls.
const MOST: usize = 200;

/// Role and name of every control that is enabled, and of the one with the keyboard.
fn controls(harness: &Harness<'static, Studio>) -> (BTreeSet<String>, Option<String>) {
    let (mut all, mut focused) = (BTreeSet::new(), None);
    for node in harness.root().children_recursive() {
        let node = node.accesskit_node();
        let name = format!("{:?} {}", node.role(), node.label().unwrap_or_default());
        if node.is_focused() {
            focused = Some(name.clone());
        }
        if CONTROLS.contains(&node.role()) && !node.is_disabled() {
            all.insert(name);
        }
    }
    (all, focused)
}

#[test]
fn tab_reaches_every_control_and_comes_around() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    let (all, _) = controls(&harness);
    assert!(all.len() > 30, "{all:?}");
    let mut order: Vec<String> = Vec::new();
    for _ in 0..MOST {
        harness.key_press(Key::Tab);
        harness.run_steps(2);
        let Some(name) = controls(&harness).1 else {
            continue;
        };
        if order.first() == Some(&name) && order.len() > 10 {
            break;
        }
        order.push(name);
    }
    let reached: BTreeSet<String> = order.iter().cloned().collect();
    let missed: Vec<&String> = all.difference(&reached).collect();
    assert!(missed.is_empty(), "Tab never reaches {missed:?}; it goes {order:?}");
    let place = |name: &str| order.iter().position(|found| found.ends_with(name)).unwrap_or(MOST);
    let in_reading_order = ["Mix", "rain ratio", "haze ratio", "steps", "show: x_t", "Spectra"];
    assert!(in_reading_order.map(place).is_sorted(), "{order:?}");
}

#[test]
fn a_mix_is_set_and_run_by_keys_alone() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    let before = harness.state().state().settings().sampling.mix.ratio("rain");
    tab_to(&mut harness, "Slider rain ratio");
    harness.press(Key::ArrowRight);
    assert!(harness.state().state().settings().sampling.mix.ratio("rain") > before);
    harness.mix();
    assert!(harness.state().state().finished_run().is_some());
}

/// Moves the keyboard to a control by Tab.
fn tab_to(harness: &mut Harness<'static, Studio>, control: &str) {
    for _ in 0..MOST {
        harness.key_press(Key::Tab);
        harness.run_steps(2);
        if controls(harness).1.is_some_and(|name| name == control) {
            return;
        }
    }
    panic!("Tab never reaches {control}");
}

#[test]
fn space_mixes_while_a_slider_or_the_pad_has_the_keyboard_and_presses_a_button_that_has_it() {
    for control in ["Slider rain ratio", "Slider alpha and beta pad"] {
        let engine = FakeEngine::new();
        let mut harness = ready(&engine);
        tab_to(&mut harness, control);
        harness.press(Key::Space);
        assert_eq!(engine.renders().len(), 1, "{control}");
    }
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    let before = harness.state().prefs().look;
    tab_to(&mut harness, "Button Dark or light");
    harness.press(Key::Space);
    assert_ne!(harness.state().prefs().look, before);
    assert!(engine.renders().is_empty(), "Space was the button's");
}

/// A studio whose run goes on.
fn running(engine: &FakeEngine) -> Harness<'static, Studio> {
    let mut harness = ready(engine);
    engine.0.borrow_mut().stalled = true;
    harness.key_press(Key::Space);
    harness.run_steps(3);
    assert!(harness.state().state().is_busy());
    harness
}

#[test]
fn escape_closes_what_is_open_before_it_stops_a_run() {
    let engine = FakeEngine::new();
    let mut harness = running(&engine);
    for (role, name, within) in [
        (Role::Button, "Menu", Some("Save all steps…")),
        (Role::ComboBox, "size", None),
        (Role::SpinButton, "rain ratio value", None),
    ] {
        harness.get_by_role_and_label(role, name).click();
        harness.run_steps(3);
        let is_open = |harness: &Harness<'static, Studio>| {
            let ctx = &harness.ctx;
            egui::Popup::is_any_open(ctx) || ctx.text_edit_focused()
        };
        assert!(is_open(&harness), "{name} opens");
        assert!(within.is_none_or(|within| harness.query_by_label(within).is_some()));
        harness.key_press(Key::Escape);
        harness.run_steps(3);
        assert!(!is_open(&harness), "{name} is closed");
        assert!(
            engine.0.borrow().cancels.is_empty(),
            "{name} was open, and the run goes on"
        );
    }
    harness.key_press(Key::Escape);
    harness.run_steps(2);
    assert_eq!(engine.0.borrow().cancels, [CancelReason::User]);
}

/// Presses and releases the mouse.
fn click_at(harness: &mut Harness<'static, Studio>, pos: Pos2) {
    harness.hover_at(pos);
    harness.run_steps(2);
    for pressed in [true, false] {
        harness.event(Event::PointerButton {
            pos,
            button: PointerButton::Primary,
            pressed,
            modifiers: Modifiers::NONE,
        });
        harness.run_steps(2);
    }
}

#[test]
fn a_click_that_closes_the_menu_does_nothing_else() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    let pad = harness.get_by_role_and_label(Role::Slider, "alpha and beta pad").rect();
    let before = harness.state().prefs().settings;
    harness.click_on(Role::Button, "Menu");
    let aside = pad.center() + pad.size() * 0.3;
    click_at(&mut harness, aside);
    assert!(!egui::Popup::is_any_open(&harness.ctx), "the click closes the menu");
    assert_eq!(harness.state().prefs().settings, before);
    click_at(&mut harness, aside);
    assert_ne!(harness.state().prefs().settings, before, "the next one is the pad's");
}

#[test]
fn the_menu_scrolls_where_the_window_is_too_low_for_it() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    harness.click_on(Role::Button, "Menu");
    let window = Rect::from_min_size(Pos2::ZERO, WINDOW);
    let last =
        |harness: &Harness<'static, Studio>| harness.get_by_role_and_label(Role::Button, "Show the spectrum").rect();
    assert!(!window.contains_rect(last(&harness)));
    harness.hover_at(
        harness
            .get_by_role_and_label(Role::Button, "Open by path…")
            .rect()
            .center(),
    );
    harness.run();
    harness.event(Event::MouseWheel {
        unit: MouseWheelUnit::Point,
        delta: vec2(0.0, -5000.0),
        phase: TouchPhase::Move,
        source: MouseWheelSource::Unknown,
        modifiers: Modifiers::NONE,
    });
    harness.run();
    assert!(window.contains_rect(last(&harness)), "{:?}", last(&harness));
    harness.click_on(Role::Button, "Show the log");
    assert!(harness.query_by_label("Copy").is_some(), "the log is in front");
}
