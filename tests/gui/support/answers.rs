//! What the engine of the tests answers.

use std::sync::Arc;

use mdsd3_engine::chores::Inspection;
use mdsd3_engine::protocol::{LaneBatch, LaneRequest, SceneWeatherView, StepFrame, StepView};
use mdsd3_model::config::MmditConfig;
use mdsd3_model::inspect::{MemoryReport, ModelReport, PartReport};
use mdsd3_render::device::DeviceReport;
use mdsd3_study::figure::table::Kind;
use mdsd3_study::figure::{self, Table};
use mdsd3_study::formation::{BandFormation, Formation, Interval, LaneFormation};
use mdsd3_words::calibration::{Calibration, Figure};
use mdsd3_words::image::{DepthView, LayerView};
use mdsd3_words::lane::{LaneKind, RunId};
use mdsd3_words::weather::WeatherSettings;
use mdsd3_words::{ModelSettings, ModelSummary};

use super::pictures::{SIDE_PX, picture, spectrum};

/// Lanes with as many steps from the same one on share a batch.
pub fn batches(lanes: &[LaneRequest]) -> Vec<LaneBatch> {
    let mut batches: Vec<LaneBatch> = Vec::new();
    for lane in lanes.iter().filter(|lane| lane.kind == LaneKind::Sampled) {
        let (sigmas, branch) = (sigmas(lane.request.sampling.steps), lane.request.branch.as_ref());
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
pub fn sigmas(steps: usize) -> Vec<f32> {
    let shifted = |t: f32| 3.0 * t / (1.0 + 2.0 * t);
    (0..=steps)
        .map(|step| shifted(1.0 - step as f32 / steps.max(1) as f32) * f32::from(u8::from(steps > 0)))
        .collect()
}

pub fn frame(run: RunId, lane: &LaneRequest, step: usize, view: StepView) -> StepFrame {
    let request = &lane.request;
    let steps = if lane.kind == LaneKind::Physical {
        0
    } else {
        request.sampling.steps
    };
    let sigma = sigmas(steps)[step];
    let veil = request.sampling.mix.ratio("haze") * (1.0 - sigma).max(0.15) * 0.6;
    let noise = if view == StepView::XT { sigma } else { sigma * 0.05 };
    let rain = request.sampling.mix.ratio("rain") * (1.0 - sigma);
    StepFrame {
        run,
        lane: lane.lane,
        step,
        steps,
        sigma,
        view,
        image: picture(veil, noise, rain),
        spectrum: spectrum(noise + 0.02 * request.sampling.mix.ratio("rain")),
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

/// What a look at the model of `key` finds on a machine with room for it.
pub fn inspection(key: ModelSettings) -> Inspection {
    let heads = |first: usize| (first..first + 6).collect();
    let memory = |dtype, size_px| MemoryReport {
        dtype,
        size_px,
        weights_bytes: 4_500_000_000,
        scene_bytes: 300_000_000,
        working_bytes: 900_000_000,
    };
    Inspection {
        key,
        report: ModelReport {
            name: "rain-haze adapter base".to_owned(),
            family: "Stable Diffusion 3 medium".to_owned(),
            config: MmditConfig::sd3_medium(),
            clean_path: false,
            classes: vec![("rain".to_owned(), heads(0)), ("haze".to_owned(), heads(6))],
            parts: vec![PartReport {
                name: "transformer".to_owned(),
                parameters: 2_028_000_000,
                dtypes: vec!["F16".to_owned()],
                file: "sd3_medium.safetensors".to_owned(),
            }],
            size_multiple_px: 16,
            max_size_px: 1536,
            missing: Vec::new(),
            unknown: Vec::new(),
            memory: vec![memory("f32", 256)],
        },
        memory_bytes: Some((32_000_000_000, 21_000_000_000)),
    }
}

pub fn measured(figure: Figure, model: f32, physical: f32) -> Calibration {
    Calibration {
        figure,
        model: vec![(1.0, model)],
        physical: vec![(1.0, physical)],
    }
}

pub fn device(name: &'static str, usable: bool, note: &str) -> DeviceReport {
    DeviceReport {
        name,
        usable,
        note: note.to_owned(),
    }
}

/// Lanes that form one after the other, the first at sigma 0.8.
pub fn formation(lanes: &[&str], seeds: u64) -> Formation {
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
        figure: figure::Figure::default(),
        table: Table::new(&[("step", Kind::Whole)]),
        elapsed_secs: 12.0,
        sigmas,
    }
}

/// Ground that comes nearer towards the bottom, from 200 m to 2 m, under a sky of 70 rows; regions act on the left.
pub fn scene_weather(settings: &WeatherSettings) -> SceneWeatherView {
    let rows = || (0..SIDE_PX).flat_map(|y| std::iter::repeat_n(y, SIDE_PX as usize));
    let share = |y: u32| (y.max(70) - 70) as f32 / (SIDE_PX - 71) as f32;
    let regions = settings.regions.iter().map(|region| LayerView {
        name: region.class.clone(),
        unit: "share",
        width: SIDE_PX,
        height: SIDE_PX,
        channels: 1,
        values: (0..SIDE_PX * SIDE_PX)
            .map(|at| f32::from(u8::from(at % SIDE_PX < 128)))
            .collect(),
    });
    let depth = DepthView {
        width: SIDE_PX,
        height: SIDE_PX,
        metres: rows().map(|y| 200.0 * 0.01_f32.powf(share(y))).collect(),
        sky: rows().map(|y| f32::from(u8::from(y < 70))).collect(),
        source: match &settings.depth {
            Some(path) => format!("from {}", path.display()),
            None => "estimated from the photo".to_owned(),
        },
        notes: vec!["the horizon is at 27 % of the height".to_owned()],
    };
    SceneWeatherView {
        depth,
        regions: regions.collect(),
    }
}

/// Three layers: shares, a signed image, and a small kernel.
pub fn layers() -> Arc<[LayerView]> {
    let layer = |name: &str, unit, side: u32, channels: u8, value: fn(u32, u32) -> f32| LayerView {
        name: name.to_owned(),
        unit,
        width: side,
        height: side,
        channels,
        values: (0..side * side)
            .flat_map(|at| std::iter::repeat_n(value(at % side, at / side), usize::from(channels)))
            .collect(),
    };
    Arc::from(vec![
        layer("haze: transmission", "share", SIDE_PX, 1, |_, y| y as f32 / 255.0),
        layer("noise: residual", "value", SIDE_PX, 3, |x, y| {
            ((x * y) % 7) as f32 / 14.0 - 0.25
        }),
        layer("motion_blur: kernel", "weight", 9, 1, |x, y| {
            f32::from(u8::from(x == y)) / 9.0
        }),
    ])
}
