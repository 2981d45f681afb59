use clap::Parser;
use serde_json::Value;

use super::*;
use crate::settings::Settings;
use crate::{Fit, Sampler, SamplerAid};

#[derive(Parser)]
struct Wrapper {
    #[command(flatten)]
    request: RenderRequest,
}

fn model() -> ModelSummary {
    ModelSummary {
        name: "test model".to_owned(),
        classes: vec!["rain".to_owned(), "haze".to_owned()],
        class_heads: vec![vec![0], vec![1]],
        heads: 2,
        blocks: 1,
        width: 8,
        parameters: 1,
        size_multiple: 16,
        max_size: 512,
        ..ModelSummary::default()
    }
}

fn refusal(change: impl FnOnce(&mut RenderRequest)) -> String {
    let mut request = RenderRequest::default();
    change(&mut request);
    let error = request.check(&model()).expect_err("the request should be refused");
    assert!(error.is_bad_input());
    assert_eq!(error.to_string().lines().count(), 1);
    error.to_string()
}

/// A run of which no setting is at its default; plans, presets and PNGs are tested with it too.
fn every_setting() -> RenderRequest {
    serde_json::from_str(include_str!("../../../../tests/fixtures/every_setting.json")).expect("a run")
}

/// What is stored under a key, as it is written.
fn stored(request: &RenderRequest) -> serde_json::Map<String, Value> {
    match serde_json::to_value(request) {
        Ok(Value::Object(map)) => map,
        other => panic!("a request is a map, not {other:?}"),
    }
}

#[test]
fn the_test_run_has_every_setting_off_its_default() {
    let (request, default) = (stored(&every_setting()), stored(&RenderRequest::default()));
    for key in RenderRequest::keys() {
        assert_ne!(
            request.get(*key),
            default.get(*key),
            "add {key} to tests/fixtures/every_setting.json"
        );
    }
}

#[test]
fn defaults_of_clap_and_of_the_struct_agree() {
    let parsed = Wrapper::try_parse_from(["mdsd3"])
        .expect("no argument is needed")
        .request;
    assert_eq!(parsed, RenderRequest::default());
    parsed.check(&model()).expect("the defaults are valid");
}

#[test]
fn every_setting_is_read_and_written_in_json_and_in_ron() {
    let request = every_setting();
    let json = serde_json::to_string(&request).expect("plain data");
    let back: RenderRequest = serde_json::from_str(&json).expect("just written");
    assert_eq!(back, request);
    let ron = ron::to_string(&request).expect("plain data");
    assert_eq!(ron::from_str::<RenderRequest>(&ron).expect("just written"), request);
    for key in RenderRequest::keys() {
        assert!(json.contains(&format!("\"{key}\":")), "{key} in {json}");
        assert!(ron.contains(&format!("{key}:")), "{key} in {ron}");
    }
}

#[test]
fn numbers_are_written_as_they_were_typed() {
    let json = serde_json::to_string(&every_setting()).expect("plain data");
    for text in [
        "\"alpha\":0.7,",
        "\"guidance\":2.2,",
        "\"seed\":18446744073709551615,",
        "\"haze\":0.8",
    ] {
        assert!(json.contains(text), "{text} in {json}");
    }
}

#[test]
fn preferences_of_the_program_before_the_groups_are_read() {
    // As eframe stored it at version 0.1.0, abridged; RON has names without quotes and options with `Some`.
    let ron = r#"(scene:Some("a.png"),mix:{"rain":0.7},alpha:1.0,beta:0.25,steps:12,seed:18446744073709551615,sampler:heun,sampler_aid:r#moving-average,curves:["haze=1:1"],size:128,fit:aspect,model:None,prompt:None,adapter_strength:1.0,heads:None,device:"cpu",dtype:"f32")"#;
    let request: RenderRequest = ron::from_str(ron).expect("an older file");
    assert_eq!((request.scene.size, request.scene.fit), (128, Fit::Aspect));
    assert_eq!((request.sampling.seed, request.sampling.steps), (u64::MAX, 12));
    assert_eq!(
        (request.sampling.sampler, request.sampling.sampler_aid),
        (Sampler::Heun, SamplerAid::MovingAverage)
    );
}

