//! A training beside the worker.

use std::path::Path;
use std::time::{Duration, Instant};

use mdsd3_engine::training::{Trainer, TrainingEvent, TrainingRequest};

/// A recipe over the tiny pipeline that takes far longer than any test.
fn recipe(folder: &Path) -> std::path::PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
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
steps = 1000000
learning_rate = 1e-3
[report]
every = 1
validate_every = 0
sample_every = 0
save_every = 1000000
"#,
        folder.join("run").display(),
        root.join("goldens/sd3_pipeline_tiny/pipeline").display(),
        root.join("../assets/photos").display(),
    );
    let path = folder.join("recipe.toml");
    std::fs::write(&path, text).expect("written");
    path
}

/// Polls until an event fits; fails after a minute.
fn wait(trainer: &Trainer, fits: impl Fn(&TrainingEvent) -> bool) -> Vec<TrainingEvent> {
    let (begun, mut seen) = (Instant::now(), Vec::new());
    loop {
        seen.extend(trainer.poll());
        if seen.iter().any(&fits) {
            return seen;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", seen.last());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_training_pauses_resumes_and_stops_with_its_state_saved() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(folder.path());
    let mut trainer = Trainer::new(None);
    let start = TrainingRequest::Start { recipe };
    trainer.handle(start.clone()).unwrap();
    wait(&trainer, |e| matches!(e, TrainingEvent::Step(_)));
    assert!(trainer.handle(start.clone()).is_err(), "one training at a time");
    trainer.handle(TrainingRequest::Pause).unwrap();
    wait(&trainer, |e| matches!(e, TrainingEvent::Paused));
    trainer.poll();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(trainer.poll(), [], "a paused training is silent");
    trainer.handle(TrainingRequest::Resume).unwrap();
    wait(&trainer, |e| matches!(e, TrainingEvent::Step(_)));
    trainer.handle(TrainingRequest::Stop).unwrap();
    wait(&trainer, |e| matches!(e, TrainingEvent::Stopped));
    assert!(folder.path().join("run/adapter.safetensors").is_file());
    // Once more: it goes on where it was, and dropping the trainer ends it.
    while trainer.handle(start.clone()).is_err() {
        std::thread::sleep(Duration::from_millis(5));
    }
    wait(
        &trainer,
        |e| matches!(e, TrainingEvent::Continued { step } if *step > 0),
    );
}

#[test]
fn a_recipe_that_cannot_be_used_is_an_event() {
    let mut trainer = Trainer::new(None);
    let recipe = "nowhere.toml".into();
    trainer.handle(TrainingRequest::Start { recipe }).unwrap();
    let seen = wait(&trainer, |e| matches!(e, TrainingEvent::Failed { .. }));
    assert!(matches!(seen.last(), Some(TrainingEvent::Failed { message }) if message.contains("nowhere.toml")));
}
