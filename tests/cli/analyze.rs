//! `mdsd3 analyze`, run as a user runs it.

use std::fs;

use crate::program::{files_in, mdsd3, photo};

const SMALL: [&str; 6] = ["--size", "64", "--steps", "3", "--seeds", "2"];

#[test]
fn an_analysis_writes_tables_figures_images_and_a_report() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let scene = photo("great-wall.jpg");
    let scene = scene.to_string_lossy();
    let args = [
        "analyze",
        &scene,
        "--lanes",
        "rain=0.5,haze,haze+rain=0.5",
        "--compare",
        "-o",
        "out",
    ];
    let said = mdsd3(folder.path(), args.into_iter().chain(SMALL)).succeeded();
    assert!(said.contains("haze") && said.ends_with("report.html\n"), "{said}");
    let out = folder.path().join("out");
    let figures = [
        "formation",
        "formation-between-seeds",
        "formation-latents",
        "formation-over-log-snr",
        "formation-over-step",
        "samplers",
        "spectra",
        "spectra-2d",
        "structure",
    ];
    let tables = ["formation", "measures", "radial", "summary"];
    let mut expected: Vec<String> = ["report.html", "steps"].map(str::to_owned).into();
    expected.extend(
        figures
            .iter()
            .flat_map(|name| [format!("{name}.svg"), format!("{name}.png")]),
    );
    expected.extend(
        tables
            .iter()
            .flat_map(|name| [format!("{name}.csv"), format!("{name}.parquet")]),
    );
    expected.sort();
    assert_eq!(files_in(&out), expected);
    assert_eq!(files_in(&out.join("steps")), ["haze", "haze_rain_0_5", "rain_0_5"]);
    assert_eq!(files_in(&out.join("steps/haze")).len(), 9);

    let table = fs::read_to_string(out.join("formation.csv")).expect("readable");
    let mut lines = table.lines();
    assert!(
        lines
            .next()
            .is_some_and(|head| head.starts_with("scene,seed,lane,space,band,lo,hi,step,sigma,log_snr,energy,share"))
    );
    // Three mixes and their interaction; two seeds in pixels and latents, and once what differs between them.
    assert_eq!(lines.clone().count(), 4 * (2 * 2 + 1) * 8 * 3);
    let last_shares: Vec<&str> = lines
        .filter_map(|line| {
            line.split(',')
                .collect::<Vec<_>>()
                .get(7..12)
                .and_then(|part| (part[0] == "2").then_some(part[4]))
        })
        .collect();
    assert!(
        last_shares.iter().all(|share| share.is_empty() || *share == "1.0"),
        "{last_shares:?}"
    );
    let report = fs::read_to_string(out.join("report.html")).expect("readable");
    assert!(report.contains("<svg") && report.contains("moving average") && report.contains("haze early, rain late"));
}

#[test]
fn the_same_analysis_gives_the_same_tables() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for out in ["one", "two"] {
        mdsd3(
            folder.path(),
            ["analyze", "--lanes", "rain", "-o", out].into_iter().chain(SMALL),
        )
        .succeeded();
    }
    for table in ["formation.csv", "summary.csv", "measures.csv"] {
        let read = |out: &str| fs::read(folder.path().join(out).join(table)).expect("written");
        assert!(read("one") == read("two"), "{table}");
    }
}

#[test]
fn bad_analyses_are_refused_before_anything_is_written() {
    for (args, what) in [
        (&["--lanes", "fog"][..], "fog"),
        (&["--lanes", "haze,haze"], "haze"),
        (&["--lanes", "haze="], "haze"),
        (&["--lanes", "haze=9"], "haze"),
        (&["--lanes", "haze=0"], "haze"),
        (&["--lanes", "haze+haze"], "haze+haze"),
        (&["--ratio", "-1"], "-1"),
        (&["--seeds", "0"], "seeds 0"),
        (&["--steps", "0"], "steps"),
        (&["--curve", "haze=2:1"], "haze"),
        (&["--curve", "fog=1:1"], "fog"),
        (&["no-such-photo.jpg"], "no-such-photo.jpg"),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let line = mdsd3(folder.path(), ["analyze", "-o", "out"].iter().chain(args)).refused(2);
        assert!(line.contains(what), "should name {what:?}: {line}");
        assert_eq!(files_in(folder.path()), [""; 0], "nothing is written");
    }
}

#[test]
fn curves_and_the_moving_average_change_a_render_and_are_restored_from_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plain = ["render", "--size", "64", "--steps", "4", "--mix", "rain=1", "-o"];
    mdsd3(folder.path(), plain.into_iter().chain(["plain.png"])).succeeded();
    mdsd3(
        folder.path(),
        plain.into_iter().chain(["aid.png", "--sampler-aid", "moving-average"]),
    )
    .succeeded();
    mdsd3(
        folder.path(),
        plain.into_iter().chain(["curve.png", "--curve", "rain=0.6:1,0.3:0"]),
    )
    .succeeded();
    let pixels = |name: &str| image::open(folder.path().join(name)).expect("readable").to_rgb8();
    assert!(pixels("plain.png") != pixels("aid.png") && pixels("plain.png") != pixels("curve.png"));
    let info = mdsd3(folder.path(), ["info", "curve.png"]).succeeded();
    assert!(info.contains("rain=0.6:1,0.3:0"), "{info}");
}
