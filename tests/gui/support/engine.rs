//! An engine of recorded answers.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use mdsd3_engine::EngineError;
use mdsd3_engine::chores::{Chore, ChoreEvent, Inspection, identify};
use mdsd3_engine::protocol::{CancelReason, Event, LaneRequest, Request, StepFrame, StepView};
use mdsd3_engine::queue::QueueRequest;
use mdsd3_engine::training::TrainingRequest;
use mdsd3_gui::link::EngineLink;
use mdsd3_render::metadata;
use mdsd3_study::formation::Formation;
use mdsd3_words::lane::{LaneKind, RunId};
use mdsd3_words::{ModelSettings, ModelSummary, RenderRequest};

use super::answers::{batches, device, formation, frame, layers, model, scene_weather, sigmas};
use super::pictures::{picture, spectrum};

/// What went down and what shall come up.
#[derive(Default)]
pub struct Wire {
    /// Requests, oldest first.
    pub requests: Vec<Request>,
    /// Cancellations, oldest first.
    pub cancels: Vec<CancelReason>,
    /// Asked of the training, oldest first.
    pub training_requests: Vec<TrainingRequest>,
    /// What the queue was asked for, oldest first.
    pub queue_requests: Vec<QueueRequest>,
    /// Answers that wait to be polled.
    pub events: VecDeque<Event>,
    /// Decoded steps that wait to be taken.
    pub frames: VecDeque<StepFrame>,
    /// The run that is going on: its lanes and the step that comes next.
    running: Option<(RunId, Vec<LaneRequest>, usize)>,
    /// How often chores were cancelled.
    pub chores_cancelled: usize,
    /// What a measurement that is going on will find.
    measured: Option<(RunId, Formation)>,
    /// What a look at a model finds; an error without it.
    pub found: Option<Inspection>,
    /// Whether runs answer at all.
    pub stalled: bool,
    /// Asked for a new frame when there is an answer, as the engine's wake function is.
    ctx: Option<egui::Context>,
}

/// An engine that knows one model, fits every photo that exists, and finishes one step per poll.
#[derive(Clone, Default)]
pub struct FakeEngine(pub Rc<RefCell<Wire>>);

impl FakeEngine {
    /// An engine whose model is loaded.
    pub fn new() -> Self {
        let engine = Self::default();
        engine.tell(Event::ModelLoaded(model()));
        engine
    }

    /// Asks `ctx` for frames from now on.
    pub fn attached(&self, ctx: &egui::Context) -> egui::Context {
        self.0.borrow_mut().ctx = Some(ctx.clone());
        ctx.clone()
    }

    /// Has it tell something.
    pub fn tell(&self, event: Event) {
        self.0.borrow_mut().events.push_back(event);
    }

    /// The runs that were asked for, each with its lanes.
    pub fn runs(&self) -> Vec<(RunId, Vec<LaneRequest>)> {
        let wire = self.0.borrow();
        let render = |request: &Request| match request {
            Request::Render { run, lanes } => Some((*run, lanes.clone())),
            _ => None,
        };
        wire.requests.iter().filter_map(render).collect()
    }

    /// The runs that were asked for, each with the request of its first lane.
    pub fn renders(&self) -> Vec<(RunId, RenderRequest)> {
        let first = |(run, mut lanes): (RunId, Vec<LaneRequest>)| (run, lanes.swap_remove(0).request);
        self.runs().into_iter().map(first).collect()
    }
}

impl EngineLink for FakeEngine {
    fn send(&mut self, request: Request) -> Result<(), EngineError> {
        let mut wire = self.0.borrow_mut();
        match &request {
            Request::OpenScene { path, .. } => {
                let answer = match path {
                    Some(path) if !path.exists() => Event::Failed {
                        run: None,
                        message: format!("{}: no such file; check the path", path.display()),
                    },
                    _ => Event::SceneLoaded {
                        path: path.clone(),
                        image: picture(0.0, 0.0, 0.0),
                        spectrum: spectrum(0.0),
                        original_size: (1600, 1067),
                        notes: Vec::new(),
                    },
                };
                wire.events.push_back(answer);
            }
            Request::Render { run, lanes } => {
                wire.running = Some((*run, lanes.clone(), 0));
                let batches = batches(lanes);
                wire.events.push_back(Event::Started { run: *run, batches });
                for lane in lanes.iter().filter(|lane| lane.kind == LaneKind::Physical) {
                    wire.frames.push_back(frame(*run, lane, 0, StepView::X0Hat));
                }
            }
            Request::Analyze { run, request } => {
                wire.events.push_back(Event::AnalysisStep {
                    run: *run,
                    done: 3,
                    total: 12,
                });
                let lanes = request.lanes.iter().map(|lane| lane.name.as_str()).collect::<Vec<_>>();
                wire.measured = Some((*run, formation(&lanes, request.seeds)));
            }
            Request::SceneWeather(of) => {
                let outcome = match &of.settings.depth {
                    Some(path) if !path.exists() => Err(format!("{}: no such file", path.display())),
                    _ => Ok(Arc::new(scene_weather(&of.settings))),
                };
                wire.events.push_back(Event::SceneWeather {
                    of: of.clone(),
                    outcome,
                });
            }
            Request::Layers(of) => wire.events.push_back(Event::Layers {
                of: of.clone(),
                outcome: Ok(layers()),
            }),
            Request::SaveLayers { folder, .. } => wire.events.push_back(Event::Saved { path: folder.clone() }),
            Request::SaveResult { path, .. } => wire.events.push_back(Event::Saved { path: path.clone() }),
            Request::PanicForTest => {
                let run = wire.running.take().map(|(run, ..)| run);
                wire.events.push_back(Event::WorkerRestarted {
                    run,
                    message: "a panic for the test".to_owned(),
                });
            }
            Request::LoadModel { key } => wire.load(key),
            Request::Chore(chore) => wire.do_chore(chore),
        }
        wire.requests.push(request);
        wire.wake();
        Ok(())
    }

