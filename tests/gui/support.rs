//! A studio over recorded answers, and the harness that drives it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use eframe::egui_wgpu::RenderState;
use egui::{Vec2, vec2};
use egui_kittest::{Harness, SnapshotOptions};
use mdsd3_engine::analyze::formation::{BandFormation, Formation, Interval, LaneFormation};
use mdsd3_engine::calibration::{Calibration, Figure};
use mdsd3_engine::chores::{Chore, ChoreEvent};
use mdsd3_engine::device::DeviceReport;
use mdsd3_engine::figure::table::Kind;
use mdsd3_engine::figure::{self, Table};
use mdsd3_engine::loaded::ModelKey;
use mdsd3_engine::protocol::{
    CancelReason, Event, LaneBatch, LaneKind, LaneRequest, ModelSummary, Request, Rgba8, RunId, SpectrumFrame,
    StepFrame, StepView,
};
use mdsd3_engine::queue::{QueueEntry, QueueRequest};
use mdsd3_engine::request::RenderRequest;
use mdsd3_engine::training::{TrainingEvent, TrainingRequest};
use mdsd3_engine::{EngineError, metadata};
use mdsd3_gui::Studio;
use mdsd3_gui::link::EngineLink;
use mdsd3_gui::prefs::Prefs;
use mdsd3_gui::theme::Look;

/// The window size that the studio is designed for, in points.
pub const WINDOW: Vec2 = vec2(1440.0, 900.0);

/// Side of the pictures, in pixels.
const SIDE_PX: u32 = 256;

/// The one tolerance of all snapshots: lavapipe versions round edges differently, so some pixels may be off by a little,
/// while a moved control or a changed colour is off by thousands.
pub fn snapshot_options() -> SnapshotOptions {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("snapshots");
    SnapshotOptions::new()
        .threshold(1.5)
        .max_failed_pixels(400)
        .output_path(folder)
}

/// What went down and what shall come up.
#[derive(Default)]
pub struct Wire {
    /// Requests, oldest first.
    pub requests: Vec<Request>,
    /// Cancellations, oldest first.
    pub cancels: Vec<CancelReason>,
    /// Asked of the training, oldest first.
    pub training_requests: Vec<TrainingRequest>,
    /// What the training says next.
    pub training_events: VecDeque<TrainingEvent>,
    /// What the queue was asked for, oldest first.
    pub queue_requests: Vec<QueueRequest>,
    /// The queue's entries that wait to be taken.
    pub queue: Option<Vec<QueueEntry>>,
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
        engine.0.borrow_mut().events.push_back(Event::ModelLoaded(model()));
        engine
    }

    /// Asks `ctx` for frames from now on.
    fn attached(&self, ctx: &egui::Context) -> egui::Context {
        self.0.borrow_mut().ctx = Some(ctx.clone());
        ctx.clone()
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

    fn poll_events(&mut self) -> Vec<Event> {
        let mut wire = self.0.borrow_mut();
        wire.advance();
        wire.events.drain(..).collect()
    }

    fn send_to_queue(&mut self, request: QueueRequest) {
        self.0.borrow_mut().queue_requests.push(request);
    }

    fn take_queue(&mut self) -> Option<Vec<QueueEntry>> {
        self.0.borrow_mut().queue.take()
    }

    fn take_frames(&mut self) -> Vec<StepFrame> {
        self.0.borrow_mut().frames.drain(..).collect()
    }

    fn train(&mut self, request: TrainingRequest) -> Result<(), EngineError> {
        self.0.borrow_mut().training_requests.push(request);
        Ok(())
    }

    fn poll_training(&mut self) -> Vec<TrainingEvent> {
        self.0.borrow_mut().training_events.drain(..).collect()
    }
}

impl Wire {
    fn wake(&self) {
        if let Some(ctx) = &self.ctx {
            ctx.request_repaint();
        }
    }

