//! Every kind of bad input: one line, exit 2, no file written.

use std::fs;
use std::path::Path;

use image::{DynamicImage, RgbImage};

use crate::bad_copies::{largest, model_with};
use crate::program::{files_in, mdsd3, photo};

/// Runs `mdsd3 render` with `args` and checks that it is refused with a line that names `what`.
fn refused(args: &[&str], what: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let args = ["render", "-o", "out.png"].into_iter().chain(args.iter().copied());
    let line = mdsd3(folder.path(), args).refused(2);
    assert!(line.contains(what), "should name {what:?}: {line}");
    assert_eq!(files_in(folder.path()), [""; 0], "nothing is written");
}

fn refused_photo(name: &str, bytes: &[u8], what: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("written");
    refused(&[&path.to_string_lossy()], what);
}

fn png_of(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = DynamicImage::ImageRgb8(RgbImage::new(width, height));
    image.write_to(&mut bytes, image::ImageFormat::Png).expect("encodable");
    bytes.into_inner()
}

fn refused_model(path: &Path, what: &str) {
    refused(&["--model", &path.to_string_lossy()], what);
}

#[test]
fn photos_that_cannot_be_used() {
    refused(&["no-such-photo.jpg"], "no-such-photo.jpg");
    refused_photo("empty.png", b"", "empty.png");
    refused_photo("text.jpg", b"not a photo", "text.jpg");
    let whole = fs::read(photo("pont-du-gard.jpg")).expect("a demo photo");
    refused_photo("cut.jpg", &whole[..whole.len() / 2], "cut.jpg");
    let whole = png_of(300, 300);
    refused_photo("cut.png", &whole[..whole.len() / 2], "cut.png");
    refused_photo("dot.png", &png_of(1, 1), "dot.png");
    refused_photo("strip.png", &png_of(20_000, 1), "strip.png");
}

#[test]
fn settings_that_cannot_be_used() {
    for (args, what) in [
        (&["--mix", "haze=nan"][..], "haze"),
        (&["--mix", "haze=-0.1"], "haze"),
        (&["--mix", "haze=1.6"], "haze"),
        (&["--mix", "fog=0.5"], "fog"),
        (&["--mix", "haze"], "haze"),
        (&["--steps", "0"], "steps"),
        (&["--steps", "1001"], "steps"),
        (&["--steps", "-1"], "--steps"),
        (&["--alpha", "nan"], "alpha"),
        (&["--beta", "-1"], "beta"),
        (&["--alpha", "0"], "alpha"),
        (&["--guidance", "-1"], "guidance"),
        (&["--size", "250"], "nearest"),
        (&["--size", "0"], "nearest"),
        (&["--size", "1000000000"], "too large"),
        (&["--device", "tpu"], "tpu"),
        (&["--dtype", "f64"], "f64"),
        (&["--no-such-option"], "--no-such-option"),
        (&["--seed", "x"], "--seed"),
    ] {
        refused(args, what);
    }
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_device_outside_the_build_says_how_to_build_it() {
    refused(&["--device", "cuda:0"], "--features cuda");
}

#[test]
fn outputs_that_cannot_be_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (output, what) in [
        ("no-such-folder/out.png", "no-such-folder"),
        ("out.jpg", ".png"),
        (".", ".png"),
    ] {
        let line = mdsd3(folder.path(), ["render", "-o", output]).refused(2);
        assert!(line.contains(what), "{line}");
    }
    fs::write(folder.path().join("scene.png"), png_of(300, 300)).expect("written");
    let line = mdsd3(folder.path(), ["render", "scene.png", "-o", "scene.png"]).refused(2);
    assert!(line.contains("input"), "{line}");
    fs::write(folder.path().join("mdsd3-mix.png"), png_of(4, 4)).expect("written");
    let line = mdsd3(folder.path(), ["render"]).refused(2);
    assert!(line.contains("not made by mdsd3"), "{line}");
    assert_eq!(files_in(folder.path()), ["mdsd3-mix.png", "scene.png"]);
}

#[test]
fn checkpoints_with_the_wrong_tensors() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut name = String::new();
    let missing = model_with(&folder.path().join("missing"), |tensors| {
        name = largest(tensors);
        tensors.remove(&name);
    });
    refused_model(&missing, &name);
    let extra = model_with(&folder.path().join("extra"), |tensors| {
        let copy = tensors[&largest(tensors)].clone();
        tensors.insert("transformer.surplus.weight".to_owned(), copy);
    });
    refused_model(&extra, "surplus");
    let mut name = String::new();
    let misshaped = model_with(&folder.path().join("misshaped"), |tensors| {
        name = largest(tensors);
        let tensor = tensors.get_mut(&name).expect("the largest");
        tensor.shape = vec![tensor.shape.iter().product()];
    });
    refused_model(&misshaped, &name);
}

#[test]
fn checkpoints_that_are_cut_or_pickled() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cut = model_with(&folder.path().join("cut"), |_| {});
    let weights = cut.join("model.safetensors");
    let bytes = fs::read(&weights).expect("just written");
    fs::write(&weights, &bytes[..bytes.len() / 2]).expect("written");
    refused_model(&cut, "model.safetensors");
    fs::write(&weights, b"").expect("written");
    refused_model(&cut, "model.safetensors");
    for (name, bytes) in [
        ("model.pkl", &b"\x80\x02}q\x00."[..]),
        ("model.pt", b"PK\x03\x04\x00\x00archive/data.pkl"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("written");
        refused_model(&path, "pickle");
    }
    refused_model(&folder.path().join("nowhere"), "nowhere");
}

#[test]
fn degrade_and_info_refuse_as_well() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let demo = photo("pont-du-gard.jpg");
    let demo = demo.to_string_lossy();
    for (args, what) in [
        (
            &["degrade", "missing.png", "--mix", "rain=1", "-o", "x.png"][..],
            "missing.png",
        ),
        (&["degrade", &demo, "--mix", "fog=1", "-o", "x.png"], "fog"),
        (&["degrade", &demo, "--mix", "rain=2", "-o", "x.png"], "rain"),
        (&["degrade", &demo, "--mix", "rain=1", "-o", "x.gif"], ".png"),
        (
            &["degrade", &demo, "--mix", "rain=1", "--size", "0", "-o", "x.png"],
            "size",
        ),
        (&["degrade", &demo, "-o", "x.png"], "--mix"),
        (&["info", "missing.png"], "missing.png"),
        (&["parity", "no-such-folder"], "no-such-folder"),
        (&["parity", ".", "--device", "tpu"], "tpu"),
    ] {
        let line = mdsd3(folder.path(), args).refused(2);
        assert!(line.contains(what), "should name {what:?}: {line}");
    }
    assert_eq!(files_in(folder.path()), [""; 0]);
}

#[test]
fn a_word_that_is_neither_a_photo_nor_a_command() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for word in ["rendr", "no-such-photo.jpg"] {
        let line = mdsd3(folder.path(), [word]).refused(2);
        assert!(line.contains(word) && line.contains("--help"), "{line}");
    }
}
