//! `mdsd3 degrade` with depth maps, masks, orders, layers and motion; `mdsd3 render` with masks.

use std::fs;
use std::path::Path;

use image::{GrayImage, ImageBuffer, Luma, RgbImage};
use serde_json::Value;

use crate::program::{Ended, files_in, mdsd3};

/// A folder with a photo of 80x60 px, a bright sky over a dark plain: what is done to the plain shows in plain numbers.
struct Work(tempfile::TempDir);

impl Work {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        RgbImage::from_fn(80, 60, |_, y| {
            image::Rgb(if y < SKY { [230, 235, 240] } else { [64; 3] })
        })
        .save(folder.path().join("photo.png"))
        .expect("saved");
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A depth map of 16 bits: `near` in its left half and `far` in its right one.
    fn depth(&self, name: &str, (width, height): (u32, u32), near: u16, far: u16) {
        let map = ImageBuffer::<Luma<u16>, Vec<u16>>::from_fn(width, height, |x, _| {
            Luma([if x < width / 2 { near } else { far }])
        });
        map.save(self.path().join(name)).expect("saved");
    }

    /// A mask that is white in its left half.
    fn mask(&self, name: &str, (width, height): (u32, u32)) {
        GrayImage::from_fn(width, height, |x, _| Luma([if x < width / 2 { 255 } else { 0 }]))
            .save(self.path().join(name))
            .expect("saved");
    }

    fn degrade(&self, args: &[&str]) -> Ended {
        mdsd3(
            self.path(),
            ["degrade", "photo.png"].into_iter().chain(args.iter().copied()),
        )
    }

    /// Degrades with further arguments; the report and the image.
    fn made(&self, args: &[&str]) -> (Value, RgbImage) {
        let all: Vec<&str> = args.iter().copied().chain(["-o", "out.png", "--json"]).collect();
        let ended = self.degrade(&all);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let report = serde_json::from_str(&ended.stdout).expect("JSON");
        (report, self.image("out.png"))
    }

    fn image(&self, name: &str) -> RgbImage {
        image::open(self.path().join(name)).expect("an image").to_rgb8()
    }
}

/// Rows of the photo's sky.
const SKY: u32 = 15;

