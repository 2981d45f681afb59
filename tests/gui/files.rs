//! Files that come in and go out: settings restored from an image, pastes, saved steps.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui::accesskit::Role;
use egui::{ColorImage, Event, Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use mdsd3_engine::metadata;
use mdsd3_gui::Studio;
use mdsd3_gui::prefs::Prefs;
use mdsd3_words::made::RunSettings;
use mdsd3_words::{ModelIdentity, RenderRequest, Sampling, SceneSettings};

use crate::support::{Drive, FakeEngine, WINDOW, picture, run_until, studio};

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
    let file = Arc::new(Dropped(path.to_owned()));
    harness.input_mut().dropped_files.push(file);
    harness.step();
    harness.run();
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
    let restored = &harness.state().state().settings;
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
        harness.state().state().settings.sampling.steps,
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
    assert_eq!(harness.state().state().settings.sampling.seed, 5);
}

#[test]
fn a_png_without_settings_is_a_photo() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("photo.png");
    metadata::write_png(&path, &picture(0.0, 0.0, 0.0), None).expect("a writable folder");
    drop_file(&mut harness, &path);
    let scene = harness
        .state()
        .state()
        .scene
        .as_ref()
        .and_then(|scene| scene.path.clone());
    assert_eq!(scene, Some(path));
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
    let shown = |harness: &Harness<'static, Studio>| {
        let scene = harness.state().state().scene.as_ref();
        scene.and_then(|scene| scene.path.clone()).expect("a photo")
    };
    assert_eq!(shown(&harness), path);
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
    harness.get_by_label(&format!("Saved 5 images in {}", steps.display()));
    let mut names: Vec<String> = std::fs::read_dir(&steps)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "step-00-x0_hat.png",
            "step-00-x_t.png",
            "step-01-x0_hat.png",
            "step-01-x_t.png",
            "step-02-result.png"
        ]
    );
}
