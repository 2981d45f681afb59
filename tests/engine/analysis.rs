//! Analyses on the worker, as the studio asks for them.

use mdsd3_engine::protocol::{CancelReason, Event, Request};
use mdsd3_study::AnalyzeRequest;
use mdsd3_words::{RenderRequest, Sampling};

use crate::driver::{Driver, endless, quick};

fn both(request: RenderRequest) -> RenderRequest {
    RenderRequest {
        sampling: Sampling {
            mix: "haze=1,rain=1".parse().expect("well formed"),
            ..request.sampling
        },
        ..request
    }
}

fn analyze(driver: &Driver, run: u64, request: &RenderRequest) {
    let request = Box::new(AnalyzeRequest::of_run(request, 2).expect("two classes"));
    driver.send(Request::Analyze { run, request });
}

#[test]
fn an_analysis_tells_its_progress_and_ends_with_what_it_found() {
    let driver = Driver::start();
    analyze(&driver, 3, &both(quick(3)));
    let events = driver.wait_for(|event| matches!(event, Event::Analyzed { run: 3, .. } | Event::Failed { .. }));
    let steps: Vec<(usize, usize)> = events
        .iter()
        .filter_map(|event| match event {
            Event::AnalysisStep { run: 3, done, total } => Some((*done, *total)),
            _ => None,
        })
        .collect();
    assert_eq!(steps.last(), Some(&(6, 6)), "two seeds of three steps");
    let Some(Event::Analyzed { formation, .. }) = events.last() else {
        panic!("it ends with what it found, not {:?}", events.last());
    };
    let names: Vec<&str> = formation.lanes.iter().map(|lane| lane.name.as_str()).collect();
    assert_eq!(names, ["haze", "rain", "haze+rain", "(haze+rain) - haze - rain"]);
    let all = formation.lanes[1].bands.last().expect("bands");
    assert_eq!(
        (all.name.as_str(), all.shares.len(), formation.sigmas.len()),
        ("all", 3, 3)
    );
    let last = all.shares[2].expect("rain has energy");
    assert!((last.mean - 1.0).abs() < 1e-9, "the last share is the whole");
    assert!(
        all.formed_at_sigma
            .is_some_and(|formed| formed.low <= formed.mean && formed.mean <= formed.high)
    );
    assert!(!formation.findings.is_empty());
}

#[test]
fn an_analysis_stops_within_a_step_and_a_run_works_afterwards() {
    let driver = Driver::start();
    analyze(&driver, 4, &both(endless()));
    driver.wait_for(|event| matches!(event, Event::AnalysisStep { .. }));
    driver.engine.cancel(CancelReason::User);
    let events = driver.wait_for_end(4);
    assert!(matches!(
        events.last(),
        Some(Event::Cancelled {
            run: 4,
            reason: CancelReason::User,
            ..
        })
    ));
    driver.render(5, quick(2));
    assert!(matches!(
        driver.wait_for_end(5).last(),
        Some(Event::Finished { run: 5, .. })
    ));
}
