use super::*;

fn weather(metres: &[f32], sky: &[f32]) -> Arc<SceneWeatherView> {
    Arc::new(SceneWeatherView {
        depth: DepthView {
            width: metres.len() as u32,
            height: 1,
            metres: metres.into(),
            sky: sky.into(),
            source: String::new(),
            notes: Vec::new(),
        },
        regions: Vec::new(),
    })
}

#[test]
fn near_is_bright_far_is_dark_and_the_sky_is_neither() {
    let picture = Picture::of_depth(
        &weather(&[2.0, 20.0, 200.0, 5.0], &[0.0, 0.0, 0.1, 1.0]),
        ColorMap::Inferno,
    );
    assert_eq!(picture.scale.in_words(), "from 2 to 200 m");
    let table = ColorMap::Inferno.table();
    let pixel = |at: usize| &picture.image.pixels[at * 4..at * 4 + 4];
    assert_eq!(
        (pixel(0), pixel(2)),
        (&table[255].to_array()[..], &table[0].to_array()[..])
    );
    // 20 m is as many times 2 m as 200 m is 20 m.
    assert_eq!(pixel(1), &ColorMap::Inferno.color(0.5).to_array()[..]);
    assert_eq!(pixel(3), &Picture::SKY[..]);
    assert_eq!(picture.value_at(1, 0).as_deref(), Some("20 m"));
    assert_eq!(picture.value_at(3, 0).as_deref(), Some("sky"));
    let ticks: Vec<String> = picture.scale.ticks().into_iter().map(|(_, text)| text).collect();
    assert_eq!(ticks, ["2", "5", "10", "20", "50", "100", "200"]);
    assert_eq!(
        picture.in_words(),
        "Depth, from 2 to 200 m, logarithmic, sky in its own colour"
    );
}

#[test]
fn layers_are_scaled_by_their_unit() {
    let layer = |unit, channels, values: &[f32]| LayerView {
        name: "layer".to_owned(),
        unit,
        width: values.len() as u32 / u32::from(channels),
        height: 1,
        channels,
        values: values.into(),
    };
    let layers: Arc<[LayerView]> = Arc::from(vec![
        layer("share", 1, &[0.25, 0.75]),
        layer("value", 3, &[-0.5, 0.0, 0.25]),
        layer("value", 3, &[0.0, 0.5, 2.0]),
        layer("", 1, &[3.0, f32::NAN]),
    ]);
    let ends = |index| {
        Picture::of_layer(&layers, index, ColorMap::Viridis)
            .expect("a layer")
            .scale
            .ends
    };
    assert_eq!(
        [ends(0), ends(1), ends(2), ends(3)],
        [[0.0, 1.0], [-0.5, 0.5], [0.0, 1.0], [1.5, 6.0]]
    );
    let pixels = |index| {
        Picture::of_layer(&layers, index, ColorMap::Viridis)
            .expect("a layer")
            .image
            .pixels
    };
    assert_eq!(pixels(1)[..], [0, 128, 191, 255], "nothing is grey");
    assert_eq!(pixels(2)[..], [0, 128, 255, 255], "what is too bright is white");
    assert_eq!(pixels(3)[4..], NO_NUMBER);
    assert!(Picture::of_layer(&layers, 4, ColorMap::Viridis).is_none());
}

#[test]
fn numbers_have_three_digits() {
    let words = [0.0, -0.5, 18.24, 1234.0, 0.01234, 150.0].map(number);
    assert_eq!(words, ["0", "−0.5", "18.2", "1234", "0.0123", "150"]);
}
