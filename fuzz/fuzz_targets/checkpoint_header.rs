//! Any bytes at all, given to every loader of safetensors files: a typed error or tensors, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mdsd3_model::adapter::Adapter;
use mdsd3_model::io::checkpoint::Weights;
use mdsd3_model::io::layout::Family;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(weights) = Weights::parse(bytes, "fuzz") {
        Family::of_keys(weights.keys());
        weights.tensors().ok();
    }
    Adapter::parse(bytes, "fuzz").ok();
});
