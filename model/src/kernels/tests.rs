//! Fused against plain, forward and backward, and gradients against finite differences.

use candle_core::{DType, Device, Result, Tensor, Var};

use super::attention::{attention_in_pieces, plain_attention};
use super::convolution::plain_conv3x3;
use super::linear::plain_linear;
use super::norm::{plain_layer_norm, plain_rms_norm};
use super::{
    Sampling, add, attention, conv3x3, gated_residual, gelu_erf, gelu_tanh, layer_norm, linear, modulated_layer_norm,
    rms_norm, silu,
};
use crate::sampler::noise::gaussian;

/// Largest difference of fused and plain results relative to the largest magnitude.
const TOLERANCE: f32 = 1e-5;

fn var(seed: u64, shape: &[usize]) -> Var {
    let values = gaussian(seed, 0, 0, shape.iter().product());
    Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap()
}

fn distance(a: &Tensor, b: &Tensor) -> f32 {
    let scale = b
        .abs()
        .unwrap()
        .flatten_all()
        .unwrap()
        .max(0)
        .unwrap()
        .to_scalar::<f32>()
        .unwrap();
    (a - b)
        .unwrap()
        .abs()
        .unwrap()
        .flatten_all()
        .unwrap()
        .max(0)
        .unwrap()
        .to_scalar::<f32>()
        .unwrap()
        / scale.max(1e-6)
}

