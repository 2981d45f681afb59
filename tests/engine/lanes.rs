//! Lanes side by side, and branches.

use mdsd3_engine::protocol::{CancelReason, Event, LaneRequest, Request, StepView};
use mdsd3_render::RenderError;
use mdsd3_render::metadata;
use mdsd3_words::image::Rgba8;
use mdsd3_words::lane::{LaneId, LaneKind, RunId};
use mdsd3_words::{Branch, Mix, RenderRequest, Sampler, SamplerAid, Sampling, SceneSettings};

use crate::driver::{Driver, endless, quick};

fn mixed(mix: &str, steps: usize) -> RenderRequest {
    RenderRequest {
        sampling: Sampling {
            mix: mix.parse::<Mix>().expect("well formed"),
            ..quick(steps).sampling
        },
        ..quick(steps)
    }
}

fn branch(step: usize, from: &RenderRequest) -> RenderRequest {
    RenderRequest {
        branch: Some(Box::new(Branch {
            step,
            from: from.clone(),
        })),
        ..from.clone()
    }
}

/// The largest difference of two images, in 8-bit levels.
fn difference(a: &Rgba8, b: &Rgba8) -> u8 {
    assert_eq!((a.width, a.height), (b.width, b.height));
    a.pixels
        .iter()
        .zip(b.pixels.iter())
        .map(|(a, b)| a.abs_diff(*b))
        .max()
        .unwrap_or(0)
}

/// Runs lanes to their end; the predictions of each lane, step by step, result last.
fn predictions(driver: &Driver, run: RunId, requests: &[RenderRequest]) -> Vec<Vec<Rgba8>> {
    driver.render_lanes(run, requests.to_vec());
    let events = driver.wait_for_end(run);
    assert!(matches!(events.last(), Some(Event::Finished { .. })), "{events:?}");
    let first_step = |request: &RenderRequest| request.branch.as_ref().map_or(0, |branch| branch.step);
    let count = requests
        .iter()
        .map(|request| 2 * (request.sampling.steps - first_step(request) + 1))
        .sum();
    let mut frames = driver.collect_frames(run, count);
    frames.retain(|frame| frame.view == StepView::X0Hat);
    frames.sort_by_key(|frame| (frame.lane, frame.step));
    let of_lane = |lane: LaneId| {
        frames
            .iter()
            .filter(move |frame| frame.lane == lane)
            .map(|frame| frame.image.clone())
    };
    (1..=requests.len() as LaneId)
        .map(|lane| of_lane(lane).collect())
        .collect()
}

#[test]
fn a_lane_in_a_batch_is_the_same_as_alone() {
    let driver = Driver::start();
    let requests = ["haze=0.6", "rain=0.7", "haze=0.6,rain=0.7"].map(|mix| mixed(mix, 3));
    driver.render_lanes(1, requests.clone());
    let events = driver.wait_for_end(1);
    let Some(Event::Started { batches, .. }) = events.first() else {
        panic!("{events:?}");
    };
    assert_eq!(batches.len(), 1, "lanes with the same sampling settings share a batch");
    let steps = events
        .iter()
        .filter(|event| matches!(event, Event::StepDone { lanes, .. } if lanes == &[1, 2, 3]));
    assert_eq!(steps.count(), 3, "one event per step of the batch");
    let together = predictions(&driver, 2, &requests);
    for (index, request) in requests.iter().enumerate() {
        let alone = predictions(&driver, 3 + index as RunId, std::slice::from_ref(request)).remove(0);
        assert_eq!(together[index].len(), 4);
        for (step, (a, b)) in together[index].iter().zip(&alone).enumerate() {
            assert!(difference(a, b) <= 1, "lane {index}, step {step}: {}", difference(a, b));
        }
    }
    assert!(difference(&together[0][3], &together[1][3]) > 8, "the lanes differ");
}

#[test]
fn lanes_that_begin_at_other_noise_levels_have_batches_of_their_own() {
    let driver = Driver::start();
    let later = |share: f32| RenderRequest {
        sampling: Sampling {
            alpha: share,
            beta: 1.0 - share,
            start_at_noise_share: true,
            ..mixed("rain=1", 2).sampling
        },
        ..mixed("rain=1", 2)
    };
    driver.render_lanes(1, [mixed("rain=1", 2), later(0.5), later(0.25), later(0.5)]);
    let events = driver.wait_for_end(1);
    let Some(Event::Started { batches, .. }) = events.first() else {
        panic!("{events:?}");
    };
    let starts: Vec<(&[u64], f32)> = batches
        .iter()
        .map(|batch| (&batch.lanes[..], batch.sigmas[0]))
        .collect();
    assert_eq!(starts, [(&[1][..], 1.0), (&[2, 4], 0.5), (&[3], 0.25)]);
}