    fn cancel(&mut self, reason: CancelReason) {
        let mut wire = self.0.borrow_mut();
        wire.cancels.push(reason);
        if let Some((run, _)) = wire.measured.take() {
            wire.events.push_back(Event::Cancelled {
                run,
                reason,
                steps_done: 3,
            });
        }
        if let Some((run, _, steps_done)) = wire.running.take() {
            wire.events.push_back(Event::Cancelled {
                run,
                reason,
                steps_done,
            });
        }
        wire.wake();
    }

    fn cancel_chores(&mut self) {
        self.0.borrow_mut().chores_cancelled += 1;
    }

    fn poll(&mut self) -> Vec<Event> {
        let mut wire = self.0.borrow_mut();
        wire.advance();
        wire.events.drain(..).collect()
    }

    fn send_to_queue(&mut self, request: QueueRequest) {
        self.0.borrow_mut().queue_requests.push(request);
    }

    fn take_frames(&mut self) -> Vec<StepFrame> {
        self.0.borrow_mut().frames.drain(..).collect()
    }

    fn train(&mut self, request: TrainingRequest) -> Result<(), EngineError> {
        self.0.borrow_mut().training_requests.push(request);
        Ok(())
    }
}

impl Wire {
    fn wake(&self) {
        if let Some(ctx) = &self.ctx {
            ctx.request_repaint();
        }
    }

    /// Knows the bundled model and files that exist.
    fn load(&mut self, key: &ModelSettings) {
        let answer = match &key.path {
            Some(path) if !path.exists() => Event::Failed {
                run: None,
                message: format!("{}: no such model folder or file", path.display()),
            },
            path => Event::ModelLoaded(ModelSummary {
                path: path.clone(),
                device: key.device.clone(),
                dtype: key.dtype.clone(),
                ..model()
            }),
        };
        self.events.push_back(Event::ModelProgress {
            done: 2_100_000,
            total: 4_200_000,
        });
        self.events.push_back(answer);
    }

    fn do_chore(&mut self, chore: &Chore) {
        let answer = match chore {
            Chore::InspectModel(key) => ChoreEvent::Inspected {
                key: key.clone(),
                outcome: match &self.found {
                    Some(found) => Ok(Box::new(found.clone())),
                    None => Err("not looked at in this test".to_owned()),
                },
            },
            Chore::ListDevices => ChoreEvent::Devices(vec![
                device("cpu", true, "usable"),
                device("cuda:0", false, "device cuda:0 is not part of this build"),
            ]),
            Chore::Identify { path } => match identify(path) {
                Ok(kind) => ChoreEvent::Identified {
                    path: path.clone(),
                    kind,
                },
                Err(error) => ChoreEvent::Failed {
                    message: error.one_line(),
                },
            },
            Chore::CompareModel { image, sha256, .. } => ChoreEvent::ModelCompared {
                image: image.clone(),
                is_same: Some(*sha256 == "00".repeat(32)),
            },
            Chore::KeepImage { folder, .. } => ChoreEvent::Kept {
                path: folder.join("pasted.png"),
            },
            Chore::DrawMask { class, folder, .. } => ChoreEvent::MaskDrawn {
                class: class.clone(),
                path: folder.join("mask.png"),
            },
            Chore::WriteSteps { folder, images, .. } => {
                for image in images {
                    let words = image.words.clone();
                    std::fs::create_dir_all(folder).expect("a folder");
                    metadata::write_png_with_parameters(&folder.join(&image.name), &image.image, words)
                        .expect("a writable folder");
                }
                ChoreEvent::Written {
                    folder: folder.clone(),
                    count: images.len(),
                    cancelled: false,
                }
            }
        };
        self.events.push_back(Event::Chore(answer));
    }

    /// Finishes the next step of the run.
    fn advance(&mut self) {
        if self.stalled {
            return;
        }
        if let Some((run, formation)) = self.measured.take() {
            let formation = Arc::new(formation);
            self.events.push_back(Event::Analyzed { run, formation });
        }
        let Some((run, lanes, step)) = self.running.take() else {
            return;
        };
        self.wake();
        let sampled: Vec<&LaneRequest> = lanes.iter().filter(|lane| lane.kind == LaneKind::Sampled).collect();
        let steps = sampled
            .iter()
            .map(|lane| lane.request.sampling.steps)
            .max()
            .unwrap_or(0);
        let mut stepped = Vec::new();
        for lane in sampled {
            let first = lane.request.branch.as_ref().map_or(0, |branch| branch.step);
            if (first..=lane.request.sampling.steps).contains(&step) {
                for view in [StepView::X0Hat, StepView::XT] {
                    self.frames.push_back(frame(run, lane, step, view));
                }
            }
            if (first..lane.request.sampling.steps).contains(&step) {
                stepped.push(lane.lane);
            }
        }
        if step == steps {
            self.events.push_back(Event::Finished {
                run,
                elapsed_secs: 0.15 * steps as f32,
            });
            return;
        }
        if !stepped.is_empty() {
            self.events.push_back(Event::StepDone {
                run,
                lanes: stepped,
                step,
                steps,
                sigma: sigmas(steps)[step],
                step_secs: 0.14,
            });
        }
        self.running = Some((run, lanes, step + 1));
    }
}