/// Mean of all channels over the columns `from..to` of the plain.
fn mean(image: &RgbImage, from: u32, to: u32) -> f64 {
    let values = image
        .enumerate_pixels()
        .filter(|(x, y, _)| (from..to).contains(x) && *y > SKY + 2);
    let values: Vec<f64> = values.flat_map(|(.., pixel)| pixel.0.map(f64::from)).collect();
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn haze_follows_the_depth_map() {
    let work = Work::new();
    work.depth("depth.png", (40, 30), 2000, 40_000);
    let metres = ["--depth", "depth.png", "--depth-metres-per-unit", "0.001"];
    let (report, hazy) = work.made(&[&["--mix", "haze=1"][..], &metres].concat());
    assert_eq!(report["parameters"]["depth"]["source"], "file", "{report}");
    let (near, far) = (mean(&hazy, 0, 36), mean(&hazy, 44, 80));
    // The plain is 64 everywhere; the airlight is lighter.
    assert!(
        near > 64.0 && near < 64.0 + 0.5 * (far - 64.0),
        "near {near}, far {far}"
    );
    // The same numbers as disparity put the left half behind.
    let (_, inverted) = work.made(&["--mix", "haze=1", "--depth", "depth.png", "--depth-kind", "disparity"]);
    assert!(mean(&inverted, 0, 36) > mean(&inverted, 44, 80) + 10.0);
}

#[test]
fn a_depth_map_beside_the_photo_is_found_and_said() {
    let work = Work::new();
    work.depth("photo.depth.png", (80, 60), 2000, 40_000);
    let ended = work.degrade(&["--mix", "haze=1", "-o", "out.png", "--json"]);
    let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let depth = &report["parameters"]["depth"];
    assert_eq!(depth["source"], "file", "{report}");
    assert!(
        depth["name"]
            .as_str()
            .is_some_and(|name| name.ends_with("photo.depth.png"))
    );
    fs::remove_file(work.path().join("photo.depth.png")).expect("removed");
    let (report, _) = work.made(&["--mix", "haze=1"]);
    assert_eq!(report["parameters"]["depth"]["source"], "estimate", "{report}");
}

#[test]
fn a_sky_that_is_near_is_warned_of_and_one_that_is_far_is_sky() {
    let work = Work::new();
    for (name, sky, plain) in [("inverted.png", 500, 20_000), ("right.png", 50_000, 2000)] {
        let map = ImageBuffer::<Luma<u16>, Vec<u16>>::from_fn(80, 60, |_, y| Luma([if y < SKY { sky } else { plain }]));
        map.save(work.path().join(name)).expect("saved");
    }
    let notes = |map: &str| {
        let args = ["--mix", "haze=1", "--depth", map, "-o", "out.png", "--json"];
        let report: Value = serde_json::from_str(&work.degrade(&args).stdout).expect("JSON");
        report["weather_notes"].to_string()
    };
    let inverted = notes("inverted.png");
    assert!(
        inverted.contains("warning") && inverted.contains("disparity"),
        "{inverted}"
    );
    assert_eq!(notes("right.png"), "[]");
}

#[test]
fn a_class_acts_where_its_mask_is_white() {
    let work = Work::new();
    work.mask("mask.png", (40, 30));
    let (_, image) = work.made(&["--mix", "haze=1", "--where", "haze=mask.png"]);
    assert!(mean(&image, 0, 38) > 70.0, "the left half is veiled");
    let clean = work.image("photo.png");
    let right = |image: &RgbImage| image::imageops::crop_imm(image, 42, 0, 38, 60).to_image();
    assert!(right(&image) == right(&clean), "the right half is as it was");
}

#[test]
fn space_order_and_composition_change_the_image() {
    let work = Work::new();
    let mix = ["--mix", "haze=0.8,rain=1", "--size", "60"];
    let (_, plain) = work.made(&mix);
    for option in [
        &["--space", "linear"][..],
        &["--rain-composition", "additive"],
        &["--order", "rain,haze"],
    ] {
        let (_, changed) = work.made(&[&mix[..], option].concat());
        assert!(plain != changed, "{option:?}");
    }
    let (_, same) = work.made(&[&mix[..], &["--order", "haze,rain"]].concat());
    assert!(plain == same, "that is the physical order");
}

#[test]
fn a_name_that_ends_as_jpegs_do_makes_one() {
    let work = Work::new();
    work.degrade(&["--mix", "haze=1", "-o", "out.JPG"]).succeeded();
    let bytes = fs::read(work.path().join("out.JPG")).expect("written");
    assert_eq!(bytes[..2], [0xff, 0xd8]);
}

#[test]
fn frames_are_a_folder_with_an_animation_of_them() {
    let work = Work::new();
    let args = [
        "--mix",
        "rain=1,haze=0.5",
        "--frames",
        "3",
        "--fps",
        "12",
        "-o",
        "moving",
    ];
    let said = work.degrade(&args).succeeded();
    assert!(said.contains("in 3 frames"), "{said}");
    let folder = work.path().join("moving");
    assert_eq!(files_in(&folder), ["0001.png", "0002.png", "0003.png", "animation.png"]);
    let frames = ["0001.png", "0002.png", "0003.png"].map(|name| work.image(&format!("moving/{name}")));
    assert!(frames[0] != frames[1], "drops move");
    // A single image is the first frame.
    let (_, single) = work.made(&["--mix", "rain=1,haze=0.5"]);
    assert!(single == frames[0]);
    let file = std::io::BufReader::new(fs::File::open(folder.join("animation.png")).expect("there"));
    let decoder = image::codecs::png::PngDecoder::new(file)
        .expect("a PNG")
        .apng()
        .expect("animated");
    let animated = image::AnimationDecoder::into_frames(decoder)
        .collect_frames()
        .expect("frames");
    assert_eq!(animated.len(), 3);
    for (frame, single) in animated.iter().zip(&frames) {
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        assert!((f64::from(numerator) / f64::from(denominator) - 1000.0 / 12.0).abs() < 1.0);
        let shown = image::DynamicImage::ImageRgba8(frame.buffer().clone()).to_rgb8();
        assert!(&shown == single);
    }
    let line = work.degrade(&args).refused(2);
    assert!(line.contains("has to be empty"), "{line}");
}

#[test]
fn bad_depth_masks_orders_and_sequences_are_refused_and_nothing_is_written() {
    let work = Work::new();
    work.depth("tall.png", (30, 60), 1000, 2000);
    work.depth("flat.png", (40, 30), 700, 700);
    work.mask("tall-mask.png", (30, 60));
    RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8, y as u8, 9]))
        .save(work.path().join("colours.png"))
        .expect("saved");
    fs::write(work.path().join("text.png"), "no image").expect("written");
    let adapter = crate::program::repository().join("tests/fixtures/adapter.safetensors");
    let adapter = adapter.to_string_lossy();
    let before = files_in(work.path());
    let mix = ["--mix", "haze=1,rain=1", "-o", "out.png"];
    for (args, what) in [
        (&["--depth", "none.png"][..], "none.png"),
        (&["--depth", "tall.png"], "80x60 px"),
        (&["--depth", "flat.png"], "700 everywhere"),
        (&["--depth", "colours.png"], "in colours"),
        (&["--depth", "text.png"], "PNG of 8 or 16 bits"),
        (&["--depth", "grey.png", "--depth-metres-per-unit", "0"], "above 0"),
        (
            &["--depth", "photo.png", "--depth-model", "m.safetensors"],
            "--depth-model",
        ),
        (&["--depth-model", &adapter], "adapter.safetensors"),
        (&["--depth-kind", "meters"], "--depth-kind"),
        (&["--order", "rain,fog"], "fog"),
        (&["--order", "rain,rain"], "twice"),
        (&["--where", "rain"], "rain=mask.png"),
        (&["--where", "fog=tall-mask.png"], "fog"),
        (&["--where", "rain=none.png"], "none.png"),
        (&["--where", "rain=text.png"], "text.png"),
        (&["--where", "rain=tall-mask.png"], "30x60 px"),
        (&["--where", "rain=photo.png", "--where", "rain=photo.png"], "two masks"),
        (&["--space", "lab"], "--space"),
        (&["--frames", "1"], "frames 1"),
        (&["--frames", "3", "--fps", "0"], "fps 0"),
        (&["--fps", "12"], "--frames"),
        (&["--frames", "3", "--layers", "layers"], "--layers"),
    ] {
        let args: Vec<&str> = mix.iter().chain(args).copied().collect();
        let line = work.degrade(&args).refused(2);
        assert!(line.contains(what), "should name {what:?}: {line}");
        assert_eq!(files_in(work.path()), before, "{line}");
    }
    let unknown = work
        .degrade(&["--mix", "haze=1", "-o", "out.png", "--where", "fog=photo.png"])
        .refused(2);
    assert!(unknown.contains("fog"), "{unknown}");
    assert_eq!(files_in(work.path()), before);
}

