use super::*;
use rustfft::num_complex::Complex32;
use std::f32::consts::TAU;

/// Values in `-0.5..0.5` that look random and are the same everywhere.
pub(super) fn texture(width: usize, height: usize) -> Vec<f32> {
    let mut state = 12_345_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 16_777_216.0 - 0.5
    };
    (0..width * height).map(|_| next()).collect()
}

fn spectrum(luma: &[f32], width: usize, height: usize, window: Window) -> Spectrum {
    log_power_spectrum(luma, width, height, window).expect("sizes agree")
}

fn sum(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value)).sum()
}

#[test]
fn powers_add_up_to_the_sum_of_squares() {
    for (width, height) in [(64, 64), (48, 80), (33, 17), (1, 5), (1, 1)] {
        let luma: Vec<f32> = texture(width, height).iter().map(|value| value + 0.4).collect();
        let squares: f64 = luma.iter().map(|value| f64::from(*value).powi(2)).sum();
        let powers = sum(&spectrum(&luma, width, height, Window::None).power);
        assert!(
            (powers / squares - 1.0).abs() < 1e-5,
            "{width}x{height}: {powers} is not {squares}"
        );
    }
}

#[test]
fn the_window_keeps_the_level_of_noise_and_the_mean() {
    let luma: Vec<f32> = texture(128, 96).iter().map(|value| value + 0.4).collect();
    let (plain, windowed) = (
        spectrum(&luma, 128, 96, Window::None),
        spectrum(&luma, 128, 96, Window::Hann),
    );
    let centre = 48 * 128 + 64;
    assert!((windowed.power[centre] / plain.power[centre] - 1.0).abs() < 0.01);
    let level = |spectrum: &Spectrum| sum(&spectrum.power) - f64::from(spectrum.power[centre]);
    assert!((level(&windowed) / level(&plain) - 1.0).abs() < 0.1);
    let flat = spectrum(&vec![0.7; 128 * 96], 128, 96, Window::Hann);
    assert!(
        (sum(&flat.power) / f64::from(flat.power[centre]) - 1.0).abs() < 1e-6,
        "a flat image is its mean alone"
    );
}

#[test]
fn a_sinusoid_lands_in_its_two_bins() {
    let (width, height) = (64, 48);
    let luma: Vec<f32> = (0..width * height)
        .map(|i| (TAU * (5.0 * (i % width) as f32 / width as f32 + 3.0 * (i / width) as f32 / height as f32)).cos())
        .collect();
    let spectrum = spectrum(&luma, width, height, Window::None);
    let expected = luma.len() as f32 / 4.0;
    for (column, row) in [(32 + 5, 24 + 3), (32 - 5, 24 - 3)] {
        assert!((spectrum.power[row * width + column] / expected - 1.0).abs() < 1e-4);
    }
    assert!((sum(&spectrum.power) / f64::from(2.0 * expected) - 1.0).abs() < 1e-4);
    assert_eq!(spectrum.frequency(37, 27), (5.0 / 64.0, 3.0 / 48.0));
}

#[test]
fn a_circular_shift_changes_no_power() {
    let (width, height) = (40, 30);
    let luma = texture(width, height);
    let shifted: Vec<f32> = (0..luma.len())
        .map(|i| luma[(i / width + 7) % height * width + (i % width + 11) % width])
        .collect();
    let (a, b) = (
        spectrum(&luma, width, height, Window::None),
        spectrum(&shifted, width, height, Window::None),
    );
    let largest = a
        .power
        .iter()
        .zip(&b.power)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(largest < 1e-4, "power differs by {largest}");
}

#[test]
fn a_circular_shift_turns_every_phase_by_its_frequency() {
    let (width, height, right, down) = (24, 18, 5, 7);
    let luma = texture(width, height);
    let shifted: Vec<f32> = (0..luma.len())
        .map(|i| {
            let (row, column) = (i / width, i % width);
            luma[(row + height - down) % height * width + (column + width - right) % width]
        })
        .collect();
    let of = |image: &[f32]| HalfPlane::new(image, width, height, Window::None);
    let (before, after) = (of(&luma), of(&shifted));
    for column in 0..=width / 2 {
        for row in 0..height {
            let (across, along) = before.frequency(column, row);
            let turn = Complex32::from_polar(1.0, -TAU * (across * right as f32 + along * down as f32));
            let error = after.coefficient(column, row) - before.coefficient(column, row) * turn;
            assert!(error.norm() < 1e-4, "bin {column}, {row}: off by {}", error.norm());
        }
    }
}

