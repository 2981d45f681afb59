#!/bin/sh
# From nothing to the bundled model: fetches the photos (Debian packages), trains the three recipes, installs the result.
#   sh assets/recipes/build_model.sh          resumes where it was stopped; about two and a half hours on two idle cores
# Every seed is fixed in the recipes. Weights differ in their last bits between processors, as matrix products do.
set -eu
cd "$(dirname "$0")/../.."
[ -d target/photos/root ] || sh assets/recipes/get_photos.sh target/photos
# One thread for candle's small element-wise passes: its pool waits by spinning, which costs more than it gives here.
export CANDLE_NUM_THREADS=1
cargo run --release -- train assets/recipes/mini.toml
cargo run --release -- train assets/recipes/mini_refine.toml
cargo run --release -- train assets/recipes/mini_neighbours.toml
mkdir -p assets/models/mini
cp runs/mini-neighbours/config.json runs/mini-neighbours/model.safetensors assets/models/mini/
cp runs/mini/train.csv docs/bundled-model-loss.csv
cp runs/mini-refined/train.csv docs/bundled-model-loss-refined.csv
cp runs/mini-neighbours/train.csv docs/bundled-model-loss-neighbours.csv
ls -l assets/models/mini
