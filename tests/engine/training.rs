//! A training beside the worker.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use mdsd3_engine::protocol::{Event, Request};
use mdsd3_engine::training::{Trainer, TrainingEvent, TrainingRequest};
use mdsd3_words::{ModelParts, ModelSettings, RenderRequest, Sampling, SceneSettings};

use crate::driver::Driver;

/// The tiny Stable Diffusion 3 pipeline of the goldens.
fn checkpoint() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/sd3_pipeline_tiny/pipeline")
}

/// A recipe of an adapter over it.
fn recipe(folder: &Path, steps: usize) -> PathBuf {
    let text = format!(
        r#"
mode = "adapter"
output = '{}'
classes = ["rain", "haze"]
[base]
model = '{}'
[data]
path = '{}'
side = 32
variants = 1
[training]
steps = {steps}
learning_rate = 1e-3
[report]
every = 1
validate_every = 0
sample_every = 0
save_every = 1000000
"#,
        folder.join("run").display(),
        checkpoint().display(),
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/photos").display(),
    );
    let path = folder.join("recipe.toml");
    std::fs::write(&path, text).expect("written");
    path
}

/// A trainer, and where it tells what happens.
fn trainer() -> (Trainer, Receiver<TrainingEvent>) {
    let (sender, told) = mpsc::channel();
    // Err means that the test has seen what it waited for.
    let tell = move |event| sender.send(event).unwrap_or_default();
    (Trainer::new(tell), told)
}

/// Waits until an event fits; fails after a minute without one.
fn wait(told: &Receiver<TrainingEvent>, fits: impl Fn(&TrainingEvent) -> bool) -> Vec<TrainingEvent> {
    let mut seen = Vec::new();
    while !seen.last().is_some_and(&fits) {
        seen.push(told.recv_timeout(Duration::from_mins(1)).expect("it tells something"));
    }
    seen
}

#[test]
fn a_training_pauses_resumes_and_stops_with_its_state_saved() {
    let folder = tempfile::tempdir().unwrap();
    // Far more steps than any test waits for.
    let recipe = recipe(folder.path(), 1_000_000);
    let (mut trainer, told) = trainer();
    let start = TrainingRequest::Start { recipe };
    trainer.handle(start.clone()).unwrap();
    wait(&told, |e| matches!(e, TrainingEvent::Step(_)));
    assert!(trainer.handle(start.clone()).is_err(), "one training at a time");
    trainer.handle(TrainingRequest::Pause).unwrap();
    wait(&told, |e| matches!(e, TrainingEvent::Paused));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [], "a paused training is silent");
    trainer.handle(TrainingRequest::Resume).unwrap();
    wait(&told, |e| matches!(e, TrainingEvent::Step(_)));
    trainer.handle(TrainingRequest::Stop).unwrap();
    wait(&told, |e| matches!(e, TrainingEvent::Stopped));
    assert!(folder.path().join("run/adapter.safetensors").is_file());
    // Once more: it goes on where it was, and dropping the trainer ends it.
    while trainer.handle(start.clone()).is_err() {
        std::thread::sleep(Duration::from_millis(5));
    }
    wait(&told, |e| matches!(e, TrainingEvent::Continued { step } if *step > 0));
}

#[test]
fn a_recipe_that_cannot_be_used_is_an_event() {
    let (mut trainer, told) = trainer();
    let recipe = "nowhere.toml".into();
    trainer.handle(TrainingRequest::Start { recipe }).unwrap();
    let seen = wait(&told, |e| matches!(e, TrainingEvent::Failed { .. }));
    assert!(matches!(seen.last(), Some(TrainingEvent::Failed { message }) if message.contains("nowhere.toml")));
}

#[test]
fn a_trained_adapter_is_loaded_and_rendered_as_the_studio_does() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(folder.path(), 4);
    let (mut trainer, told) = trainer();
    trainer.handle(TrainingRequest::Start { recipe }).unwrap();
    let ended = wait(&told, |e| {
        matches!(e, TrainingEvent::Finished { .. } | TrainingEvent::Failed { .. })
    });
    let Some(TrainingEvent::Finished { path, key }) = ended.last() else {
        panic!("{:?}", ended.last());
    };
    let request = RenderRequest {
        scene: SceneSettings {
            size: 32,
            ..SceneSettings::default()
        },
        sampling: Sampling {
            mix: "rain=0.8,haze=0.4".parse().unwrap(),
            steps: 2,
            ..Sampling::default()
        },
        model: ModelSettings {
            path: Some(checkpoint()),
            parts: ModelParts {
                adapter: Some(path.clone()),
                ..ModelParts::default()
            },
            ..ModelSettings::default()
        },
        ..RenderRequest::default()
    };
    assert_eq!(**key, request.model, "it says what to load");
    let driver = Driver::start();
    driver.send(Request::LoadModel { key: key.clone() });
    let loaded = driver.wait_for(|event| matches!(event, Event::ModelLoaded(_) | Event::Failed { .. }));
    let Some(Event::ModelLoaded(model)) = loaded.last() else {
        panic!("{loaded:?}");
    };
    assert_eq!(model.classes, ["rain", "haze"]);
    driver.render(3, request);
    let events = driver.wait_for_end(3);
    assert!(
        matches!(events.last(), Some(Event::Finished { run: 3, .. })),
        "{events:?}"
    );
    let frames = driver.collect_frames(3, 1);
    assert!(frames.iter().all(|f| (f.image.width, f.image.height) == (32, 32)));
}
