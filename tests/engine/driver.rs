//! A studio without a window: sends requests, waits for events, collects frames.

use std::time::{Duration, Instant};

use mdsd3_engine::Engine;
use mdsd3_engine::EngineOptions;
use mdsd3_engine::protocol::{Event, LaneRequest, Request, StepFrame};
use mdsd3_words::lane::{LaneKind, RunId};
use mdsd3_words::{RenderRequest, Sampling, SceneSettings};

/// Far beyond what any wait needs; a hang fails the test instead of the whole run.
const PATIENCE: Duration = Duration::from_mins(2);

pub struct Driver {
    pub engine: Engine,
}

impl Driver {
    /// An engine whose model is loaded.
    pub fn start() -> Self {
        let driver = Self {
            engine: Engine::start(EngineOptions::default()).expect("the engine starts"),
        };
        driver.wait_for(|event| matches!(event, Event::ModelLoaded(_)));
        driver
    }

    pub fn send(&self, request: Request) {
        self.engine.send(request).expect("there is room in the queue");
    }

    /// Runs a single lane.
    pub fn render(&self, run: RunId, request: RenderRequest) {
        self.render_lanes(run, [request]);
    }

    /// Runs lanes, numbered from 1.
    pub fn render_lanes(&self, run: RunId, requests: impl IntoIterator<Item = RenderRequest>) {
        let lane = |(lane, request)| LaneRequest {
            lane,
            kind: LaneKind::Sampled,
            request,
        };
        let lanes = (1..).zip(requests).map(lane).collect();
        self.send(Request::Render { run, lanes });
    }

    /// The next event, but for the progress of loading a model.
    pub fn next(&self) -> Event {
        loop {
            match self.engine.wait(PATIENCE).expect("an event within two minutes") {
                Event::ModelProgress { .. } => {}
                event => return event,
            }
        }
    }

    /// All events up to and including the first that fits.
    pub fn wait_for(&self, fits: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut seen = Vec::new();
        loop {
            seen.push(self.next());
            if seen.last().is_some_and(&fits) {
                return seen;
            }
        }
    }

    /// All events of a run, up to the one that ends it.
    pub fn wait_for_end(&self, run: RunId) -> Vec<Event> {
        self.wait_for(|event| match event {
            Event::Finished { run: of, .. } | Event::Cancelled { run: of, .. } => *of == run,
            Event::Failed { run: of, .. } | Event::WorkerRestarted { run: of, .. } => *of == Some(run),
            _ => false,
        })
    }

    /// Frames of a run until there are `count`.
    pub fn collect_frames(&self, run: RunId, count: usize) -> Vec<StepFrame> {
        let mut frames = Vec::new();
        let start = Instant::now();
        while frames.len() < count {
            assert!(start.elapsed() < PATIENCE, "{} of {count} frames came", frames.len());
            frames.extend(self.engine.take_frames().into_iter().filter(|frame| frame.run == run));
            std::thread::sleep(Duration::from_millis(5));
        }
        frames
    }
}

/// A run that takes a blink: the smallest useful size, few steps.
pub fn quick(steps: usize) -> RenderRequest {
    RenderRequest {
        scene: SceneSettings {
            size: 64,
            ..SceneSettings::default()
        },
        sampling: Sampling {
            steps,
            ..Sampling::default()
        },
        ..RenderRequest::default()
    }
}

/// A run that nobody waits for: it has to be stopped.
pub fn endless() -> RenderRequest {
    RenderRequest {
        sampling: Sampling {
            steps: 1000,
            ..quick(1).sampling
        },
        ..quick(1)
    }
}
