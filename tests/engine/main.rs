//! The engine's protocol, as the studio sees it.

mod analysis;
mod driver;
mod lanes;
mod training;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use driver::{Driver, endless, quick};
use mdsd3_engine::Engine;
use mdsd3_engine::EngineError;
use mdsd3_engine::EngineOptions;
use mdsd3_engine::protocol::{CancelReason, Event, Request, StepView};
use mdsd3_render::metadata;
use mdsd3_words::{ModelSettings, RenderRequest, Sampling, SceneSettings};

fn is_step(event: &Event) -> bool {
    matches!(event, Event::StepDone { .. })
}

fn step_count(events: &[Event]) -> usize {
    events.iter().filter(|event| is_step(event)).count()
}

#[test]
fn a_run_reports_every_step_and_its_timeline_is_complete_afterwards() {
    let driver = Driver::start();
    driver.render(7, quick(4));
    let events = driver.wait_for_end(7);
    let Some(Event::Started { run: 7, batches }) = events.first() else {
        panic!("a run starts with Started, not {:?}", events.first());
    };
    let sigmas = &batches[0].sigmas;
    assert_eq!((&batches[0].lanes[..], batches[0].first_step), (&[1][..], 0));
    assert_eq!(sigmas.len(), 5);
    assert!(sigmas.is_sorted_by(|a, b| a > b) && sigmas[4] == 0.0, "{sigmas:?}");
    assert_eq!(step_count(&events), 4);
    assert!(matches!(events.last(), Some(Event::Finished { run: 7, .. })));
    let frames = driver.collect_frames(7, 2 * (4 + 1));
    for view in [StepView::XT, StepView::X0Hat] {
        let mut steps: Vec<usize> = frames
            .iter()
            .filter(|frame| frame.view == view)
            .map(|frame| frame.step)
            .collect();
        steps.sort_unstable();
        assert_eq!(steps, [0, 1, 2, 3, 4], "{view:?}");
    }
    for frame in &frames {
        assert_eq!((frame.image.width, frame.image.height), (64, 64));
        assert_eq!(frame.image.pixels.len(), 64 * 64 * 4);
        assert_eq!(
            frame.spectrum.log_power.len(),
            (frame.spectrum.width * frame.spectrum.height) as usize
        );
        assert!((frame.sigma - sigmas[frame.step]).abs() < 1e-6);
    }
}

#[test]
fn stop_acts_within_a_step_and_keeps_its_reason() {
    let driver = Driver::start();
    driver.render(1, endless());
    driver.wait_for(is_step);
    let seen = 1 + driver.engine.poll().iter().filter(|event| is_step(event)).count();
    driver.engine.cancel(CancelReason::User);
    driver.engine.cancel(CancelReason::Superseded);
    let events = driver.wait_for_end(1);
    let Some(Event::Cancelled { reason, steps_done, .. }) = events.last() else {
        panic!("the run was stopped, but ended with {:?}", events.last());
    };
    assert_eq!(*reason, CancelReason::User);
    // The step during which Stop was pressed, and one that may have ended between the count above and Stop.
    assert!(
        *steps_done <= seen + 2,
        "{steps_done} steps were done, {seen} when Stop was pressed"
    );
    let frames = driver.collect_frames(1, 2 * steps_done);
    assert!(
        frames.iter().all(|frame| frame.step < *steps_done),
        "the steps that were done are all shown"
    );
}

#[test]
fn a_newer_run_takes_the_place_of_the_running_one() {
    let driver = Driver::start();
    driver.render(1, endless());
    driver.wait_for(is_step);
    driver.engine.cancel(CancelReason::Superseded);
    driver.render(2, quick(3));
    let events = driver.wait_for_end(2);
    let cancelled = |event: &Event| {
        matches!(
            event,
            Event::Cancelled {
                run: 1,
                reason: CancelReason::Superseded,
                ..
            }
        )
    };
    let started = |event: &Event| matches!(event, Event::Started { run: 2, .. });
    let (stop, start) = (events.iter().position(cancelled), events.iter().position(started));
    assert!(stop.is_some() && stop < start, "{events:?}");
    assert!(
        matches!(events.last(), Some(Event::Finished { run: 2, .. })),
        "stop-then-send doesn't stop the new run"
    );
    driver.collect_frames(2, 2 * (3 + 1));
    assert!(
        driver.engine.take_frames().is_empty(),
        "nothing more comes of the superseded run"
    );
}

#[test]
fn runs_that_were_stopped_in_the_queue_are_not_computed() {
    let driver = Driver::start();
    driver.render(1, endless());
    driver.render(2, endless());
    driver.wait_for(is_step);
    driver.engine.cancel(CancelReason::User);
    let events = driver.wait_for_end(2);
    assert!(matches!(
        events.last(),
        Some(Event::Cancelled {
            run: 2,
            reason: CancelReason::User,
            steps_done: 0
        })
    ));
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, Event::Started { run: 2, .. }))
    );
}

#[test]
fn a_panic_becomes_a_message_and_the_worker_goes_on() {
    let driver = Driver::start();
    driver.send(Request::PanicForTest);
    let events = driver.wait_for(|event| matches!(event, Event::WorkerRestarted { .. }));
    let Some(Event::WorkerRestarted { run: None, message }) = events.last() else {
        panic!("{events:?}");
    };
    assert!(message.contains("a test asked for this panic"), "{message}");
    driver.render(1, quick(2));
    let events = driver.wait_for_end(1);
    assert!(
        matches!(events[0], Event::ModelLoaded(_)),
        "the model is loaded afresh: {events:?}"
    );
    assert!(matches!(events.last(), Some(Event::Finished { run: 1, .. })));
}

