//! The 2-D log power spectrum on one core: `cargo bench --workspace --bench spectrum`.
//!
//! Target: under 30 ms for 1024 x 1024.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mdsd3_model::sampler::noise::gaussian;
use mdsd3_model::spectrum::bands::Banded;
use mdsd3_model::spectrum::{Window, log_power_spectrum};

fn one_core() -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("a pool of one thread")
}

fn spectra(criterion: &mut Criterion) {
    let pool = one_core();
    let mut group = criterion.benchmark_group("one core");
    group.sample_size(20);
    for side in [256, 512, 1024] {
        let luma = gaussian(0, 0, 0, side * side);
        group.bench_function(BenchmarkId::new("log power spectrum", side), |bencher| {
            pool.install(|| bencher.iter(|| log_power_spectrum(black_box(&luma), side, side, Window::Hann)));
        });
        group.bench_function(BenchmarkId::new("band energies", side), |bencher| {
            pool.install(|| {
                bencher.iter(|| Banded::new(black_box(&luma), side, side).map(|banded| banded.energies()));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, spectra);
criterion_main!(benches);
