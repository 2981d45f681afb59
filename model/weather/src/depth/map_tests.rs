use super::*;
use image::Rgb;

fn plane(rows: &[&[f32]]) -> Plane {
    Plane {
        width: rows[0].len(),
        height: rows.len(),
        values: rows.concat(),
    }
}

fn map(rows: &[&[f32]], kind: DepthKind, scale: Option<f32>) -> Result<DepthMap, String> {
    DepthMap::new(
        plane(rows),
        kind,
        scale,
        (DepthSource::File("d.png".to_owned()), Vec::new()),
    )
}

const WHOLE: Part = [0.0, 0.0, 1.0, 1.0];

fn grey(width: u32, height: u32) -> Rgb32FImage {
    Rgb32FImage::from_pixel(width, height, Rgb([0.4; 3]))
}

fn close(values: &[f32], expected: &[f32]) {
    assert_eq!(values.len(), expected.len());
    for (value, expected) in values.iter().zip(expected) {
        assert!((value / expected - 1.0).abs() < 1e-4, "{values:?} is not {expected:?}");
    }
}

#[test]
fn distances_and_disparities_become_metres() {
    let of = |rows: &[&[f32]], kind, scale| {
        let map = map(rows, kind, scale).expect("a map");
        map.of_scene(&grey(rows[0].len() as u32, rows.len() as u32), WHOLE)
    };
    let millimetres = of(
        &[&[1000.0, 2500.0], &[4000.0, 80_000.0]],
        DepthKind::Distance,
        Some(0.001),
    );
    close(&millimetres.metres.values, &[1.0, 2.5, 4.0, 80.0]);
    // A stereo rig of 0.54 m and 720 px: metres are 388.8 over the disparity in pixels (KITTI).
    let stereo = of(&[&[38.88, 7.776]], DepthKind::Disparity, Some(388.8));
    close(&stereo.metres.values, &[10.0, 50.0]);
    // The median, 20, becomes 18 m.
    let relative = of(&[&[10.0, 20.0, 40.0]], DepthKind::Distance, None);
    close(&relative.metres.values, &[9.0, MEDIAN_METRES, 36.0]);
}

#[test]
fn infinitely_far_is_the_sky() {
    let scene = grey(4, 1);
    let distance = map(&[&[f32::INFINITY, 5.0, 10.0, 20.0]], DepthKind::Distance, Some(1.0)).expect("a map");
    let depth = distance.of_scene(&scene, WHOLE);
    assert_eq!(depth.sky.values, [1.0, 0.0, 0.0, 0.0]);
    assert!(
        depth.notes.iter().any(|note| note.contains("infinite")),
        "{:?}",
        depth.notes
    );
    let disparity = map(&[&[0.0, 50.0, 100.0, 200.0]], DepthKind::Disparity, None).expect("a map");
    let depth = disparity.of_scene(&scene, WHOLE);
    assert_eq!(depth.sky.values, [1.0, 0.0, 0.0, 0.0]);
    assert!(
        depth
            .metres
            .values
            .iter()
            .all(|metres| metres.is_finite() && *metres > 0.0)
    );
}

#[test]
fn holes_are_filled_from_their_neighbours_and_told() {
    let holey = map(
        &[&[4.0, 0.0, 4.0, 9.0], &[4.0, 4.0, 4.0, 9.0]],
        DepthKind::Distance,
        Some(1.0),
    )
    .expect("a map");
    let depth = holey.of_scene(&grey(4, 2), WHOLE);
    close(&depth.metres.values, &[4.0, 4.0, 4.0, 9.0, 4.0, 4.0, 4.0, 9.0]);
    assert!(depth.notes[0].contains("12.5 %"), "{:?}", depth.notes);
    let error = map(&[&[0.0, 0.0, 0.0, 9.0, 7.0]], DepthKind::Distance, None).expect_err("mostly holes");
    assert!(error.contains("60 %"), "{error}");
}

#[test]
fn numbers_that_say_nothing_are_refused() {
    let refusal = |row: &[f32], kind| map(&[row], kind, None).expect_err("refused");
    assert!(refusal(&[1.0, f32::NAN], DepthKind::Distance).contains("NaN"));
    assert!(refusal(&[1.0, -2.0], DepthKind::Distance).contains("negative"));
    assert!(refusal(&[3.0, 3.0], DepthKind::Distance).contains("3 everywhere"));
    assert!(refusal(&[3.0, 3.0, f32::INFINITY], DepthKind::Distance).contains("everywhere"));
    assert!(refusal(&[0.0, 0.0], DepthKind::Distance).contains("no distance"));
    assert!(refusal(&[1.0, f32::INFINITY], DepthKind::Disparity).contains("infinite"));
}

#[test]
fn a_map_has_the_aspect_of_its_photo() {
    let map = map(
        &[&[1.0_f32; 64] as &[f32], &[2.0; 64]].repeat(24),
        DepthKind::Distance,
        None,
    )
    .expect("a map");
    map.check_covers((4000, 3000)).expect("the same aspect");
    map.check_covers((4000, 2960)).expect("within rounding");
    for other in [(3000, 4000), (4000, 2800)] {
        let error = map.check_covers(other).expect_err("another aspect").to_string();
        assert!(
            error.contains("64x48 px") && error.contains(&format!("{}x{}", other.0, other.1)),
            "{error}"
        );
    }
}

/// The right half of the photo is what the scene shows, and the map is of the whole.
#[test]
fn a_crop_of_the_photo_takes_the_same_crop_of_the_map() {
    let map = map(
        &[&[2.0_f32, 3.0, 7.0, 8.0] as &[f32]; 2],
        DepthKind::Distance,
        Some(1.0),
    )
    .expect("a map");
    let depth = map.of_scene(&grey(2, 2), [0.5, 0.0, 0.5, 1.0]);
    close(&depth.metres.values, &[7.0, 8.0, 7.0, 8.0]);
}

/// A coarse map whose edge lies one and a half of the scene's pixels beside the scene's own: the distances change where the scene
/// does. Plain interpolation would put the middle of the change elsewhere and smear it over the coarse pixel.
#[test]
fn an_edge_of_a_coarse_map_lies_where_the_scene_has_it() {
    let edge = 22;
    let scene = Rgb32FImage::from_fn(64, 64, |x, _| Rgb([if x < edge { 0.2 } else { 0.7 }; 3]));
    let row: Vec<f32> = (0..16).map(|x| if x * 4 + 2 < edge { 5.0 } else { 50.0 }).collect();
    let map = map(&vec![row.as_slice(); 16], DepthKind::Distance, Some(1.0)).expect("a map");
    let depth = map.of_scene(&scene, WHOLE);
    let row = depth.metres.row(32);
    for (x, metres) in row.iter().enumerate() {
        let expected = if (x as u32) < edge { 5.0 } else { 50.0 };
        assert!((metres / expected - 1.0).abs() < 0.15, "{metres} m at {x}");
    }
}
