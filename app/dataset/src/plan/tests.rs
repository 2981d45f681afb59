use std::fs;

use mdsd3_words::settings::Settings;
use mdsd3_words::weather::WeatherSettings;
use mdsd3_words::{Mix, Sampling};

use super::*;

fn parse(text: &str) -> Result<Plan, RenderError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["one.jpg", "two.jpg"] {
        fs::write(folder.path().join(name), "").expect("written");
    }
    Plan::parse(text, "plan.toml", folder.path().to_owned())
}

fn refusal(text: &str) -> String {
    let error = parse(text).expect_err(text);
    assert!(error.is_bad_input());
    let message = error.to_string();
    assert!(
        message.starts_with("plan.toml: ") && !message.contains('\n'),
        "{message}"
    );
    message
}

const SMALL: &str = "scenes = [\"*.jpg\"]\nmixes = [{ rain = 1.0 }]\n";

#[test]
fn the_plan_of_the_documentation_is_read() {
    let plan = parse(
        r#"
        engine = "mdsd3"
        layout = "basicsr"
        scenes = ["*.jpg"]
        mixes = [{ haze = 0.5 }, { rain = 1.0 }, { haze = { uniform = [0.2, 1.0] }, rain = { grid = [0.25, 0.5, 1.0] } }]
        seeds = [0, 1, 2, 3]
        size = 256
        alpha_beta = [[1.0, 0.0], [1.0, 0.3]]
        split = { train = 0.5, val = 0.5 }
        save = { images = ["vae_gt", "steps"], bits = 16 }
        "#,
    )
    .expect("valid");
    assert_eq!(plan.scenes, ["one.jpg", "two.jpg"]);
    assert_eq!(plan.mixes.len(), 3);
    assert_eq!((plan.lq, plan.bits), (LqKind::Composited, 16));
    assert_eq!(plan.split[1].0, "val");
    assert_eq!(plan.classes(), ["haze", "rain"]);
}

#[test]
fn few_keys_are_enough() {
    let plan = parse(SMALL).expect("valid");
    assert_eq!(
        (plan.seeds, plan.run.scene.size, plan.run.sampling.steps),
        (vec![0], 256, 20)
    );
    let plan = parse(&format!("{SMALL}seeds = {{ first = 5, count = 3 }}")).expect("valid");
    assert_eq!(plan.seeds, [5, 6, 7]);
}

#[test]
fn every_mistake_is_named_in_one_line() {
    for (more, what) in [
        ("sede = [1]", "\"seeds\""),
        ("save = { bit = 16 }", "\"bits\""),
        ("save = { bits = 12 }", "bits 12"),
        ("save = [\"gt\"]", "vae_gt"),
        ("size = \"big\"", "size"),
        ("size = 0", "size"),
        ("seeds = []", "seeds is empty"),
        ("seeds = [1, 1]", "twice"),
        ("alpha_beta = []", "alpha_beta is empty"),
        ("layout = \"lmdb\"", "basicsr"),
        ("engine = \"gan\"", "physical"),
        ("split = { train = 0.5 }", "must make 1"),
        ("split = { \"a b\" = 1.0 }", "folder's name"),
        ("engine = \"physical\"\nsteps = 3", "steps"),
        ("engine = \"physical\"\nsave = { images = [\"vae_gt\"] }", "autoencoder"),
        (
            "seeds = { first = 0, count = 99999999 }\nalpha_beta = [[1, 0], [1, 0.5]]",
            "more than",
        ),
        ("batch = 0", "batch"),
        ("engine = \"physical\"\nprompt = \"rain\"", "prompt"),
        ("curves = [\"haze=2:1\"]", "curves"),
        ("sampler = \"magic\"", "sampler"),
        ("crop = { side = 64, plac = \"random\" }", "\"place\""),
        ("save = { lq_format = \"jpeg\" }", "lq_format"),
        ("layout = \"reside\"\nsave = { bits = 16 }", "8 bits"),
        ("size = ", "line 3"),
    ] {
        let message = refusal(&format!("{SMALL}{more}\n"));
        assert!(message.contains(what), "{more}: {message}");
    }
    assert!(refusal("mixes = [{ rain = 1.0 }]").contains("scenes is missing"));
    assert!(refusal("scenes = [\"*.jpg\"]\nmixes = []").contains("mixes is empty"));
    assert!(refusal("scenes = []\nmixes = [{ rain = 1.0 }]").contains("scenes is empty"));
    assert!(refusal("scenes = [\"*.png\"]\nmixes = [{ rain = 1.0 }]").contains("*.png"));
}

#[test]
fn what_to_save_may_be_a_list_alone() {
    let images = |save: &str| parse(&format!("{SMALL}save = {save}\n")).expect("valid").extras;
    assert_eq!(
        images("[\"steps\", \"vae_gt\"]"),
        images("{ images = [\"vae_gt\", \"steps\"] }")
    );
    assert_eq!(images("[\"steps\"]").len(), 1);
}

