use std::path::Path;
use std::time::{Duration, Instant};

use image::RgbImage;
use mdsd3_words::made::EngineKind;
use mdsd3_words::{RenderRequest, Sampling, SceneSettings};

use super::*;

fn project(plan: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let image = RgbImage::from_fn(48, 40, |x, y| image::Rgb([120, (x * 5) as u8, (y * 6) as u8]));
    image.save(folder.path().join("a.png")).expect("saved");
    let text = format!("engine = \"physical\"\nscenes = [\"a.png\"]\nsize = 32\nmixes = [{{ rain = 1 }}]\n{plan}");
    std::fs::write(folder.path().join("wet.toml"), text).expect("written");
    folder
}

/// Waits for the first entry to be as wanted.
fn wait(queue: &Queue, is_there: impl Fn(&QueueEntry) -> bool) -> QueueEntry {
    let start = Instant::now();
    loop {
        let entry = queue.shared.list().slots[0].entry.clone();
        if is_there(&entry) {
            return entry;
        }
        assert!(start.elapsed() < Duration::from_mins(1), "still {entry:?}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn add(queue: &Queue, folder: &Path) {
    queue.send(QueueRequest::AddPlan {
        plan: folder.join("wet.toml"),
        folder: Some(folder.join("out")),
        is_paused: false,
    });
}

#[test]
fn a_plan_is_made_paused_and_resumed_without_losing_a_pair() {
    let folder = project("seeds = { first = 0, count = 400 }");
    let queue = Queue::start(None).expect("a thread");
    add(&queue, folder.path());
    wait(&queue, |entry| entry.done > 3);
    queue.send(QueueRequest::Pause(0));
    let paused = wait(&queue, |entry| !entry.state.is_active());
    assert_eq!(paused.state, QueueState::Paused);
    assert!((4..400).contains(&paused.done), "{}", paused.done);
    assert!(!paused.thumbnails.is_empty() && paused.remaining_secs().is_some());
    assert!(queue.take().is_some() && queue.take().is_none(), "handed out once");
    queue.send(QueueRequest::Resume(0));
    let finished = wait(&queue, |entry| entry.state == QueueState::Finished);
    assert_eq!((finished.done, finished.total), (400, 400));
    let report = mdsd3_dataset::verify::verify(&folder.path().join("out"), |_, _| ()).expect("checked");
    assert!(report.is_good() && report.pairs == 400, "{report:?}");
    queue.send(QueueRequest::Remove(0));
    assert_eq!(queue.take(), Some(Vec::new()));
}

#[test]
fn a_closed_program_goes_on_where_it_was() {
    let folder = project("seeds = { first = 0, count = 400 }");
    let queue = Queue::start(None).expect("a thread");
    add(&queue, folder.path());
    wait(&queue, |entry| entry.done > 3);
    drop(queue);
    let queue = Queue::start(None).expect("a thread");
    add(&queue, folder.path());
    let finished = wait(&queue, |entry| entry.state == QueueState::Finished);
    assert_eq!(finished.done, 400);
}

#[test]
fn a_grid_around_a_mix_is_written_as_a_plan_and_made() {
    let folder = project("");
    let grid = GridRequest {
        run: RenderRequest {
            scene: SceneSettings {
                size: 32,
                ..SceneSettings::default()
            },
            sampling: Sampling {
                mix: "rain=0.8".parse().expect("a mix"),
                ..Sampling::default()
            },
            ..RenderRequest::default()
        },
        scenes: vec![folder.path().join("a.png").to_string_lossy().into_owned()],
        engine: EngineKind::Physical,
        layout: mdsd3_dataset::layout::LayoutKind::default(),
        factors: vec![0.5, 1.0],
        seeds: 1,
    };
    let queue = Queue::start(None).expect("a thread");
    for _ in 0..2 {
        queue.send(QueueRequest::AddGrid {
            grid: Box::new(grid.clone()),
            root: folder.path().join("sets"),
        });
    }
    let finished = wait(&queue, |entry| entry.state == QueueState::Finished);
    assert_eq!((finished.done, finished.name.as_str()), (2, "rain"));
    let plans = std::fs::read_dir(folder.path().join("sets"))
        .expect("a folder")
        .flatten();
    let plans = plans.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "toml"));
    assert_eq!(plans.count(), 1, "the same mix is one plan");
}

#[test]
fn what_goes_wrong_is_said_and_does_not_stop_the_queue() {
    let folder = project("seeds = []");
    std::fs::write(folder.path().join("bad.png"), "no photo").expect("written");
    let queue = Queue::start(None).expect("a thread");
    add(&queue, folder.path());
    let failed = wait(&queue, |entry| {
        !entry.state.is_active() && entry.state != QueueState::Waiting
    });
    assert!(matches!(&failed.state, QueueState::Failed(message) if message.contains("seeds is empty")));
    let text = "engine = \"physical\"\nscenes = [\"*.png\"]\nsize = 32\nmixes = [{ rain = 1 }]\n";
    std::fs::write(folder.path().join("wet.toml"), text).expect("written");
    queue.send(QueueRequest::Resume(0));
    let finished = wait(&queue, |entry| entry.state == QueueState::Finished);
    assert_eq!(finished.done, 1);
    assert_eq!(finished.failures[0].scene, "bad.png");
}
