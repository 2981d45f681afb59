//! Fused against plain, forward and backward, and gradients against finite differences.

use candle_core::{Device, Result, Tensor, Var};

use super::attention::plain_attention;
use super::im2col::plain_neighbourhoods;
use super::linear::plain_linear;
use super::norm::plain_layer_norm;
use super::{add, attention, conv3x3, gated_residual, gelu_tanh, layer_norm, linear, modulated_layer_norm, silu};
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
fn convolution_equals_the_plain_form() {
    let vars = [var(6, &[2, 6, 5, 3]), var(7, &[4, 27]), var(8, &[4])];
    check(
        &vars,
        |v| conv3x3(&v[0], &v[1], &v[2]),
        |v| linear(&plain_neighbourhoods(&v[0])?, &v[1], Some(&v[2])),
    );
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
