//! The studio without a mouse.

use std::collections::BTreeSet;

use egui::Key;
use egui::accesskit::Role;
use egui_kittest::Harness;
use egui_kittest::kittest::NodeT as _;
use mdsd3_gui::Studio;

use crate::support::{Drive, FakeEngine, ready};

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
    let before = harness.state().state().settings.sampling.mix.ratio("rain");
    for _ in 0..MOST {
        harness.key_press(Key::Tab);
        harness.run_steps(2);
        if controls(&harness).1.is_some_and(|name| name == "Slider rain ratio") {
            break;
        }
    }
    harness.press(Key::ArrowRight);
    assert!(harness.state().state().settings.sampling.mix.ratio("rain") > before);
    harness.mix();
    assert!(harness.state().state().finished_run().is_some());
}
