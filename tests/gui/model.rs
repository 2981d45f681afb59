//! The Model pane.

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use mdsd3_engine::protocol::Request;
use mdsd3_gui::Studio;
use mdsd3_gui::prefs::Prefs;
use mdsd3_words::model::{ModelPath, ModelSettings};

use crate::support::{Drive, FakeEngine, WINDOW, studio};

fn model_pane(engine: &FakeEngine) -> Harness<'static, Studio> {
    let mut harness = studio(engine, Prefs::default(), WINDOW);
    harness.run();
    harness.press_with(Modifiers::COMMAND, Key::M);
    harness
}

fn loads(engine: &FakeEngine) -> Vec<ModelSettings> {
    let load = |request: &Request| match request {
        Request::LoadModel { key } => Some(key.as_ref().clone()),
        _ => None,
    };
    engine.0.borrow().requests.iter().filter_map(load).collect()
}

#[test]
fn a_checkpoint_is_typed_and_loaded_in_the_precision_chosen() {
    let engine = FakeEngine::new();
    let mut harness = model_pane(&engine);
    let folder = tempfile::tempdir().expect("a temporary folder");
    harness
        .get_by_role_and_label(Role::TextInput, "checkpoint path")
        .focus();
    harness.run();
    harness
        .get_by_role_and_label(Role::TextInput, "checkpoint path")
        .type_text(&folder.path().display().to_string());
    harness.run();
    harness.click_on(Role::RadioButton, "precision: bf16");
    harness.click_on(Role::Button, "Load");
    let key = loads(&engine).pop().expect("a load");
    assert_eq!(key.path.as_deref(), Some(folder.path()));
    assert_eq!((key.device.as_str(), key.dtype.as_str()), ("cpu", "bf16"));
    assert!(
        harness.state().state().mix_blocker().is_none(),
        "mixing goes on with it"
    );
    harness.get_by_label("Loaded.");
    harness.click_on(Role::Button, "Bundled model");
    assert_eq!(loads(&engine).pop().and_then(|key| key.path), None);
}

#[test]
fn a_model_that_is_refused_leaves_advice_and_a_way_back() {
    let engine = FakeEngine::new();
    let mut harness = model_pane(&engine);
    harness
        .get_by_role_and_label(Role::TextInput, "checkpoint path")
        .focus();
    harness.run();
    harness.type_into("checkpoint path", "/no/such/model");
    harness.click_on(Role::Button, "Load");
    harness.get_by_label("/no/such/model: no such model folder or file");
    assert!(harness.state().state().model.is_none());
    harness.click_on(Role::Button, "Load the bundled model");
    assert!(harness.state().state().model.is_some());
}

#[test]
fn devices_that_this_build_lacks_are_not_offered() {
    let engine = FakeEngine::new();
    let mut harness = model_pane(&engine);
    harness.click_on(Role::ComboBox, "device");
    harness.click_on(Role::Button, "cuda:0");
    assert_eq!(harness.state().state().desk.draft.device, "cpu");
}

#[test]
fn going_to_another_model_can_be_taken_back() {
    let engine = FakeEngine::new();
    let mut harness = model_pane(&engine);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let draft = &mut harness.state_mut().state_mut().desk.draft;
    *draft.path_mut(ModelPath::Model) = folder.path().display().to_string();
    harness.state_mut().state_mut().load_draft();
    harness.run_steps(10);
    harness.state_mut().state_mut().undo();
    harness.run_steps(10);
    assert_eq!(loads(&engine).len(), 2);
    assert_eq!(harness.state().state().settings().model.path, None);
}
