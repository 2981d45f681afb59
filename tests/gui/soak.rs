//! Random input for a while: nothing panics, and memory does not grow.
//!
//! A few seconds by default; `MALLOC_ARENA_MAX=1 MDSD3_SOAK_SECS=600` for the ten minutes before a release (the studio sets the
//! first for itself, `engine::memory`, but here other threads start before). `MDSD3_SOAK_SEED` repeats a run.

use std::time::{Duration, Instant};

use egui::{
    Event, FullOutput, Key, Modifiers, MouseWheelSource, MouseWheelUnit, PointerButton, Pos2, TexturesDelta,
    TouchPhase, Vec2, pos2, vec2,
};
use egui_kittest::kittest::Queryable as _;
use egui_kittest::{Harness, TestRenderer};
use mdsd3_engine::Engine;
use mdsd3_engine::EngineOptions;
use mdsd3_engine::queue::QueueRequest;
use mdsd3_gui::Studio;
use mdsd3_gui::prefs::Prefs;
use mdsd3_gui::state::LanePreset;
use mdsd3_render::bundled;
use mdsd3_render::memory::resident_bytes;
use mdsd3_words::{RenderRequest, Sampling, SceneSettings};

use crate::support::{FakeEngine, WINDOW, studio};

/// Keys that are pressed; those that would close the window or write files are left out, as Enter would where a dialog opens under it.
const KEYS: [Key; 25] = [
    Key::Space,
    Key::Escape,
    Key::Tab,
    Key::ArrowLeft,
    Key::ArrowRight,
    Key::ArrowUp,
    Key::ArrowDown,
    Key::Home,
    Key::End,
    Key::X,
    Key::F,
    Key::B,
    Key::L,
    Key::Plus,
    Key::Minus,
    Key::Num1,
    Key::F1,
    Key::Delete,
    Key::Backspace,
    Key::Z,
    Key::Y,
    Key::D,
    Key::K,
    Key::M,
    Key::P,
];

/// The largest side that the Mixer offers.
const LARGEST_PX: u32 = 512;
/// Mixes of four lanes each that leave nothing of what was mixed before: the engine keeps the last 64 results to be saved, and
/// the steps of the last 12 runs, all different, to be branched from.
const MIXES_TO_FORGET: u64 = 16;
/// Changes that can be undone, and steps of the harness for which a setting must rest to be one.
const UNDOABLE: u64 = 500;
const STEPS_TO_REST: usize = 10;
/// How long a mix may take, a model to load or a dataset to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// Runs that judge memory, in seconds; shorter ones are still filling caches when they end.
const LONG_SECS: u64 = 120;

/// A multiplicative generator: the same seed presses the same keys.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn within(&mut self, size: Vec2) -> Pos2 {
        let mut share = || self.next() as f32 / (1_u64 << 31) as f32;
        pos2(share() * size.x, share() * size.y)
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Takes textures as a graphics card would and draws nothing. A harness without a renderer keeps every texture it was ever
/// handed until somebody asks for an image, which looks like a leak of the studio's.
struct NoRenderer;

impl TestRenderer for NoRenderer {
    fn handle_delta(&mut self, delta: &mut TexturesDelta) {
        delta.clear();
    }

    fn render(&mut self, _: &egui::Context, _: &FullOutput) -> Result<image::RgbaImage, String> {
        Err("this renderer draws nothing".to_owned())
    }
}

/// The studio over the real engine where there is a model, else over recorded answers.
fn any_studio() -> Harness<'static, Studio> {
    let settings = RenderRequest {
        scene: SceneSettings {
            size: 128,
            ..SceneSettings::default()
        },
        sampling: Sampling {
            steps: 4,
            ..Sampling::default()
        },
        ..RenderRequest::default()
    };
    let prefs = Prefs {
        settings,
        ..Prefs::default()
    };
    if bundled::model_bytes().is_none() {
        return studio(&FakeEngine::new(), prefs, WINDOW);
    }
    Harness::builder()
        .with_size(WINDOW)
        .with_step_dt(0.05)
        .renderer(NoRenderer)
        .build_eframe(move |cc| {
            let engine = Engine::start(EngineOptions::default()).expect("the engine starts");
            Studio::new(&cc.egui_ctx, Box::new(engine), prefs, None)
        })
}

