//! The Queue pane: what it asks for and what it tells.

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use mdsd3_engine::protocol::Event;
use mdsd3_engine::queue::{PairThumbnail, QueueEntry, QueueFailure, QueueRequest, QueueState};
use mdsd3_gui::Studio;
use mdsd3_gui::prefs::Prefs;
use mdsd3_words::made::EngineKind;

use crate::support::{Drive, FakeEngine, WINDOW, picture, studio};

fn shown(engine: &FakeEngine, prefs: Prefs) -> Harness<'static, Studio> {
    let mut harness = studio(engine, prefs, WINDOW);
    show(&mut harness);
    harness
}

fn show(harness: &mut Harness<'static, Studio>) {
    harness.run();
    harness.press_with(Modifiers::COMMAND, Key::J);
}

fn press(harness: &mut Harness<'static, Studio>, role: Role, name: &str) {
    // By accessibility, which also reaches what has to be scrolled to.
    harness.get_by_role_and_label(role, name).click_accesskit();
    harness.run();
}

fn asked(engine: &FakeEngine) -> Vec<QueueRequest> {
    engine.0.borrow().queue_requests.clone()
}

fn entry(id: u64, name: &str, state: QueueState) -> QueueEntry {
    QueueEntry {
        id,
        name: name.to_owned(),
        plan: Some(format!("/data/{name}.toml").into()),
        folder: Some(format!("/data/{name}-1a2b3c4d").into()),
        state,
        done: 123,
        total: 400,
        pairs_per_sec: Some(5.2),
        sampler_busy: None,
        failures: Vec::new(),
        thumbnails: Vec::new(),
    }
}

pub fn entries() -> Vec<QueueEntry> {
    let mut running = entry(0, "rain-haze", QueueState::Running);
    running.thumbnails = (0..6)
        .map(|index| PairThumbnail {
            index,
            mix: "rain=0.8,haze=0.6".to_owned(),
            lq: picture(0.2, 0.1 * index as f32, 0.3),
        })
        .collect();
    running.failures.push(QueueFailure {
        scene: "bad.png".to_owned(),
        reason: "bad.png: not a photo".to_owned(),
    });
    let paused = entry(1, "snow", QueueState::Paused);
    let mut done = entry(2, "night", QueueState::Finished);
    (done.done, done.sampler_busy) = (400, Some(0.98));
    vec![running, paused, done]
}

fn tell(harness: &mut Harness<'static, Studio>, engine: &FakeEngine) {
    engine.tell(Event::Queue(entries()));
    harness.run();
}

#[test]
fn the_form_adds_a_grid_around_the_mix() {
    let engine = FakeEngine::new();
    let mut harness = shown(&engine, Prefs::default());
    press(&mut harness, Role::RadioButton, "Mixes: Grid around it");
    press(&mut harness, Role::RadioButton, "Made by: Formulas");
    press(&mut harness, Role::Button, "Add to the queue");
    let asked = asked(&engine);
    let [QueueRequest::AddGrid { grid, .. }] = &asked[..] else {
        panic!("{asked:?}");
    };
    assert_eq!((grid.factors.len(), grid.engine), (4, EngineKind::Physical));
    assert_eq!(grid.run.sampling.mix, harness.state().state().settings().sampling.mix);
}

#[test]
fn entries_are_paused_resumed_cancelled_removed_and_opened() {
    let engine = FakeEngine::new();
    let mut harness = shown(&engine, Prefs::default());
    tell(&mut harness, &engine);
    for name in ["Pause rain-haze", "Cancel rain-haze", "Resume snow", "Remove night"] {
        press(&mut harness, Role::Button, name);
    }
    assert_eq!(
        asked(&engine),
        [
            QueueRequest::Pause(0),
            QueueRequest::Cancel(0),
            QueueRequest::Resume(1),
            QueueRequest::Remove(2),
        ]
    );
    assert!(
        harness
            .query_by_role_and_label(Role::Button, "Remove rain-haze")
            .is_none(),
        "a running entry can't be removed"
    );
    harness.get_by_label("123 of 400 pairs · 5.2 pairs/s · 53 s left");
    harness.get_by_label("Running");
    harness.get_by_label("1 photo skipped · bad.png: not a photo");
    harness.get_by_role_and_label(Role::Button, "Open the folder of rain-haze");
}

#[test]
fn unfinished_entries_come_back_paused() {
    let engine = FakeEngine::new();
    let harness = {
        let mut harness = shown(&engine, Prefs::default());
        tell(&mut harness, &engine);
        harness
    };
    let prefs = harness.state().prefs();
    assert_eq!(prefs.unfinished.len(), 2);
    let engine = FakeEngine::new();
    shown(&engine, prefs);
    let expected = |name: &str| QueueRequest::AddPlan {
        plan: format!("/data/{name}.toml").into(),
        folder: Some(format!("/data/{name}-1a2b3c4d").into()),
        is_paused: true,
    };
    assert_eq!(asked(&engine), [expected("rain-haze"), expected("snow")]);
}