#[test]
fn a_run_has_every_setting_of_a_single_one() {
    let plan = parse(&format!(
        "{SMALL}prompt = \"wet\"\nsampler_aid = \"moving-average\"\ncurves = [\"rain=1:0,0.4:1\"]\nmodel = \"m\"\nvae = \"v\"\ncrop = {{ side = 64, place = \"random\" }}\n"
    ))
    .expect("valid");
    assert_eq!(plan.run.sampling.prompt.as_deref(), Some("wet"));
    assert_eq!(plan.run.sampling.curves[0].to_string(), "rain=1:0,0.4:1");
    let key = plan.model_key();
    assert_eq!(
        (key.path, key.parts.vae),
        (Some(plan.folder.join("m")), Some(plan.folder.join("v")))
    );
    assert_ne!(plan.crop_of(0), plan.crop_of(1), "each photo has a place of its own");
}

#[test]
fn settings_at_their_defaults_do_not_change_a_plan() {
    let text = |more: &str| serde_json::to_string(&parse(&format!("{SMALL}{more}")).expect("valid")).expect("JSON");
    assert_eq!(text(""), text("steps = 20\ndevice = \"cpu\"\n"));
    assert_ne!(text(""), text("steps = 21\n"));
    assert_ne!(text(""), text("batch = 7\n"), "the last bits depend on it");
}

#[test]
fn a_plan_written_from_a_mix_is_read_as_that_mix() {
    let run = RenderRequest {
        sampling: Sampling {
            mix: "haze=0.7,rain=1.2,snow=0".parse().expect("a mix"),
            alpha: 1.0,
            beta: 0.3,
            start_at_noise_share: true,
            seed: 5,
            guidance: 2.5,
            curves: vec!["haze=1:1,0.5:0".parse().expect("a curve")],
            ..Sampling::default()
        },
        ..RenderRequest::default()
    };
    let mut request = GridRequest {
        run,
        scenes: vec!["one.jpg".to_owned()],
        engine: EngineKind::Mdsd3,
        layout: LayoutKind::default(),
        factors: vec![0.5, 1.0, 1.5],
        seeds: 2,
    };
    let plan = parse(&grid_plan(&request).expect("written")).expect("read");
    assert_eq!(plan.seeds, [5, 6]);
    assert_eq!(plan.alpha_beta, [[1.0, 0.3]]);
    assert!(plan.run.sampling.start_at_noise_share);
    assert_eq!((plan.run.sampling.guidance, plan.run.sampling.curves.len()), (2.5, 1));
    let mixes: Vec<String> = mixes::expand(&plan.mixes[0])
        .iter()
        .map(|spec| mixes::mix(spec, "").expect("a mix").to_string())
        .collect();
    assert_eq!(mixes.len(), 9);
    assert_eq!(mixes[0], "haze=0.35,rain=0.6");
    assert_eq!(mixes[8], "haze=1.05,rain=1.5", "held to the largest ratio");
    request.engine = EngineKind::Physical;
    let plan = parse(&grid_plan(&request).expect("written")).expect("read");
    assert_eq!(plan.engine, EngineKind::Physical);
    request.run.sampling.mix = Mix::new();
    assert!(
        grid_plan(&request)
            .expect_err("nothing to make")
            .to_string()
            .contains("Mixer")
    );
}

#[test]
fn a_plan_that_is_written_has_every_setting_of_its_run() {
    let every = include_str!("../../../../tests/fixtures/every_setting.json");
    let mut run: RenderRequest = serde_json::from_str(every).expect("a run");
    run.sampling.seed = 5;
    let request = GridRequest {
        run: run.clone(),
        scenes: vec!["one.jpg".to_owned()],
        engine: EngineKind::Mdsd3,
        layout: LayoutKind::default(),
        factors: vec![1.0],
        seeds: 1,
    };
    let plan = parse(&grid_plan(&request).expect("written")).expect("read");
    let mut expected = run.clone();
    // What a plan has in the plural, and what no plan has.
    let plural = |key: &str| ["scene", "mix", "alpha", "beta", "seed", "preview_vae", "branch"].contains(&key);
    let none = RenderRequest {
        sampling: Sampling {
            mix: Mix::new(),
            ..Sampling::default()
        },
        ..RenderRequest::default()
    };
    expected.take(&none, &plural);
    // A plan may lie elsewhere than the studio was started; and the network's has no use for depth.
    let mut weather = run.weather.clone();
    let absolute = |path: &mut PathBuf| *path = std::path::absolute(&path).expect("a path");
    weather.paths_mut().for_each(absolute);
    expected.weather = WeatherSettings {
        regions: weather.regions.clone(),
        ..WeatherSettings::default()
    };
    assert_eq!(plan.run, expected);
    assert_eq!(plan.alpha_beta, [[run.sampling.alpha, run.sampling.beta]]);
    let engine = EngineKind::Physical;
    let plan = parse(&grid_plan(&GridRequest { engine, ..request }).expect("written")).expect("read");
    assert_eq!(plan.run.weather, weather);
}
