use super::*;

const FILES: [(&str, &[u8]); 8] = [
    ("f2_fortran.npy", include_bytes!("../../tests/depth/f2_fortran.npy")),
    ("f4.npy", include_bytes!("../../tests/depth/f4.npy")),
    ("f8_column.npy", include_bytes!("../../tests/depth/f8_column.npy")),
    (
        "u2_batch_big_endian.npy",
        include_bytes!("../../tests/depth/u2_batch_big_endian.npy"),
    ),
    ("u16.png", include_bytes!("../../tests/depth/u16.png")),
    ("u8.png", include_bytes!("../../tests/depth/u8.png")),
    ("f32.tiff", include_bytes!("../../tests/depth/f32.tiff")),
    ("u16.tiff", include_bytes!("../../tests/depth/u16.tiff")),
];

/// What tests/depth/README.md says of every file: the value at row `y`, column `x` is `10 y + x + 1`.
#[test]
fn every_format_gives_the_numbers_that_were_written() {
    let expected: Vec<f32> = (0..12).map(|at| (10 * (at / 4) + at % 4 + 1) as f32).collect();
    for (name, bytes) in FILES {
        let samples = match name.rsplit('.').next() {
            Some("png") => png(bytes),
            Some("tiff") => tiff(bytes),
            _ => npy(bytes),
        };
        let samples = samples.expect(name);
        assert_eq!((samples.size, samples.channels), ((4, 3), 1), "{name}");
        assert_eq!(samples.values, expected, "{name}");
    }
}

#[test]
fn content_decides_the_format_and_grey_colours_are_noted() {
    for (_, bytes) in FILES {
        read(bytes, "depth", DepthKind::Distance, Some(1.0)).expect("readable");
    }
    let grey = include_bytes!("../../tests/depth/grey_rgb.png");
    let map = read(grey, "grey.png", DepthKind::Distance, Some(1.0)).expect("readable");
    let same = read(FILES[5].1, "u8.png", DepthKind::Distance, Some(1.0)).expect("readable");
    assert_eq!(map.log_metres(), same.log_metres());
    assert!(map.notes()[0].contains("three equal channels"), "{:?}", map.notes());
}

#[test]
fn what_holds_no_depth_is_refused_in_one_line() {
    let cut = &FILES[1].1[..FILES[1].1.len() - 4];
    let mut huge = FILES[1].1.to_vec();
    let at = huge.windows(6).position(|text| text == b"(3, 4)").expect("a shape");
    huge[at..at + 6].copy_from_slice(b"(9999,");
    huge[at + 6..at + 12].copy_from_slice(b"99999)");
    let cases: [(&[u8], &str); 8] = [
        (include_bytes!("../../tests/depth/colours.png"), "in colours"),
        (include_bytes!("../../tests/depth/alpha.png"), "alpha"),
        (include_bytes!("../../tests/depth/rgb.npy"), "[3, 4, 3]"),
        (include_bytes!("../../tests/depth/i4.npy"), "<i4"),
        (cut, "cut off"),
        (&huge, ""),
        (b"GIF89a", "PNG of 8 or 16 bits"),
        (b"", "PNG of 8 or 16 bits"),
    ];
    for (bytes, what) in cases {
        let error = read(bytes, "d.png", DepthKind::Distance, None).expect_err(what);
        let text = error.to_string();
        assert!(
            error.is_bad_input() && text.starts_with("d.png: ") && text.contains(what),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1);
    }
    for (name, bytes) in FILES {
        for length in 0..bytes.len() {
            // No cut file panics; some decoders fill up what is missing.
            let _ = read(&bytes[..length], name, DepthKind::Distance, None);
        }
    }
}
