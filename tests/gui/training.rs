//! The Training pane.

use egui::accesskit::Role;
use egui_kittest::kittest::Queryable as _;
use mdsd3_engine::protocol::Event;
use mdsd3_engine::training::{BINS, Progress, StepNumbers, TrainingEvent, TrainingRequest, ValidationNumbers};
use mdsd3_gui::prefs::Prefs;
use mdsd3_gui::state::training::Phase;
use mdsd3_words::ModelSettings;
use mdsd3_words::image::Rgba8;

use crate::support::{Drive, FakeEngine, WINDOW, run_until, studio};

/// A run of 60 steps as it might go.
pub fn events() -> Vec<Event> {
    let falling = |step: usize, level: f32| level * (0.4 + 0.6 / (1.0 + step as f32 / 15.0));
    let mut events = vec![
        TrainingEvent::Started {
            recipe: "adapter.toml".into(),
        },
        TrainingEvent::Message("24 training samples, 4 for validation".into()),
    ];
    for step in (2..=60).step_by(2) {
        events.push(TrainingEvent::Step(StepNumbers {
            step,
            loss: falling(step, 1.0),
            flow: falling(step, 0.9),
            focal: Some(0.1),
            bins: (0..BINS)
                .map(|bin| (step % 3 != bin % 3).then(|| falling(step, 0.5 + 0.2 * bin as f32)))
                .collect(),
            gradient_norm: 0.3,
            learning_rate: 1e-4,
            samples_per_sec: 3.2,
        }));
        if step % 20 == 0 {
            events.push(TrainingEvent::Validation(ValidationNumbers {
                step,
                levels: vec![(0.1, falling(step, 1.2), 0.1), (0.5, falling(step, 0.8), 0.1)],
                mean: falling(step, 1.0),
                is_best: true,
            }));
        }
    }
    let pixels: Vec<u8> = (0..96 * 64u32)
        .flat_map(|i| [(i % 96 * 2) as u8, (i / 96 * 3) as u8, 120, 255])
        .collect();
    events.push(TrainingEvent::Strip {
        step: 60,
        image: Rgba8 {
            width: 96,
            height: 64,
            pixels: pixels.into(),
        },
    });
    events.push(TrainingEvent::Progress(Progress {
        phase: "adapter".into(),
        step: 60,
        steps: 4000,
        loss: Some(0.5),
        samples_per_sec: 3.2,
    }));
    events.into_iter().map(Event::Training).collect()
}

#[test]
fn a_training_is_started_watched_paused_and_stopped() {
    let engine = FakeEngine::new();
    let mut harness = studio(&engine, Prefs::default(), WINDOW);
    harness.run();
    harness.command("training");
    harness.click_on(Role::TextInput, "Training recipe");
    harness.type_into("Training recipe", "adapter.toml");
    harness.click_on(Role::Button, "Start training");
    for event in events() {
        engine.tell(event);
    }
    harness.state_mut().state_mut().messages.notices.clear();
    run_until(&mut harness, 20, |studio| studio.state().training.strip.is_some());
    harness.run();
    for plot in ["Training loss", "Loss by timestep", "Validation", "Training samples"] {
        harness.get_by_role_and_label(Role::Image, plot);
    }
    harness.click_on(Role::Button, "Pause training");
    engine.tell(Event::Training(TrainingEvent::Paused));
    run_until(&mut harness, 20, |studio| {
        studio.state().training.phase == Phase::Paused
    });
    harness.click_on(Role::Button, "Resume training");
    engine.tell(Event::Training(TrainingEvent::Resumed));
    run_until(&mut harness, 20, |studio| {
        studio.state().training.phase == Phase::Running
    });
    harness.click_on(Role::Button, "Stop training");
    let start = TrainingRequest::Start {
        recipe: "adapter.toml".into(),
    };
    let asked = [
        start,
        TrainingRequest::Pause,
        TrainingRequest::Resume,
        TrainingRequest::Stop,
    ];
    assert_eq!(engine.0.borrow().training_requests, asked);
}

#[test]
fn a_training_that_fails_says_why() {
    let engine = FakeEngine::new();
    let mut harness = studio(&engine, Prefs::default(), WINDOW);
    harness.run();
    let message = "rain.toml: cannot read the recipe".to_owned();
    engine.tell(Event::Training(TrainingEvent::Failed { message }));
    run_until(&mut harness, 20, |studio| {
        let notices = &studio.state().messages.notices;
        notices.iter().any(|notice| notice.message.contains("rain.toml"))
    });
    harness.command("training");
    harness.get_by_label("rain.toml: cannot read the recipe");
}

#[test]
fn what_was_trained_can_be_loaded() {
    let engine = FakeEngine::new();
    let mut harness = studio(&engine, Prefs::default(), WINDOW);
    harness.run();
    harness.command("training");
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let key = ModelSettings {
        path: Some(file.path().to_owned()),
        ..ModelSettings::default()
    };
    engine.tell(Event::Training(TrainingEvent::Finished {
        path: file.path().to_owned(),
        key: Box::new(key.clone()),
    }));
    harness.step();
    harness.run();
    harness.click_on(Role::Button, "Load");
    assert_eq!(harness.state().state().settings().model, key);
    assert!(harness.state().state().draft_is_loaded(), "the Model pane shows it");
}