#[test]
fn a_branch_without_changes_repeats_its_run_and_one_with_changes_keeps_the_steps_before() {
    let driver = Driver::start();
    let plain = mixed("haze=0.6,rain=0.7", 6);
    let averaged = RenderRequest {
        sampling: Sampling {
            sampler_aid: SamplerAid::MovingAverage,
            ..plain.sampling.clone()
        },
        ..plain.clone()
    };
    let late = RenderRequest {
        sampling: Sampling {
            alpha: 0.6,
            beta: 0.4,
            start_at_noise_share: true,
            sampler: Sampler::Heun,
            ..plain.sampling.clone()
        },
        ..plain.clone()
    };
    for (run, original) in [(1, plain), (10, averaged), (20, late)] {
        let whole = predictions(&driver, run, std::slice::from_ref(&original)).remove(0);
        let mut changed = branch(2, &original);
        changed.sampling.mix = "haze=1.4".parse().expect("well formed");
        // The noise levels stay its run's, whatever alpha is now.
        (changed.sampling.alpha, changed.sampling.start_at_noise_share) = (1.2, false);
        let branches = predictions(&driver, run + 1, &[branch(2, &original), changed]);
        assert_eq!(
            branches[0].len(),
            6 - 2 + 1,
            "steps before the branch are not computed again"
        );
        for (step, (a, b)) in whole[2..].iter().zip(&branches[0]).enumerate() {
            assert!(difference(a, b) <= 1, "run {run}, step {step}: {}", difference(a, b));
        }
        assert!(
            difference(&whole[6], &branches[1][4]) > 8,
            "other settings give another image"
        );
    }
}

#[test]
fn a_branch_of_a_run_that_is_not_in_memory_is_the_same() {
    let original = mixed("haze=0.6,rain=0.7", 5);
    let nested = branch(4, &branch(2, &original));
    let driver = Driver::start();
    let whole = predictions(&driver, 1, std::slice::from_ref(&original)).remove(0);
    let fresh = Driver::start();
    let again = predictions(&fresh, 1, std::slice::from_ref(&nested)).remove(0);
    assert!(difference(&whole[5], &again[1]) <= 1);
}

#[test]
fn a_branch_that_does_not_fit_its_run_is_refused_in_one_line() {
    let driver = Driver::start();
    let request = RenderRequest {
        sampling: Sampling {
            steps: 9,
            ..branch(2, &quick(4)).sampling
        },
        ..branch(2, &quick(4))
    };
    driver.render(1, request);
    let Event::Failed { run: Some(1), message } = driver.next() else {
        panic!("the branch should be refused");
    };
    assert!(message.contains("steps") && message.lines().count() == 1, "{message}");
}

#[test]
fn lanes_of_different_photos_are_refused() {
    let mut session = mdsd3_render::session::Session::new();
    let requests = [
        quick(2),
        RenderRequest {
            scene: SceneSettings {
                size: 128,
                ..quick(2).scene
            },
            ..quick(2)
        },
    ];
    let refused = session.render_lanes(&requests.each_ref(), &mut ());
    assert!(refused.is_err_and(|error| error.is_bad_input()));
    assert!(matches!(
        session.render_lanes(&[], &mut ()),
        Err(RenderError::BadInput(_))
    ));
}

#[test]
fn stopping_a_run_of_lanes_reports_whole_steps() {
    let driver = Driver::start();
    driver.render_lanes(
        1,
        [
            endless(),
            RenderRequest {
                sampling: Sampling {
                    guidance: 2.0,
                    ..endless().sampling
                },
                ..endless()
            },
        ],
    );
    driver.wait_for(|event| matches!(event, Event::StepDone { .. }));
    driver.engine.cancel(CancelReason::User);
    let events = driver.wait_for_end(1);
    assert!(matches!(
        events.last(),
        Some(Event::Cancelled {
            reason: CancelReason::User,
            ..
        })
    ));
}

#[test]
fn the_physical_baseline_is_a_lane_that_can_be_saved_and_made_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("physical.png");
    let driver = Driver::start();
    let request = mixed("haze=0.8,rain=1", 2);
    let lane = |lane, kind| LaneRequest {
        lane,
        kind,
        request: request.clone(),
    };
    let lanes = vec![lane(1, LaneKind::Sampled), lane(2, LaneKind::Physical)];
    driver.send(Request::Render { run: 1, lanes });
    driver.wait_for_end(1);
    let frames = driver.collect_frames(1, 2 * (2 + 1) + 2);
    let baseline = frames.iter().find(|frame| frame.lane == 2).expect("a baseline");
    assert_eq!((baseline.step, baseline.steps), (0, 0));
    driver.send(Request::SaveResult {
        lane: 2,
        path: path.clone(),
    });
    assert_eq!(driver.next(), Event::Saved { path: path.clone() });
    let settings = metadata::read_settings(&path).expect("settings");
    let pair = settings.pair.as_ref().expect("a physical image says so");
    let again = mdsd3_dataset::reproduce::pair_file(&path, &settings, pair).expect("made again");
    let decode = |bytes: &[u8]| image::load_from_memory(bytes).expect("a PNG").to_rgb8();
    assert_eq!(decode(&again), decode(&std::fs::read(&path).expect("readable")));
}
