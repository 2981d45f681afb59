//! What the studio says when something goes wrong.

use egui::accesskit::Role;
use egui_kittest::kittest::Queryable as _;
use mdsd3_engine::protocol::Event;
use mdsd3_gui::notice::Level;
use mdsd3_gui::prefs::Prefs;

use crate::support::{Drive, FakeEngine, WINDOW, run_until, studio};

#[test]
fn a_bad_photo_path_is_said_where_the_photo_would_be() {
    let engine = FakeEngine::new();
    let mut harness = studio(&engine, Prefs::default(), WINDOW);
    harness.run();
    harness
        .state_mut()
        .state_mut()
        .open_scene(Some("no/such/photo.png".into()));
    harness.run();
    harness.get_by_label("no/such/photo.png: no such file; check the path");
    harness.get_by_role_and_label(Role::Button, "Open another photo");
    assert!(harness.state().state().scene.is_some(), "the photo before stays");
    harness.click_on(Role::Button, "Dismiss");
    assert!(
        harness
            .query_by_label("no/such/photo.png: no such file; check the path")
            .is_none()
    );
    harness.get_by_label("Log (1)").click();
    harness.run();
    harness.get_by_label("no/such/photo.png: no such file; check the path");
    harness.get_by_label("Log");
}

#[test]
fn a_log_of_a_day_lays_out_what_is_on_screen_and_scrolls_to_the_rest() {
    let engine = FakeEngine::new();
    let mut harness = studio(&engine, Prefs::default(), WINDOW);
    harness.run();
    let long = "a line that is wrapped, as paths make lines long. ".repeat(8);
    for index in 0..1500 {
        let message = format!("number {index} {}", if index % 3 == 0 { &long } else { "" });
        harness
            .state_mut()
            .state_mut()
            .messages
            .log
            .push(0.0, Level::Info, message);
    }
    harness.get_by_label("Log").click();
    harness.run_steps(4);
    harness.get_by_label_contains("number 1499");
    assert!(harness.query_all_by_label_contains("number ").count() < 40);
    assert!(harness.query_by_label_contains("number 0 ").is_none());
    for _ in 0..1500 {
        if let Some(line) = harness.query_all_by_label_contains("number ").next() {
            line.scroll_up();
        }
        harness.step();
    }
    harness.get_by_label_contains("number 0 ");
    assert!(harness.query_by_label_contains("number 1499").is_none());
}

#[test]
fn a_panic_in_the_worker_becomes_a_message_and_mixing_goes_on() {
    let engine = FakeEngine::new();
    let mut harness = studio(&engine, Prefs::default(), WINDOW);
    harness.run();
    harness.get_by_role_and_label(Role::Button, "Mix").click();
    run_until(&mut harness, 5, |studio| studio.state().runs.active.is_some());
    harness.state_mut().panic_worker_for_test();
    harness.run();
    harness.get_by_label_contains("The run failed inside the engine (a panic for the test)");
    harness.get_by_role_and_label(Role::Button, "Mix again").click();
    run_until(&mut harness, 60, |studio| studio.state().finished_run().is_some());
}

#[test]
fn a_model_that_does_not_load_leaves_a_message_and_no_mix_button() {
    let engine = FakeEngine::default();
    let message = "model.bin: is a pickle, which could run any program; convert it to safetensors";
    engine.0.borrow_mut().events.push_back(Event::Failed {
        run: None,
        message: message.to_owned(),
    });
    let mut harness = studio(&engine, Prefs::default(), WINDOW);
    harness.run();
    harness.get_by_label(message);
    harness.click_on(Role::Button, "Mix");
    assert!(engine.renders().is_empty());
    harness.get_by_label("No model is loaded");
}

#[test]
fn a_failed_run_keeps_the_settings_and_can_be_repeated() {
    let engine = FakeEngine::new();
    engine.0.borrow_mut().stalled = true;
    let mut harness = studio(&engine, Prefs::default(), WINDOW);
    harness.run();
    harness.click_on(Role::Button, "Mix");
    let settings = harness.state().state().settings().clone();
    let message = "Out of memory on cuda:0; choose a smaller size or bf16".to_owned();
    engine.0.borrow_mut().events.push_back(Event::Failed {
        run: Some(0),
        message: message.clone(),
    });
    harness.run();
    harness.get_by_label(&message);
    assert_eq!(*harness.state().state().settings(), settings);
    assert!(!harness.state().state().is_busy());
}
