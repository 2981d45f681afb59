//! Files that come in and go out: settings restored from an image, pastes, saved steps.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui::accesskit::Role;
use egui::{ColorImage, Event, Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use mdsd3_engine::queue::QueueRequest;
use mdsd3_gui::Studio;
use mdsd3_gui::prefs::Prefs;
use mdsd3_render::metadata;
use mdsd3_words::made::RunSettings;
use mdsd3_words::{ModelIdentity, RenderRequest, Sampling, SceneSettings};

use crate::support::{CTRL_SHIFT, Drive, FakeEngine, WINDOW, picture, run_until, studio};

fn ready(engine: &FakeEngine) -> Harness<'static, Studio> {
    let mut harness = studio(engine, Prefs::default(), WINDOW);
    harness.run();
    harness
}

/// An image as the studio exports it, made by the test's model.
fn exported(folder: &Path, request: RenderRequest) -> PathBuf {
    exported_by(folder, request, "00".repeat(32))
}

fn exported_by(folder: &Path, request: RenderRequest, sha256: String) -> PathBuf {
    let name = "bundled mini model".to_owned();
    let model = ModelIdentity { name, sha256 };
    let path = folder.join("mix.png");
    let settings = RunSettings::new(request, model, "00".repeat(32));
    metadata::write_png(&path, &picture(0.2, 0.0, 0.0), Some(&settings)).expect("a writable folder");
    path
}

/// A file that was let go over the window.
#[derive(Debug)]
struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|error| error.to_string())
    }
}

fn drop_file(harness: &mut Harness<'static, Studio>, path: &Path) {
    drop_files(harness, &[path.to_owned()]);
}

fn drop_files(harness: &mut Harness<'static, Studio>, paths: &[PathBuf]) {
    for path in paths {
        let file = Arc::new(Dropped(path.clone()));
        harness.input_mut().dropped_files.push(file);
    }
    harness.step();
    harness.run();
}

/// The photo that is shown.
fn shown(harness: &Harness<'static, Studio>) -> Option<PathBuf> {
    let scene = harness.state().state().scene.as_ref();
    scene.and_then(|scene| scene.path.clone())
}

/// Photos of these names in a folder.
fn photos(folder: &Path, names: &[&str]) -> Vec<PathBuf> {
    let made = names.iter().map(|name| {
        let path = folder.join(name);
        metadata::write_png(&path, &picture(0.0, 0.0, 0.0), None).expect("a writable folder");
        path
    });
    made.collect()
}

/// The patterns of photos in the datasets that were asked for.
fn queued(engine: &FakeEngine) -> Vec<Vec<String>> {
    let wire = engine.0.borrow();
    let grids = wire.queue_requests.iter().filter_map(|request| match request {
        QueueRequest::AddGrid { grid, .. } => Some(grid.scenes.clone()),
        _ => None,
    });
    grids.collect()
}

#[test]
fn of_several_photos_the_first_is_shown_and_all_can_be_queued() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths = photos(folder.path(), &["a.png", "b [1].png", "c.png"]);
    let in_folder = [folder.path().to_owned()];
    let list = paths
        .iter()
        .map(|path| format!("file://{}\r\n", path.display().to_string().replace(' ', "%20")));
    let list = format!("# copied\r\n{}", list.collect::<String>());
    for way in ["dropped", "dropped as a folder", "pasted"] {
        let engine = FakeEngine::new();
        let mut harness = ready(&engine);
        match way {
            "dropped" => drop_files(&mut harness, &paths),
            "pasted" => harness.event(Event::Paste(list.clone())),
            _ => drop_files(&mut harness, &in_folder),
        }
        harness.run();
        assert_eq!(shown(&harness), Some(paths[0].clone()), "{way}");
        harness.get_by_label("a.png is opened, the first of 3 photos; the queue can make the mix of all");
        assert!(queued(&engine).is_empty(), "nothing is made unasked");
        harness.click_on(Role::Button, "Queue all");
        let escaped: Vec<String> = paths
            .iter()
            .map(|path| path.display().to_string().replace("[1]", "[[]1[]]"))
            .collect();
        assert_eq!(queued(&engine), [escaped], "{way}");
    }
}

#[test]
fn plans_recipes_models_and_what_is_none_of_them_go_where_they_belong() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("a writable folder");
        path
    };
    // The header of a safetensors file with one empty tensor: 8 bytes of length, then JSON.
    let header = |tensor: &str| {
        let json = format!(r#"{{"{tensor}":{{"dtype":"F32","shape":[1,0],"data_offsets":[0,0]}}}}"#);
        [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat()
    };
    let plan = write("rain.toml", b"scenes = [\"*.jpg\"]\n");
    let recipe = write("adapter.toml", b"mode = \"adapter\"\n");
    let adapter = write("adapter.safetensors", &header("transformer_blocks.0.zero_block.weight"));
    let model = write("model.safetensors", &header("transformer_blocks.0.norm.weight"));
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    drop_files(
        &mut harness,
        &[plan.clone(), recipe.clone(), adapter.clone(), model.clone()],
    );
    let asked = engine.0.borrow().queue_requests.clone();
    assert!(matches!(&asked[..], [QueueRequest::AddPlan { plan: asked, .. }] if *asked == plan));
    let state = harness.state().state();
    assert_eq!(state.training.recipe, recipe.display().to_string());
    let drafted = state.desk.draft.key();
    assert_eq!((drafted.path, drafted.parts.adapter), (Some(model), Some(adapter)));
    harness.get_by_label_contains("What it is");

    drop_file(&mut harness, &write("shape.toml", b"side = 3\n"));
    harness.get_by_label_contains("neither the plan of a dataset");
    assert_eq!(shown(&harness), None, "the demo photo is still there");
}

#[test]
fn a_typo_keeps_the_path_and_enter_answers_what_is_asked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let photo = photos(folder.path(), &["street.png"]).remove(0);
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    harness.press_with(CTRL_SHIFT, Key::O);
    let typo = folder.path().join("stret.png").display().to_string();
    harness.type_into("Path", &typo);
    harness.press(Key::Enter);
    harness.get_by_label(&format!("There is no file {typo}. Check the path."));
    let field = harness.get_by_role_and_label(Role::TextInput, "Path");
    assert_eq!(field.value(), Some(typo), "what was typed is still there");
    harness.press_with(Modifiers::COMMAND, Key::A);
    harness.type_into("Path", &photo.display().to_string());
    harness.press(Key::Enter);
    assert_eq!(shown(&harness), Some(photo.clone()));
}

