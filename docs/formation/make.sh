#!/bin/sh
# Makes this folder's figures, tables and findings with the program itself (after `cargo build --release`):
#
#   sh docs/formation/make.sh [PHOTO_SIZE] [SEEDS]
#
# Takes about 15 minutes on two idle cores. The tables of every run, step and band stay in target/formation.
set -eu
cd "$(dirname "$0")/../.."
mdsd3=${MDSD3:-target/release/mdsd3}
size=${1:-256}
seeds=${2:-8}
photos=assets/photos
out=docs/formation
work=target/formation
mkdir -p $work

# Formation, and what sampling aids change, on four photos.
$mdsd3 analyze $photos/berlin-cathedral.jpg $photos/great-wall.jpg $photos/maldives-jetty.jpg $photos/woodland-stream.jpg \
    --size "$size" --seeds "$seeds" --compare -o $work/formation >$work/findings.txt

# The grid of alpha and beta, on two.
$mdsd3 analyze $photos/great-wall.jpg $photos/woodland-stream.jpg --size "$size" --seeds 2 --lanes haze,rain --alpha-beta \
    -o $work/alpha-beta >/dev/null

for file in formation.svg formation-between-seeds.svg formation-latents.svg formation-over-step.svg \
    formation-over-log-snr.svg spectra.svg spectra-2d.svg structure.svg samplers.svg summary.csv measures.csv report.html; do
    cp "$work/formation/$file" $out/
done
for file in alpha-beta.csv alpha-beta-haze.svg alpha-beta-rain.svg; do
    cp "$work/alpha-beta/$file" $out/
done

# What the program said, one finding per line, without its last lines about time and files.
{
    printf '# Findings\n\nWritten by `sh docs/formation/make.sh %s %s`; every sentence is computed from the numbers.\n\n' "$size" "$seeds"
    grep -v -e '^analysed ' -e '^wrote ' $work/findings.txt | sed 's/^/- /'
} >$out/findings.md
echo "wrote $out"