    /// Knows the bundled model and files that exist.
    fn load(&mut self, key: &ModelKey) {
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
                outcome: Err("not looked at in this test".to_owned()),
            },
            Chore::ListDevices => ChoreEvent::Devices(vec![
                device("cpu", true, "usable"),
                device("cuda:0", false, "device cuda:0 is not part of this build"),
            ]),
            Chore::ReadSettings { path } => ChoreEvent::Settings {
                path: path.clone(),
                settings: metadata::find_settings(path).unwrap_or_default().map(Box::new),
            },
            Chore::KeepImage { folder, .. } => ChoreEvent::Kept {
                path: folder.join("pasted.png"),
            },
            Chore::WriteImages { folder, images } => {
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
        let steps = sampled.iter().map(|lane| lane.request.steps).max().unwrap_or(0);
        let mut stepped = Vec::new();
        for lane in sampled {
            let first = lane.request.branch.as_ref().map_or(0, |branch| branch.step);
            if (first..=lane.request.steps).contains(&step) {
                for view in [StepView::X0Hat, StepView::XT] {
                    self.frames.push_back(frame(run, lane, step, view));
                }
            }
            if (first..lane.request.steps).contains(&step) {
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

/// Lanes with as many steps from the same one on share a batch.
fn batches(lanes: &[LaneRequest]) -> Vec<LaneBatch> {
    let mut batches: Vec<LaneBatch> = Vec::new();
    for lane in lanes.iter().filter(|lane| lane.kind == LaneKind::Sampled) {
        let (sigmas, branch) = (sigmas(lane.request.steps), lane.request.branch.as_ref());
        let first_step = branch.map_or(0, |branch| branch.step);
        let same = |batch: &&mut LaneBatch| batch.sigmas == sigmas && batch.first_step == first_step;
        match batches.iter_mut().find(same) {
            Some(batch) => batch.lanes.push(lane.lane),
            None => batches.push(LaneBatch {
                lanes: vec![lane.lane],
                sigmas,
                first_step,
            }),
        }
    }
    batches
}

/// Noise levels of SD3's shifted schedule.
fn sigmas(steps: usize) -> Vec<f32> {
    let shifted = |t: f32| 3.0 * t / (1.0 + 2.0 * t);
    (0..=steps)
        .map(|step| shifted(1.0 - step as f32 / steps.max(1) as f32) * f32::from(u8::from(steps > 0)))
        .collect()
}

fn frame(run: RunId, lane: &LaneRequest, step: usize, view: StepView) -> StepFrame {
    let request = &lane.request;
    let steps = if lane.kind == LaneKind::Physical {
        0
    } else {
        request.steps
    };
    let sigma = sigmas(steps)[step];
    let veil = request.mix.ratio("haze") * (1.0 - sigma).max(0.15) * 0.6;
    let noise = if view == StepView::XT { sigma } else { sigma * 0.05 };
    let rain = request.mix.ratio("rain") * (1.0 - sigma);
    StepFrame {
        run,
        lane: lane.lane,
        step,
        steps,
        sigma,
        view,
        image: picture(veil, noise, rain),
        spectrum: spectrum(noise + 0.02 * request.mix.ratio("rain")),
    }
}

/// The summary of a small model.
pub fn model() -> ModelSummary {
    ModelSummary {
        name: "bundled mini model".to_owned(),
        path: None,
        classes: ["rain", "haze", "noise", "snow"].map(str::to_owned).to_vec(),
        class_heads: vec![vec![0, 1, 2], vec![3, 4, 5], vec![6, 7, 8], vec![9, 10, 11]],
        heads: 12,
        blocks: 6,
        width: 192,
        parameters: 4_200_000,
        size_multiple: 16,
        max_size: 512,
        dtype: "f32".to_owned(),
        device: "cpu".to_owned(),
        notes: Vec::new(),
        calibration: vec![
            Some(measured(Figure::Streak, 8.1, 10.2)),
            Some(measured(Figure::Veil, 0.685, 0.683)),
            Some(measured(Figure::Streak, 11.3, 13.5)),
            None,
        ],
    }
}

fn measured(figure: Figure, model: f32, physical: f32) -> Calibration {
    Calibration {
        figure,
        model: vec![(1.0, model)],
        physical: vec![(1.0, physical)],
    }
}

fn device(name: &'static str, usable: bool, note: &str) -> DeviceReport {
    DeviceReport {
        name,
        usable,
        note: note.to_owned(),
    }
}

/// A street of grey houses under a sky, veiled, noisy and rained on by shares from 0 to 1.
pub fn picture(veil: f32, noise: f32, rain: f32) -> Rgba8 {
    let mut random = 1_u32;
    let mut pixels = Vec::with_capacity((SIDE_PX * SIDE_PX * 4) as usize);
    for y in 0..SIDE_PX {
        for x in 0..SIDE_PX {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grain = ((random >> 24) as f32 / 255.0 - 0.5) * 2.0 * noise;
            let color = house_color(x, y).map(|value| {
                let veiled = value * (1.0 - veil) + 0.85 * veil + 0.3 * rain * streak(x, y);
                ((veiled * (1.0 - noise) + 0.5 * noise + grain * 0.5).clamp(0.0, 1.0) * 255.0) as u8
            });
            pixels.extend_from_slice(&[color[0], color[1], color[2], 255]);
        }
    }
    Rgba8 {
        width: SIDE_PX,
        height: SIDE_PX,
        pixels: pixels.into(),
    }
}

/// 1 on thin slanted streaks, 0 elsewhere.
fn streak(x: u32, y: u32) -> f32 {
    f32::from(u8::from((3 * x + y) % 57 < 2 && (x / 19 + y / 43).is_multiple_of(2)))
}

fn house_color(x: u32, y: u32) -> [f32; 3] {
    let roof = [90, 130, 70, 150, 110][(x / 52) as usize];
    let fade = y as f32 / SIDE_PX as f32;
    if y < roof {
        return [0.45 + 0.3 * fade, 0.6 + 0.2 * fade, 0.8];
    }
    if y > 215 {
        return [0.3, 0.3, 0.32];
    }
    let window = x % 52 % 16 > 7 && y % 22 > 10;
    let tone = 0.35 + 0.08 * ((x / 52) as f32);
    if window {
        [0.15, 0.17, 0.2]
    } else {
        [tone + 0.12, tone, tone - 0.08]
    }
}

/// A spectrum that falls with the square of the frequency down to a floor of noise.
pub fn spectrum(noise: f32) -> SpectrumFrame {
    let side = SIDE_PX as f32;
    let power = |radius: f32| 40.0 / (radius * radius + 1e-4) + 2e4 * noise * noise + 1.0;
    let cycles = |bin: u32| (bin as f32 - side / 2.0) / side;
    let bins = (0..SIDE_PX).flat_map(|y| (0..SIDE_PX).map(move |x| power(cycles(x).hypot(cycles(y))).log10()));
    SpectrumFrame {
        width: SIDE_PX,
        height: SIDE_PX,
        log_power: bins.collect(),
        radial: (0..=SIDE_PX / 2)
            .map(|bin| (bin as f32 / side, power(bin as f32 / side)))
            .collect(),
    }
}

/// Lanes that form one after the other, the first at sigma 0.8.
fn formation(lanes: &[&str], seeds: u64) -> Formation {
    let sigmas: Vec<f32> = (0..10).map(|step| 1.0 - step as f32 / 10.0).collect();
    let interval = |mean: f64| Interval {
        mean,
        low: mean - 0.03,
        high: mean + 0.03,
    };
    let band = |name: &str, edges_per_px, formed: f64| {
        let share = |sigma: &f32| interval(1.0 / (1.0 + (12.0 * (f64::from(*sigma) - formed)).exp()));
        BandFormation {
            name: name.to_owned(),
            edges_per_px,
            final_share: 0.5,
            shares: sigmas.iter().map(|sigma| Some(share(sigma))).collect(),
            formed_at_sigma: Some(interval(formed)),
            runs_at_start: 0,
        }
    };
    let lane = |(index, name): (usize, &&str)| {
        let formed = 0.8 - 0.2 * index as f64;
        LaneFormation {
            name: (*name).to_owned(),
            bands: vec![
                band("mean", (0.0, 0.0), formed),
                band("1/4-1/2 cycles/px", (0.25, 0.5), formed - 0.1),
                band("all", (0.0, 0.5), formed),
            ],
        }
    };
    Formation {
        seeds,
        lanes: lanes.iter().enumerate().map(lane).collect(),
        findings: vec!["On the same noise, haze forms before rain, by 0.20 [0.17, 0.23] in sigma.".to_owned()],
        figure: figure::Figure {
            panels: Vec::new(),
            legend_title: "Band".to_owned(),
            color_scale: None,
        },
        table: Table::new(&[("step", Kind::Whole)]),
        elapsed_secs: 12.0,
        sigmas,
    }
}

/// A studio over `engine` in a harness of the given size.
pub fn studio(engine: &FakeEngine, prefs: Prefs, size: Vec2) -> Harness<'static, Studio> {
    let link = engine.clone();
    Harness::builder()
        .with_size(size)
        .with_step_dt(0.1)
        .with_max_steps(64)
        .build_eframe(move |cc| {
            Studio::new(
                &link.attached(&cc.egui_ctx),
                Box::new(link),
                prefs,
                target(cc.wgpu_render_state.as_ref()),
            )
        })
}

/// The same, drawn by wgpu; `None` with a printed reason where there is no adapter.
pub fn drawn_studio(engine: &FakeEngine, prefs: Prefs, size: Vec2) -> Option<Harness<'static, Studio>> {
    drawn_studio_with(engine, prefs, size, true)
}

/// The same, with or without the shader for spectra.
pub fn drawn_studio_with(
    engine: &FakeEngine,
    prefs: Prefs,
    size: Vec2,
    with_shader: bool,
) -> Option<Harness<'static, Studio>> {
    let link = engine.clone();
    let Ok(builder) = std::panic::catch_unwind(|| Harness::builder().wgpu()) else {
        println!("skipped: no graphics adapter (on Debian: apt-get install mesa-vulkan-drivers libvulkan1)");
        return None;
    };
    let theme = match prefs.look {
        Look::Dark => egui::Theme::Dark,
        Look::Light => egui::Theme::Light,
    };
    let harness = builder
        .with_size(size)
        .with_step_dt(0.1)
        .with_max_steps(64)
        .with_theme(theme)
        .with_render_cursor(false)
        .with_options(snapshot_options())
        .build_eframe(move |cc| {
            let ctx = link.attached(&cc.egui_ctx);
            let target = target(cc.wgpu_render_state.as_ref()).filter(|_| with_shader);
            Studio::new(&ctx, Box::new(link), prefs, target)
        });
    Some(harness)
}

fn target(render: Option<&RenderState>) -> Option<eframe::wgpu::TextureFormat> {
    render.map(|render| render.target_format)
}

/// Draws frames until `done` holds, at most `frames` of them.
pub fn run_until(harness: &mut Harness<'static, Studio>, frames: usize, done: impl Fn(&Studio) -> bool) {
    for _ in 0..frames {
        if done(harness.state()) {
            return;
        }
        harness.step();
    }
    assert!(done(harness.state()), "still not so after {frames} frames");
}