#[test]
fn dropping_an_exported_image_restores_its_settings() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let request = RenderRequest {
        sampling: Sampling {
            mix: "snow=0.4,haze=1.1".parse().expect("well formed"),
            curves: vec!["haze=1:1,0.5:0".parse().expect("well formed")],
            head_ratios: vec!["4=0.2".parse().expect("well formed")],
            alpha: 0.8,
            beta: 0.6,
            steps: 7,
            seed: 77,
            ..Sampling::default()
        },
        ..RenderRequest::default()
    };
    let path = exported(folder.path(), request.clone());
    drop_file(&mut harness, &path);
    let restored = harness.state().state().settings();
    assert_eq!(
        (
            restored.sampling.alpha,
            restored.sampling.beta,
            restored.sampling.steps,
            restored.sampling.seed
        ),
        (0.8, 0.6, 7, 77)
    );
    assert_eq!(
        (&restored.sampling.curves, &restored.sampling.head_ratios),
        (&request.sampling.curves, &request.sampling.head_ratios)
    );
    for (class, ratio) in request.sampling.mix.iter() {
        assert!((restored.sampling.mix.ratio(class) - ratio).abs() < 1e-6, "{class}");
    }
    harness.get_by_label("Settings restored from mix.png");
    harness.press_with(Modifiers::COMMAND, Key::Z);
    assert_eq!(
        harness.state().state().settings().sampling.steps,
        20,
        "one undo takes all of it back"
    );
}

#[test]
fn an_exported_image_of_another_version_of_the_model_says_so() {
    let warning = "mix.png was made by another version of this model; a mix will differ from it";
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (sha256, warns) in [("00", false), ("11", true)] {
        let engine = FakeEngine::new();
        let mut harness = ready(&engine);
        let path = exported_by(folder.path(), RenderRequest::default(), sha256.repeat(32));
        drop_file(&mut harness, &path);
        harness.get_by_label("Settings restored from mix.png");
        assert_eq!(harness.query_by_label(warning).is_some(), warns);
    }
}

#[test]
fn an_exported_image_without_its_photo_says_so() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let request = RenderRequest {
        scene: SceneSettings {
            path: Some("/no/such/photo.jpg".into()),
            ..SceneSettings::default()
        },
        sampling: Sampling {
            seed: 5,
            ..Sampling::default()
        },
        ..RenderRequest::default()
    };
    let path = exported(folder.path(), request);
    drop_file(&mut harness, &path);
    harness.get_by_label("The photo /no/such/photo.jpg is not there any more; the one shown is used");
    assert_eq!(harness.state().state().settings().sampling.seed, 5);
}

#[test]
fn a_png_without_settings_is_a_photo() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("photo.png");
    metadata::write_png(&path, &picture(0.0, 0.0, 0.0), None).expect("a writable folder");
    drop_file(&mut harness, &path);
    assert_eq!(shown(&harness), Some(path));
}

#[test]
fn a_path_and_an_image_can_be_pasted() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("photo with space.png");
    metadata::write_png(&path, &picture(0.0, 0.0, 0.0), None).expect("a writable folder");
    let address = format!("file://{}\n", path.display().to_string().replace(' ', "%20"));
    harness.event(Event::Paste(address));
    harness.run();
    assert_eq!(shown(&harness), Some(path));
    harness.event(Event::Paste("some other text".to_owned()));
    harness.run();
    harness.get_by_label_contains("not the path of a file");
    let image = ColorImage::filled([4, 4], egui::Color32::RED);
    harness.event(Event::PasteImage(image.into()));
    harness.run();
    let asked = engine
        .0
        .borrow()
        .requests
        .iter()
        .any(|request| format!("{request:?}").contains("KeepImage"));
    assert!(asked, "the image is kept as a file");
}

#[test]
fn all_steps_are_saved_into_a_folder_that_is_typed() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let steps = folder.path().join("steps");
    harness
        .get_by_role_and_label(Role::Slider, "steps")
        .set_value_accesskit(2.0);
    harness.run();
    harness.get_by_role_and_label(Role::Button, "Mix").click();
    run_until(&mut harness, 30, |studio| studio.state().finished_run().is_some());
    harness.run();
    harness.state_mut().state_mut().save_steps(steps.clone());
    harness.run();
    harness.get_by_label(&format!(
        "Saved 5 images in {}, with their table and settings",
        steps.display()
    ));
    let mut names: Vec<String> = std::fs::read_dir(&steps)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "step-01-x0_hat.png",
            "step-01-x_t.png",
            "step-02-result.png",
            "step-02-x0_hat.png",
            "step-02-x_t.png"
        ]
    );
}