#[test]
fn the_transform_agrees_with_its_definition() {
    let (width, height) = (6, 5);
    let luma = texture(width, height);
    let spectrum = spectrum(&luma, width, height, Window::None);
    for row in 0..height {
        for column in 0..width {
            let (fx, fy) = spectrum.frequency(column, row);
            let phase = |i: usize| TAU * (fx * (i % width) as f32 + fy * (i / width) as f32);
            let re: f32 = luma.iter().enumerate().map(|(i, x)| x * phase(i).cos()).sum();
            let im: f32 = luma.iter().enumerate().map(|(i, x)| x * phase(i).sin()).sum();
            let expected = (re * re + im * im) / luma.len() as f32;
            assert!((spectrum.power[row * width + column] - expected).abs() < 1e-5);
        }
    }
}

#[test]
fn logarithms_are_finite_and_start_at_the_floor() {
    let black = spectrum(&[0.0; 64], 8, 8, Window::Hann);
    assert!(black.log_power.iter().all(|value| (value + 8.0).abs() < 1e-4));
}

#[test]
fn radial_average_of_noise_is_flat_and_of_a_sinusoid_peaks_at_its_radius() {
    let noise = radial_average(&spectrum(&texture(128, 128), 128, 128, Window::None), 16);
    assert_eq!(noise.len(), 16);
    assert!(noise.is_sorted_by_key(|(radius, _)| *radius));
    // Uniform numbers of width 1 have a variance of 1/12.
    assert!(
        noise.iter().skip(2).all(|(_, power)| (power * 12.0 - 1.0).abs() < 0.25),
        "{noise:?}"
    );
    let wave: Vec<f32> = (0..128 * 64).map(|i| (TAU * 0.25 * (i % 128) as f32).sin()).collect();
    let rings = radial_average(&spectrum(&wave, 128, 64, Window::Hann), 32);
    let peak = rings.iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("rings");
    assert!((peak.0 - 0.25).abs() < 0.02, "peak at {}", peak.0);
}

#[test]
fn few_pixels_leave_rings_out_and_wrong_sizes_are_refused() {
    assert!(radial_average(&spectrum(&[1.0], 1, 1, Window::Hann), 8).is_empty());
    assert!(radial_average(&spectrum(&texture(8, 8), 8, 8, Window::None), 64).len() < 64);
    let error = log_power_spectrum(&[0.0; 5], 2, 3, Window::None).expect_err("five is not six");
    assert!(error.is_bad_input() && error.to_string().contains("2x3"), "{error}");
    assert!(log_power_spectrum(&[], 0, 0, Window::None).is_err());
}

#[test]
fn luma_weights_add_up_to_one() {
    let rgb = Rgb32FImage::from_raw(2, 1, vec![1.0, 1.0, 1.0, 0.0, 1.0, 0.0]).expect("two pixels");
    let luma = luma_from_rgb(&rgb);
    assert!((luma[0] - 1.0).abs() < 1e-6 && (luma[1] - 0.587).abs() < 1e-6);
}

#[test]
fn spectra_and_bands_agree_with_numpy() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/goldens/spectrum_numpy/numpy_fft.safetensors"
    );
    let goldens = candle_core::safetensors::load(file, &candle_core::Device::Cpu).expect("the goldens");
    for case in ["even", "odd", "mixed"] {
        let tensor = |name: &str| &goldens[&format!("{case}.{name}")];
        let values = |name: &str| {
            tensor(name)
                .flatten_all()
                .and_then(|t| t.to_vec1::<f32>())
                .expect("values")
        };
        let (height, width) = tensor("image").dims2().expect("an image");
        let image = values("image");
        for (name, window) in [("power", Window::None), ("hann", Window::Hann)] {
            let (ours, numpy) = (spectrum(&image, width, height, window).power, values(name));
            let largest = ours
                .iter()
                .zip(&numpy)
                .map(|(a, b)| (a - b).abs() / (b + 0.01))
                .fold(0.0, f32::max);
            assert!(largest < 1e-3, "{case}.{name}: off by {largest}");
        }
        let ours = bands::Banded::new(&image, width, height).expect("size").energies();
        for (band, (ours, numpy)) in ours.iter().zip(values("bands")).enumerate() {
            assert!(
                (ours - f64::from(numpy)).abs() < 1e-6 + 1e-4 * f64::from(numpy),
                "{case} band {band}: {ours}, {numpy}"
            );
        }
    }
}