#[test]
fn unknown_and_repeated_keys_are_refused_and_missing_ones_are_defaults() {
    let message = |json: &str| {
        serde_json::from_str::<RenderRequest>(json)
            .expect_err("refused")
            .to_string()
    };
    let unknown = message(r#"{"stepz": 3}"#);
    assert!(
        unknown.contains("unknown field `stepz`") && unknown.contains("`steps`"),
        "{unknown}"
    );
    assert!(message(r#"{"steps": 3, "steps": 4}"#).contains("duplicate field `steps`"));
    assert!(message(r#"{"branch": {"step": 1, "from": {}, "at": 2}}"#).contains("unknown field `at`"));
    let older: RenderRequest =
        serde_json::from_str(r#"{"steps": 3}"#).expect("fields an older file lacks are defaults");
    let mut three = RenderRequest::default();
    three.sampling.steps = 3;
    assert_eq!(older, three);
}

#[test]
fn undo_names_a_change_of_every_setting() {
    let (request, default) = (every_setting(), RenderRequest::default());
    for key in RenderRequest::keys() {
        let mut changed = default.clone();
        changed.take(&request, &|wanted| wanted == *key);
        assert_eq!(changed.differences(&default).len(), 1, "{key}");
    }
    let all = request.differences(&default);
    assert!(all.len() > 10 && all.contains(&"initial noise"), "{all:?}");
    let once: std::collections::HashSet<&str> = all.iter().copied().collect();
    assert_eq!(once.len(), all.len(), "each name once");
}

#[test]
fn every_bad_setting_is_refused_by_name() {
    assert!(refusal(|r| r.sampling.steps = 0).contains("steps 0"));
    assert!(refusal(|r| r.sampling.steps = 1001).contains("steps 1001"));
    assert!(refusal(|r| r.sampling.alpha = f32::NAN).contains("alpha NaN"));
    assert!(refusal(|r| r.sampling.beta = -0.1).contains("beta -0.1"));
    assert!(refusal(|r| r.sampling.alpha = 0.0).contains("both 0"));
    let share = refusal(|r| {
        let sampling = &mut r.sampling;
        (sampling.alpha, sampling.beta, sampling.start_at_noise_share) = (0.0, 1.0, true);
    });
    assert!(share.contains("raise alpha"));
    assert!(refusal(|r| r.sampling.guidance = f32::INFINITY).contains("guidance"));
    assert!(refusal(|r| r.sampling.guidance = 100.5).contains("guidance 100.5 is not a number from 0 to 100"));
    assert!(refusal(|r| r.sampling.alpha = 1e38).contains("alpha"));
    assert!(refusal(|r| r.sampling.adapter_strength = f32::NAN).contains("adapter strength"));
    assert!(refusal(|r| r.sampling.adapter_strength = -101.0).contains("from -100 to 100"));
    assert!(refusal(|r| r.model.device = "tpu".to_owned()).contains("tpu"));
    assert!(refusal(|r| r.model.dtype = "f64".to_owned()).contains("f64"));
    assert!(refusal(|r| r.sampling.head_ratios = vec!["2=1".parse().expect("well formed")]).contains("head 2"));
    assert!(refusal(|r| r.sampling.curves = vec!["fog=1:1".parse().expect("well formed")]).contains("fog"));
    assert!(refusal(|r| r.sampling.mix = "fog=0.5".parse().expect("well formed")).contains("fog"));
}

#[test]
fn a_bad_size_names_its_nearest_valid_neighbours() {
    assert!(refusal(|r| r.scene.size = 250).ends_with("nearest: 240 or 256"));
    assert!(refusal(|r| r.scene.size = 0).ends_with("nearest: 16"));
    assert!(refusal(|r| r.scene.size = 520).contains("largest is 512"));
    assert!(refusal(|r| r.scene.size = 4096).contains("largest is 512"));
}
