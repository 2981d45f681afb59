//! `cargo bench -p mdsd3-model`: every fused operation at sizes of Stable Diffusion 3 medium at 512 px and of its decoder, in
//! f32 and bf16.
#![allow(missing_docs)] // criterion's macros make public functions

use candle_core::{DType, Device, Tensor};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mdsd3_model::kernels::{
    Sampling, add, attention, conv3x3, gated_residual, gelu_tanh, group_norm, layer_norm, linear, modulated_layer_norm,
    rms_norm, silu,
};
use mdsd3_model::sampler::noise::gaussian;

/// Image and context tokens of 64x64 latents.
const TOKENS: usize = 1024 + 154;
const WIDTH: usize = 1536;
const HEADS: usize = 24;

type Operation = fn(&[Tensor]) -> candle_core::Result<Tensor>;

fn random(lane: u64, shape: &[usize], dtype: DType) -> Tensor {
    let values = gaussian(0, 0, lane, shape.iter().product());
    let tensor = Tensor::from_vec(values, shape, &Device::Cpu).expect("as many values as the shape has");
    tensor.to_dtype(dtype).expect("a conversion")
}

/// Measures an operation on random arguments of the given shapes.
fn measure(criterion: &mut Criterion, name: &str, dtypes: &[DType], shapes: &[&[usize]], f: Operation) {
    let mut group = criterion.benchmark_group(name);
    for &dtype in dtypes {
        let lanes = 0..shapes.len() as u64;
        let arguments: Vec<Tensor> = lanes
            .zip(shapes)
            .map(|(lane, shape)| random(lane, shape, dtype))
            .collect();
        group.bench_function(BenchmarkId::from_parameter(dtype.as_str()), |b| {
            b.iter(|| f(&arguments).expect("shapes that fit"));
        });
    }
    group.finish();
}

const BOTH: [DType; 2] = [DType::F32, DType::BF16];

fn transformer(criterion: &mut Criterion) {
    let tokens: &[usize] = &[1, TOKENS, WIDTH];
    let vector: &[usize] = &[1, WIDTH];
    measure(
        criterion,
        "linear",
        &BOTH,
        &[tokens, &[4 * WIDTH, WIDTH], &[4 * WIDTH]],
        |t| linear(&t[0], &t[1], Some(&t[2])),
    );
    measure(criterion, "attention", &BOTH, &[tokens; 3], |t| {
        attention(&t[0], &t[1], &t[2], HEADS)
    });
    measure(criterion, "layer norm", &BOTH, &[tokens], |t| layer_norm(&t[0]));
    measure(
        criterion,
        "modulated layer norm",
        &BOTH,
        &[tokens, vector, vector],
        |t| modulated_layer_norm(&t[0], &t[1], &t[2]),
    );
    measure(criterion, "rms norm", &BOTH, &[&[1, TOKENS, HEADS, 64], &[64]], |t| {
        rms_norm(&t[0], &t[1])
    });
    measure(criterion, "gated residual", &BOTH, &[tokens, vector, tokens], |t| {
        gated_residual(&t[0], &t[1], &t[2])
    });
    measure(criterion, "sum", &BOTH, &[tokens, tokens], |t| add(&t[0], &t[1]));
    measure(criterion, "gelu", &BOTH, &[&[1, TOKENS, 4 * WIDTH]], |t| {
        gelu_tanh(&t[0])
    });
}

fn autoencoder(criterion: &mut Criterion) {
    let image: &[usize] = &[1, 128, 128, 256];
    let weight: &[usize] = &[256, 9 * 256];
    measure(criterion, "convolution", &BOTH, &[image, weight, &[256]], |t| {
        conv3x3(&t[0], &t[1], &t[2], Sampling::Same)
    });
    measure(
        criterion,
        "enlarging convolution",
        &[DType::F32],
        &[&[1, 64, 64, 256], weight, &[256]],
        |t| conv3x3(&t[0], &t[1], &t[2], Sampling::Double),
    );
    measure(
        criterion,
        "group norm and SiLU",
        &[DType::F32],
        &[image, &[256], &[256]],
        |t| group_norm(&t[0], &t[1], &t[2], 32, true),
    );
    measure(criterion, "silu", &BOTH, &[image], |t| silu(&t[0]));
}

criterion_group! {
    name = kernels;
    config = Criterion::default().sample_size(10);
    targets = transformer, autoencoder
}
criterion_main!(kernels);
