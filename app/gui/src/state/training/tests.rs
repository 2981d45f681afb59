use super::*;

fn numbers(step: usize) -> StepNumbers {
    StepNumbers {
        step,
        loss: 1.0,
        flow: 1.0,
        focal: None,
        bins: vec![None; 5],
        gradient_norm: 0.1,
        learning_rate: 1e-4,
        samples_per_sec: 2.0,
    }
}

#[test]
fn a_run_starts_pauses_resumes_and_stops_once() {
    let mut training = Training::default();
    assert_eq!(training.start(), None, "without a recipe");
    training.recipe = " rain.toml ".into();
    let start = TrainingRequest::Start {
        recipe: "rain.toml".into(),
    };
    assert_eq!(training.start(), Some(start));
    assert_eq!(training.start(), None, "it runs already");
    assert_eq!(training.pause_or_resume(), Some(TrainingRequest::Pause));
    training.apply(TrainingEvent::Paused);
    assert_eq!(training.pause_or_resume(), Some(TrainingRequest::Resume));
    assert_eq!(training.stop(), Some(TrainingRequest::Stop));
    assert_eq!((training.stop(), training.pause_or_resume()), (None, None));
    // Waking up to stop is no return to running.
    training.apply(TrainingEvent::Resumed);
    assert_eq!(training.phase, Phase::Stopping);
    training.apply(TrainingEvent::Stopped);
    assert!(training.can_start());
}

#[test]
fn the_status_says_where_it_is_and_how_long_it_takes() {
    let mut training = Training {
        phase: Phase::Running,
        ..Training::default()
    };
    let progress = |step| {
        TrainingEvent::Progress(Progress {
            phase: "adapter".to_owned(),
            step,
            steps: 100,
            loss: None,
            samples_per_sec: 3.2,
        })
    };
    for (now_secs, step) in [(10.0, 20), (20.0, 40)] {
        training.apply(progress(step));
        training.tick(now_secs);
    }
    let text = "Adapter · step 40 of 100 · 3.2 samples/s";
    assert_eq!(training.status(), format!("{text} · 30 s left"));
    assert_eq!(training.share(), Some(0.4));
    training.apply(TrainingEvent::Paused);
    training.tick(90.0);
    assert_eq!(training.status(), "Paused · adapter · step 40 of 100 · 3.2 samples/s");
    training.apply(TrainingEvent::Failed {
        message: "out of memory: take a smaller batch".to_owned(),
    });
    assert_eq!((training.status().as_str(), training.share()), ("", None));
    assert_eq!(training.failure.as_deref(), Some("Out of memory: take a smaller batch"));
}

#[test]
fn a_long_run_keeps_its_whole_curve() {
    let mut training = Training::default();
    for step in 1..=30_000 {
        training.apply(TrainingEvent::Step(numbers(step)));
    }
    assert!(training.steps.len() < MOST_POINTS);
    assert!(training.steps[0].step < 100 && training.steps.last().is_some_and(|n| n.step > 29_900));
    assert!(training.steps.is_sorted_by_key(|n| n.step));
}

#[test]
fn a_run_that_tells_only_its_loss_has_a_curve_for_each_part() {
    let mut training = Training::default();
    assert!(training.is_untouched());
    for (phase, step, loss) in [
        ("pairs", 1, None),
        ("stage 1", 1, Some(0.5)),
        ("stage 1", 2, Some(0.4)),
        ("stage 2", 1, Some(0.3)),
    ] {
        training.apply(TrainingEvent::Progress(Progress {
            phase: phase.to_owned(),
            step,
            steps: 2,
            loss,
            samples_per_sec: 1.0,
        }));
        assert_eq!(training.has_curves(), loss.is_some());
    }
    assert_eq!(training.part_losses, [(1, 0.3)]);
}