#[test]
fn random_input_finds_no_panic_and_no_leak() {
    let seconds = number("MDSD3_SOAK_SECS", 6);
    let seed = number("MDSD3_SOAK_SEED", 1);
    let mut random = Random(seed);
    // Before the studio, so that it outlives what the studio writes there.
    let datasets = tempfile::tempdir().expect("a temporary folder");
    let mut harness = any_studio();
    if seconds >= LONG_SECS {
        wait_while(&mut harness, |studio| studio.state().mix_blocker().is_some());
        mix(&mut harness, LanePreset::Single, LARGEST_PX, 1);
        fill_history(&mut harness);
    }
    let (start, length) = (Instant::now(), Duration::from_secs(seconds));
    let (mut early, mut late) = (Vec::new(), Vec::new());
    let mut inputs = 0_u64;
    while start.elapsed() < length {
        // Random keys edit this path as any other; datasets must not land where the tests run, or in somebody's home.
        harness.state_mut().state_mut().queue.form.root = datasets.path().display().to_string();
        act(&mut harness, &mut random);
        harness.step();
        inputs += 1;
        if inputs.is_multiple_of(1024) {
            tidy(&mut harness);
            // The worker hands memory back when it has told of its results.
            for _ in 0..20 {
                rest(&mut harness);
            }
            let share = start.elapsed().as_secs_f64() / length.as_secs_f64();
            let samples = if (0.25..0.4).contains(&share) {
                Some(&mut early)
            } else if share > 0.85 {
                Some(&mut late)
            } else {
                None
            };
            let now = resident_bytes();
            if let Some(samples) = samples {
                samples.extend(now);
            }
            // Where it grows, the course tells whether something fills up or runs away.
            if inputs.is_multiple_of(4096) {
                let secs = start.elapsed().as_secs();
                let state = harness.state().state();
                println!(
                    "{secs:4} s, {inputs} inputs, {:.1} MB, {} queue entries, {} presets, {} lines in the log",
                    now.unwrap_or(0) as f64 / 1e6,
                    state.queue.entries.len(),
                    state.presets.len(),
                    state.messages.log.entries().len()
                );
            }
        }
    }
    report(inputs, seconds, &early, &late);
}

/// Changes a setting as often as can be undone: what is kept of the settings is then as much as it will ever be.
fn fill_history(harness: &mut Harness<'static, Studio>) {
    harness.state_mut().state_mut().apply_preset(LanePreset::Compare);
    for seed in 0..UNDOABLE {
        harness
            .state_mut()
            .state_mut()
            .edit(|settings| settings.sampling.seed = seed);
        for _ in 0..STEPS_TO_REST {
            harness.step();
        }
    }
}

/// Back to small mixes in a window as on the first start, so that what is measured is what stays behind, not what was asked for:
/// a window zoomed to 6400 x 3600 points has larger buffers than one of 1280 x 800.
fn tidy(harness: &mut Harness<'static, Studio>) {
    harness.set_size(WINDOW);
    harness.ctx.set_zoom_factor(1.0);
    for (modifiers, key) in [
        (Modifiers::NONE, Key::Escape),                      // whatever is open over the panes
        (Modifiers::COMMAND.plus(Modifiers::SHIFT), Key::R), // "Reset the layout"
    ] {
        harness.key_press_modifiers(modifiers, key);
        harness.step();
    }
    clear_queue(harness);
    if bundled::model_bytes().is_none() {
        return;
    }
    let state = harness.state_mut().state_mut();
    state.apply_preset(LanePreset::Single);
    state.reset_settings();
    state.load_model(RenderRequest::default().model);
    wait_while(harness, |studio| studio.state().mix_blocker().is_some());
    let blocker = harness.state().state().mix_blocker();
    assert!(
        blocker.is_none(),
        "the settings of the first start can't be mixed: {blocker:?}"
    );
    for seed in 0..MIXES_TO_FORGET {
        harness
            .state_mut()
            .state_mut()
            .edit(|settings| settings.sampling.seed = seed);
        mix(harness, LanePreset::Compare, 128, 4);
    }
    mix(harness, LanePreset::Single, 128, 4);
}

/// Ends the queue's datasets and waits until none is at work: a batch that is being sampled ends before its dataset does.
fn clear_queue(harness: &mut Harness<'static, Studio>) {
    let start = Instant::now();
    while !harness.state().state().queue.entries.is_empty() && start.elapsed() < PATIENCE {
        let state = harness.state_mut().state_mut();
        for entry in state.queue.entries.clone() {
            state.ask_queue(if entry.state.is_active() {
                QueueRequest::Cancel(entry.id)
            } else {
                QueueRequest::Remove(entry.id)
            });
        }
        rest(harness);
    }
}