#[test]
fn bad_files_and_settings_become_one_line_each_and_the_next_run_works() {
    let driver = Driver::start();
    let missing = PathBuf::from("no-such-photo.jpg");
    driver.send(Request::OpenScene {
        path: Some(missing.clone()),
        size: 64,
    });
    driver.render(
        1,
        RenderRequest {
            scene: SceneSettings {
                path: Some(missing),
                ..quick(2).scene
            },
            ..quick(2)
        },
    );
    driver.render(
        2,
        RenderRequest {
            sampling: Sampling {
                steps: 0,
                ..quick(2).sampling
            },
            ..quick(2)
        },
    );
    driver.render(
        3,
        RenderRequest {
            scene: SceneSettings {
                size: 65,
                ..quick(2).scene
            },
            ..quick(2)
        },
    );
    let missing_model = RenderRequest {
        model: ModelSettings {
            path: Some("no-such-model".into()),
            ..ModelSettings::default()
        },
        ..RenderRequest::default()
    };
    driver.send(Request::LoadModel {
        key: Box::new(missing_model.model),
    });
    for (run, word) in [
        (None, "no-such-photo"),
        (Some(1), "no-such-photo"),
        (Some(2), "steps"),
        (Some(3), "size"),
        (None, "no-such-model"),
    ] {
        let Event::Failed { run: of, message } = driver.next() else {
            panic!("a request with {word} should fail");
        };
        assert_eq!((of, message.lines().count()), (run, 1), "{message}");
        assert!(message.contains(word), "{message}");
    }
    driver.render(4, quick(2));
    assert!(matches!(
        driver.wait_for_end(4).last(),
        Some(Event::Finished { run: 4, .. })
    ));
}

#[test]
fn the_same_request_gives_the_same_pixels() {
    let driver = Driver::start();
    let result = |run| {
        driver.render(run, quick(3));
        driver.wait_for_end(run);
        let frames = driver.collect_frames(run, 2 * (3 + 1));
        frames
            .into_iter()
            .find(|frame| frame.step == 3)
            .expect("the result is among the frames")
            .image
    };
    // The second run takes the scene from the cache.
    let (first, second) = (result(1), result(2));
    assert!(first == second, "the cached scene changed the result");
    let other = Driver::start();
    other.render(
        3,
        RenderRequest {
            sampling: Sampling {
                seed: 1,
                ..quick(3).sampling
            },
            ..quick(3)
        },
    );
    other.wait_for_end(3);
    let third = other
        .collect_frames(3, 2 * (3 + 1))
        .into_iter()
        .find(|frame| frame.step == 3)
        .expect("a result");
    assert!(first != third.image, "another seed gives another image");
}

#[test]
fn a_scene_opens_before_any_run() {
    let driver = Driver::start();
    driver.send(Request::OpenScene { path: None, size: 128 });
    let Event::SceneLoaded {
        path: None,
        image,
        spectrum,
        original_size,
        notes,
    } = driver.next()
    else {
        panic!("the demo photo should open");
    };
    assert_eq!((image.width, image.height), (128, 128));
    assert_eq!((spectrum.width, spectrum.height), (128, 128));
    assert!(original_size.0 > 128 && original_size.1 > 128);
    assert!(notes.is_empty(), "an sRGB photo is taken as it is: {notes:?}");
}

#[test]
fn a_saved_result_restores_its_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("mix.png");
    let driver = Driver::start();
    driver.send(Request::SaveResult {
        lane: 1,
        path: path.clone(),
    });
    assert!(
        matches!(driver.next(), Event::Failed { run: None, .. }),
        "there is nothing to save yet"
    );
    let request = RenderRequest {
        sampling: Sampling {
            seed: 5,
            beta: 0.25,
            ..quick(2).sampling
        },
        ..quick(2)
    };
    driver.render(1, request.clone());
    driver.wait_for_end(1);
    driver.send(Request::SaveResult {
        lane: 1,
        path: path.clone(),
    });
    assert_eq!(driver.next(), Event::Saved { path: path.clone() });
    assert_eq!(metadata::read_settings(&path).expect("settings").request, request);
    let bad_path = Path::new("no-such-folder").join("mix.png");
    driver.send(Request::SaveResult {
        lane: 1,
        path: bad_path,
    });
    assert!(matches!(driver.next(), Event::Failed { run: None, .. }));
}

#[test]
fn a_receiver_that_never_reads_blocks_nobody() {
    let engine = Engine::start(EngineOptions::default()).expect("the engine starts");
    let missing = || Request::OpenScene {
        path: Some("no-such-photo.jpg".into()),
        size: 64,
    };
    let refused = (0..100_000).map(|_| engine.send(missing())).find_map(Result::err);
    assert!(
        matches!(refused, Some(EngineError::Busy { .. })),
        "the queue is bounded: {refused:?}"
    );
    // Dropping waits for both threads: a deadlock would hang here.
    drop(engine);
}

#[test]
fn an_unknown_device_is_refused_at_the_start() {
    let mut options = EngineOptions::default();
    options.model.device = "tpu".to_owned();
    let error = Engine::start(options).err();
    assert!(error.is_some_and(|error| error.is_bad_input()));
}

#[test]
fn the_window_is_woken_for_events_and_frames() {
    let wakes = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&wakes);
    let wake = Arc::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let driver = Driver {
        engine: Engine::start(EngineOptions {
            wake: Some(wake),
            ..EngineOptions::default()
        })
        .expect("starts"),
    };
    driver.render(1, quick(2));
    driver.wait_for_end(1);
    driver.collect_frames(1, 2 * (2 + 1));
    // Model, started, two steps, finished; frames may come on top.
    assert!(wakes.load(Ordering::SeqCst) >= 5);
}