/// The network's mix of two classes, one of them with a mask: outside of it the other class alone.
#[test]
fn the_network_mixes_a_class_where_its_mask_is_white() {
    let work = Work::new();
    work.mask("mask.png", (80, 60));
    let render = |mix: &str, more: &[&str]| {
        let args = [
            "render",
            "photo.png",
            "--mix",
            mix,
            "--size",
            "32",
            "--steps",
            "2",
            "-o",
            "out.png",
        ];
        mdsd3(work.path(), args.iter().chain(more)).succeeded();
        work.image("out.png")
    };
    let (haze, both) = (render("haze=1", &[]), render("haze=1,rain=1", &[]));
    let masked = render("haze=1,rain=1", &["--where", "rain=mask.png"]);
    let differ = |image: &RgbImage, other: &RgbImage, from: u32, to: u32| {
        let pixels = image.enumerate_pixels().filter(|(x, ..)| (from..to).contains(x));
        pixels
            .map(|(x, y, pixel)| pixel.0[1].abs_diff(other.get_pixel(x, y).0[1]))
            .max()
    };
    assert!(differ(&masked, &both, 0, 14) <= Some(1), "inside it is the mix");
    assert!(
        differ(&masked, &haze, 18, 32) <= Some(1),
        "outside the class is missing"
    );
    assert!(differ(&both, &haze, 18, 32) > Some(2), "which makes a difference");
    mdsd3(work.path(), ["render", "--from", "out.png", "-o", "again.png"]).succeeded();
    assert!(work.image("again.png") == masked);
    let line = mdsd3(
        work.path(),
        ["render", "photo.png", "--where", "fog=mask.png", "-o", "x.png"],
    )
    .refused(2);
    assert!(line.contains("where: fog is no class"), "{line}");
}

#[test]
fn a_class_that_a_model_lacks_is_told_with_what_has_it() {
    let work = Work::new();
    let model = crate::program::repository().join("tests/fixtures/model");
    let args = [
        "render",
        "photo.png",
        "--mix",
        "snow=1",
        "--size",
        "32",
        "-o",
        "x.png",
        "--model",
    ];
    let line = mdsd3(work.path(), args.iter().map(AsRef::as_ref).chain([model.as_os_str()])).refused(2);
    assert!(line.contains("no snow") && line.contains("mdsd3 degrade"), "{line}");
}