/// Mixes a preset's lanes to their end, where there is something to mix. A session keeps its last scene and buffers as large as
/// the largest mix needed.
fn mix(harness: &mut Harness<'static, Studio>, preset: LanePreset, size_px: u32, steps: usize) {
    let state = harness.state_mut().state_mut();
    state.stop();
    state.apply_preset(preset);
    state.set_size(size_px);
    state.edit(|settings| settings.sampling.steps = steps);
    if state.mix_blocker().is_none() {
        state.mix();
    }
    rest(harness);
    wait_while(harness, |studio| studio.state().is_busy());
}

fn wait_while(harness: &mut Harness<'static, Studio>, goes_on: impl Fn(&Studio) -> bool) {
    let start = Instant::now();
    while goes_on(harness.state()) && start.elapsed() < PATIENCE {
        rest(harness);
    }
}

fn rest(harness: &mut Harness<'static, Studio>) {
    harness.step();
    std::thread::sleep(Duration::from_millis(5));
}

/// Judges by the mean of either time, as what random settings need for a while comes and goes by a few per cent.
fn report(inputs: u64, seconds: u64, early: &[u64], late: &[u64]) {
    let megabytes = |bytes: &[u64]| bytes.iter().sum::<u64>() as f64 / bytes.len() as f64 / 1e6;
    let range = |bytes: &[u64]| {
        bytes
            .iter()
            .min()
            .zip(bytes.iter().max())
            .map(|(a, b)| [a / 1_000_000, b / 1_000_000])
    };
    let (before, after) = (megabytes(early), megabytes(late));
    let growth = (after / before - 1.0) * 100.0;
    println!(
        "{inputs} inputs in {seconds} s; memory {before:.1} MB {:?}, later {after:.1} MB {:?} ({growth:+.1} %)",
        range(early),
        range(late)
    );
    // Without samples there is no number, which is no pass.
    if seconds >= LONG_SECS {
        assert!(growth <= 5.0, "memory grew by {growth:.1} % over {seconds} s");
    }
}

fn act(harness: &mut Harness<'static, Studio>, random: &mut Random) {
    // Nothing may be written where the tests run.
    let saves = ["Save image", "Save figure", "Save all steps in a folder"];
    if saves.iter().any(|title| harness.query_by_label(title).is_some()) {
        harness.key_press(Key::Escape);
        return;
    }
    let size = harness.ctx.content_rect().size();
    match random.below(20) {
        0..6 => harness.hover_at(random.within(size)),
        6..12 => click(harness, random.within(size)),
        12..14 => {
            harness.drag_at(random.within(size));
            harness.step();
            harness.hover_at(random.within(size));
            harness.step();
            harness.drop_at(random.within(size));
        }
        14..18 => press(harness, random),
        18 => harness.event(Event::MouseWheel {
            unit: MouseWheelUnit::Line,
            delta: vec2(0.0, random.below(7) as f32 - 3.0),
            phase: TouchPhase::Move,
            source: MouseWheelSource::Wheel,
            modifiers: Modifiers::NONE,
        }),
        _ if random.below(40) == 0 => {
            let sizes = [
                vec2(1.0, 1.0),
                vec2(720.0, 480.0),
                vec2(1280.0, 800.0),
                vec2(2560.0, 1440.0),
                WINDOW,
            ];
            harness.set_size(sizes[random.below(sizes.len())]);
        }
        _ => {}
    }
}

fn click(harness: &Harness<'static, Studio>, pos: Pos2) {
    harness.hover_at(pos);
    for pressed in [true, false] {
        harness.event(Event::PointerButton {
            pos,
            button: PointerButton::Primary,
            pressed,
            modifiers: Modifiers::NONE,
        });
    }
}

fn press(harness: &Harness<'static, Studio>, random: &mut Random) {
    let key = KEYS[random.below(KEYS.len())];
    let modifiers = [
        Modifiers::NONE,
        Modifiers::NONE,
        Modifiers::COMMAND,
        Modifiers::COMMAND.plus(Modifiers::SHIFT),
    ];
    harness.key_press_modifiers(modifiers[random.below(modifiers.len())], key);
}