/// Compares values and the gradients of a random projection of them.
fn check(vars: &[Var], fused: impl Fn(&[Var]) -> Result<Tensor>, plain: impl Fn(&[Var]) -> Result<Tensor>) {
    let (a, b) = (fused(vars).unwrap(), plain(vars).unwrap());
    assert!(distance(&a, &b) < TOLERANCE, "values differ by {}", distance(&a, &b));
    let probe = var(99, a.dims());
    let project = |y: &Tensor| (y * probe.as_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
    let (ga, gb) = (project(&a), project(&b));
    for (i, v) in vars.iter().enumerate() {
        let d = distance(ga.get(v).unwrap(), gb.get(v).unwrap());
        assert!(d < 5.0 * TOLERANCE, "gradients of argument {i} differ by {d}");
    }
}

#[test]
fn attention_equals_the_plain_form_also_across_tiles() {
    for (queries, keys, heads, d) in [(5, 7, 3, 4), (130, 150, 2, 16)] {
        let vars = [
            var(1, &[2, queries, heads * d]),
            var(2, &[2, keys, heads * d]),
            var(3, &[2, keys, heads * d]),
        ];
        check(
            &vars,
            |v| attention(&v[0], &v[1], &v[2], heads),
            |v| plain_attention(&v[0], &v[1], &v[2], heads),
        );
    }
}

#[test]
fn norms_and_gates_equal_the_plain_forms() {
    let vars = [var(1, &[2, 9, 37]), var(2, &[2, 37]), var(3, &[2, 37])];
    check(&vars[..1], |v| layer_norm(&v[0]), |v| plain_layer_norm(&v[0]));
    check(
        &vars,
        |v| modulated_layer_norm(&v[0], &v[1], &v[2]),
        |v| {
            plain_layer_norm(&v[0])?
                .broadcast_mul(&(v[1].unsqueeze(1)? + 1.0)?)?
                .broadcast_add(&v[2].unsqueeze(1)?)
        },
    );
    let vars = [var(1, &[2, 9, 37]), var(2, &[2, 37]), var(4, &[2, 9, 37])];
    check(
        &vars,
        |v| gated_residual(&v[0], &v[1], &v[2]),
        |v| v[0].as_tensor() + v[2].broadcast_mul(&v[1].unsqueeze(1)?)?,
    );
}

#[test]
fn activations_equal_the_plain_forms() {
    let x = [var(5, &[3, 1000])];
    let wide = [Var::from_tensor(&(x[0].as_tensor() * 4.0).unwrap()).unwrap()];
    check(&wide, |v| silu(&v[0]), |v| v[0].silu());
    check(&wide, |v| gelu_erf(&v[0]), |v| v[0].gelu_erf());
    // candle's own tanh-GELU has no exact backward to compare with; spell the formula out.
    check(
        &wide,
        |v| gelu_tanh(&v[0]),
        |v| {
            let inner = ((v[0].as_tensor() + (v[0].powf(3.0)? * 0.044_715)?)? * (2.0 / std::f64::consts::PI).sqrt())?;
            (v[0].as_tensor() * 0.5)? * (inner.tanh()? + 1.0)?
        },
    );
}

#[test]
fn sums_equal_the_plain_form_also_over_the_batch() {
    let vars = [var(1, &[3, 5, 7]), var(2, &[3, 5, 7]), var(3, &[1, 5, 7])];
    check(
        &vars[..2],
        |v| add(&v[0], &v[1]),
        |v| v[0].as_tensor() + v[1].as_tensor(),
    );
    check(
        &[vars[0].clone(), vars[2].clone()],
        |v| add(&v[0], &v[1]),
        |v| v[0].broadcast_add(&v[1]),
    );
}

#[test]
fn linear_layers_equal_the_plain_form() {
    let vars = [var(1, &[150, 7]), var(2, &[5, 7]), var(3, &[5])];
    check(
        &vars,
        |v| linear(&v[0], &v[1], Some(&v[2])),
        |v| plain_linear(&v[0], &v[1], Some(&v[2])),
    );
}

#[test]
fn convolutions_equal_the_plain_form() {
    let vars = [var(6, &[2, 6, 8, 3]), var(7, &[4, 27]), var(8, &[4])];
    for sampling in [
        Sampling::Same,
        Sampling::Halve { before: 0 },
        Sampling::Halve { before: 1 },
        Sampling::Double,
    ] {
        check(
            &vars,
            |v| conv3x3(&v[0], &v[1], &v[2], sampling),
            |v| plain_conv3x3(&v[0], &v[1], &v[2], sampling),
        );
    }
}

#[test]
fn strips_of_the_plain_convolution_make_the_same_image() {
    // 9 * 2048 * 128 values a row: strips of eight rows.
    let (x, weight, bias) = (var(1, &[1, 19, 2048, 128]), var(2, &[2, 9 * 128]), var(3, &[2]));
    let fused = conv3x3(&x, &weight, &bias, Sampling::Same).unwrap();
    let plain = plain_conv3x3(&x, &weight, &bias, Sampling::Same).unwrap();
    assert!(distance(&fused, &plain) < TOLERANCE, "{}", distance(&fused, &plain));
}

#[test]
fn products_of_every_size_equal_the_plain_form() {
    // Around the sides of tiles, panels, blocks and groups; through convolutions, as linear layers in f32 use another product.
    for (height, width, inputs, outputs) in [
        (1, 1, 1, 1),
        (3, 4, 43, 32),
        (13, 1, 86, 33),
        (5, 5, 2, 300),
        (60, 60, 4, 5),
    ] {
        let (x, bias) = (var(1, &[1, height, width, inputs]), var(3, &[outputs]));
        let weight = var(2, &[outputs, 9 * inputs]);
        let fused = conv3x3(&x, &weight, &bias, Sampling::Same).unwrap();
        let plain = plain_conv3x3(&x, &weight, &bias, Sampling::Same).unwrap();
        assert!(
            distance(&fused, &plain) < TOLERANCE,
            "{height}x{width}, {inputs} to {outputs}"
        );
    }
}

#[test]
fn rms_norm_equals_the_plain_form() {
    let vars = [var(1, &[2, 9, 37]), var(2, &[37])];
    check(&vars, |v| rms_norm(&v[0], &v[1]), |v| plain_rms_norm(&v[0], &v[1]));
}

#[test]
fn one_modulation_serves_a_whole_batch() {
    let (x, y, one) = (var(1, &[3, 4, 10]), var(2, &[3, 4, 10]), var(3, &[1, 10]));
    let each = Var::from_tensor(&one.broadcast_as((3, 10)).unwrap().contiguous().unwrap()).unwrap();
    check(
        &[x.clone(), one.clone()],
        |v| modulated_layer_norm(&v[0], &v[1], &v[1]),
        |v| modulated_layer_norm(&v[0], &v[1].broadcast_as((3, 10))?, &v[1].broadcast_as((3, 10))?),
    );
    let (shared, separate) = (
        gated_residual(&x, &one, &y).unwrap(),
        gated_residual(&x, &each, &y).unwrap(),
    );
    assert!(distance(&shared, &separate) < TOLERANCE);
}

/// Runs an operation in bf16 and, on the same rounded values, in f32.
fn check_half(shapes: &[&[usize]], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let half: Vec<Tensor> = shapes
        .iter()
        .enumerate()
        .map(|(i, shape)| var(i as u64, shape).to_dtype(DType::BF16).unwrap())
        .collect();
    let wide: Vec<Tensor> = half.iter().map(|t| t.to_dtype(DType::F32).unwrap()).collect();
    let ours = f(&half).unwrap();
    assert_eq!(ours.dtype(), DType::BF16);
    let off = distance(&ours.to_dtype(DType::F32).unwrap(), &f(&wide).unwrap());
    // A bf16 has 8 bits.
    assert!(off < 1.0 / 128.0, "off by {off} for {shapes:?}");
}

#[test]
fn half_precision_is_rounded_once_at_the_end() {
    check_half(&[&[150, 70], &[33, 70], &[33]], |t| linear(&t[0], &t[1], Some(&t[2])));
    check_half(&[&[30, 1000], &[33, 1000]], |t| linear(&t[0], &t[1], None));
    check_half(&[&[2, 1000], &[33, 1000], &[33]], |t| linear(&t[0], &t[1], Some(&t[2])));
    check_half(&[&[2, 6, 8, 4], &[5, 36], &[5]], |t| {
        conv3x3(&t[0], &t[1], &t[2], Sampling::Same)
    });
    for keys in [7, 500, 801] {
        check_half(&[&[2, 50, 40], &[2, keys, 40], &[2, keys, 40]], |t| {
            attention(&t[0], &t[1], &t[2], 2)
        });
    }
    check_half(&[&[3, 5, 40], &[3, 40], &[3, 40]], |t| {
        modulated_layer_norm(&t[0], &t[1], &t[2])
    });
    check_half(&[&[3, 5, 40], &[3, 40], &[3, 5, 40]], |t| {
        gated_residual(&t[0], &t[1], &t[2])
    });
    check_half(&[&[3, 5, 40], &[40]], |t| rms_norm(&t[0], &t[1]));
    check_half(&[&[3, 5, 40], &[1, 5, 40]], |t| add(&t[0], &t[1]));
    check_half(&[&[3, 5, 40]], |t| layer_norm(&t[0]));
    check_half(&[&[3000]], |t| gelu_tanh(&t[0]));
    check_half(&[&[3000]], |t| gelu_erf(&t[0]));
    check_half(&[&[3000]], |t| silu(&t[0]));
}

#[test]
fn attention_of_wide_heads_and_many_keys_equals_the_plain_form() {
    // A head of more than a block of words, and keys over several blocks, as in the KL autoencoder.
    let (q, k, v) = (var(1, &[1, 30, 400]), var(2, &[1, 900, 400]), var(3, &[1, 900, 400]));
    let (fused, plain) = (
        attention(&q, &k, &v, 1).unwrap(),
        plain_attention(&q, &k, &v, 1).unwrap(),
    );
    assert!(distance(&fused, &plain) < TOLERANCE, "{}", distance(&fused, &plain));
}

#[test]
fn plain_attention_is_the_same_in_pieces() {
    let (q, k, v) = (var(1, &[2, 7, 12]), var(2, &[2, 5, 12]), var(3, &[2, 5, 12]));
    let whole = plain_attention(&q, &k, &v, 3).unwrap();
    // 30 scores a query: three queries at a time, then one.
    for most in [100, 1] {
        let pieces = attention_in_pieces(&q, &k, &v, 3, most).unwrap();
        assert!(distance(&pieces, &whole) < TOLERANCE);
    }
}

#[test]
fn attention_gradient_agrees_with_finite_differences() {
    let vars = [var(1, &[1, 4, 6]), var(2, &[1, 5, 6]), var(3, &[1, 5, 6])];
    let value = |vars: &[Var]| {
        let y = attention(&vars[0], &vars[1], &vars[2], 2).unwrap();
        y.sqr().unwrap().sum_all().unwrap()
    };
    let grads = value(&vars).backward().unwrap();
    for v in &vars {
        let direction = var(11, v.dims());
        let analytic = (grads.get(v).unwrap() * direction.as_tensor())
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        let start = v.as_tensor().copy().unwrap();
        let step = 1e-2;
        let at = |s: f64| {
            v.set(&(&start + (direction.as_tensor() * s).unwrap()).unwrap())
                .unwrap();
            value(&vars).to_scalar::<f32>().unwrap()
        };
        let numeric = (at(step) - at(-step)) / (2.0 * step as f32);
        at(0.0);
        assert!(
            (analytic - numeric).abs() < 2e-3 * analytic.abs().max(1.0),
            "{analytic} against {numeric}"
        );
    }
}
