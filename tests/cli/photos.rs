//! Photos as the command line meets them.

use std::fs;

use super::program::{mdsd3, photo};

#[test]
fn a_plan_counts_what_its_patterns_pass_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let photos = folder.path().join("photos");
    fs::create_dir_all(photos.join(".ipynb_checkpoints")).expect("created");
    for name in ["wall [1].jfif", "._wall.jpg", ".ipynb_checkpoints/wall.jpg"] {
        fs::copy(photo("great-wall.jpg"), photos.join(name)).expect("copied");
    }
    fs::write(photos.join("notes.md"), "hello").expect("written");
    // A decoder panics on this one; it is this photo's failure alone.
    let palette = include_bytes!("../../model/src/io/photo/testdata/short-palette.png");
    fs::write(photos.join("short.png"), palette).expect("written");
    let plan = "engine = \"physical\"\nsize = 32\nscenes = [\"photos/**/*\"]\nmixes = [{ haze = 1.0 }]\n";
    fs::write(folder.path().join("plan.toml"), plan).expect("written");
    let run = mdsd3(folder.path(), ["sweep", "plan.toml", "-o", "out"]);
    let errors = run.stderr;
    for part in [
        "._wall.jpg is hidden",
        ".ipynb_checkpoints is a hidden folder",
        "notes.md is text",
        "skipped photos/short.png",
    ] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    assert!(folder.path().join("out/gt/wall-1.png").exists(), "{errors}");
}
