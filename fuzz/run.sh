#!/bin/bash
# Fuzzes every parser for so many seconds (60 without a number), beginning with the files that tests/parsers knows as good ones:
#   fuzz/run.sh [SECONDS] [TARGET ...]
# Needs a nightly compiler and `cargo install cargo-fuzz`. What fails is kept under fuzz/artifacts/TARGET.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
targets=${*:-$(sed -n 's/^name = "\([a-z]*\)"$/\1/p' fuzz/Cargo.toml)}
for target in $targets; do
    corpus=fuzz/corpus/$target
    mkdir -p "$corpus"
    # The seeds of a target stand behind its name, as "fixtures/...", "goldens/..." and "../model/...".
    sed -n "/name: \"$target\"/,/}/p" tests/parsers/targets.rs | grep -o '"\(fixtures\|goldens\|\.\./model\)/[^"]*"' | tr -d '"' |
        while read -r seed; do cp "tests/$seed" "$corpus/seed-${seed//\//-}"; done
    cargo +nightly fuzz run "$target" "$corpus" -- -max_total_time="$seconds" -timeout=20
done
