use super::*;

fn parse(text: &str) -> Result<Plan, EngineError> {
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
    assert_eq!((plan.seeds, plan.size, plan.steps), (vec![0], 256, 20));
    let plan = parse(&format!("{SMALL}seeds = {{ first = 5, count = 3 }}")).expect("valid");
    assert_eq!(plan.seeds, [5, 6, 7]);
}

#[test]
fn every_mistake_is_named_in_one_line() {
    for (more, what) in [
        ("sede = [1]", "\"seeds\""),
        ("save = { bit = 16 }", "\"bits\""),
        ("save = { bits = 12 }", "bits 12"),
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
