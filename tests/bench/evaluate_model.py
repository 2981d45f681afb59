"""Measures a model on the held-out photos: python tests/bench/evaluate_model.py PHOTOS_DIR OUT_DIR [--model DIR] [--photos N] [--seeds 0,1]

PHOTOS_DIR is what assets/recipes/get_photos.sh filled. Runs the release binary at 256 px, 20 steps, guidance 1, and prints the
means of measure_mix.py per mix as a Markdown table: psnr of no class against the scene as the model saw it, everything else
against the model's own no-class result of the same seed, so that the autoencoder's blur does not count. Every image stays in OUT_DIR,
with one contact sheet per photo. Needs numpy, scipy, pillow and `cargo build --release`.
"""
import argparse, csv, pathlib, subprocess, sys
import numpy as np
from PIL import Image
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from measure_mix import load, measure

ROOT = pathlib.Path(__file__).resolve().parents[2]
MIXES = ["haze=0.25", "haze=0.5", "haze=0.75", "haze=1", "rain=0.5", "rain=1", "snow=0.5", "snow=1", "noise=0.5", "noise=1", "haze=1,rain=1"]
ap = argparse.ArgumentParser(); ap.add_argument("photos"); ap.add_argument("out"); ap.add_argument("--model")
ap.add_argument("--photos", dest="count", type=int, default=99); ap.add_argument("--seeds", default="0"); ap.add_argument("--mixes", default=";".join(MIXES))
args = ap.parse_args()
out = pathlib.Path(args.out); out.mkdir(parents=True, exist_ok=True)
binary = ROOT / "target/release/mdsd3"
model = ["--model", args.model] if args.model else []
mixes = args.mixes.split(";")


def run(*command):
    subprocess.run([str(binary), *map(str, command)], check=True, capture_output=True)


def render(photo, mix, seed, path):
    if not path.exists():
        run("render", photo, "--mix", mix, "--seed", seed, "-o", path, *model)
    return load(path)


def physical(photo, mix, seed, path):
    if not path.exists():
        run("degrade", photo, "--mix", mix, "--seed", seed, "--size", 256, "-o", path)
    return load(path)


rows = {}
note = lambda key, m: rows.setdefault(key, []).append(m)
manifest = csv.DictReader(open(ROOT / "assets/recipes/manifest.tsv"), delimiter="\t", quoting=csv.QUOTE_NONE)
photos = [pathlib.Path(args.photos) / r["path"] for r in manifest if r["split"] == "heldout"][: args.count]
for photo in photos:
    name = lambda what, seed: out / f"{photo.stem}_{what.replace('=', '').replace(',', '_').replace('.', '')}_{seed}.png"
    sheet = []
    for seed in map(int, args.seeds.split(",")):
        scene = physical(photo, "rain=0", seed, name("scene", seed))
        clean = render(photo, "rain=0", seed, name("none", seed))
        note(("none", "model"), measure(scene, clean))
        for mix in mixes:
            real, made = physical(photo, mix, seed, name("physical_" + mix, seed)), render(photo, mix, seed, name(mix, seed))
            note((mix, "physical"), measure(scene, real)); note((mix, "model"), measure(clean, made))
            sheet.append(np.concatenate([real, made], 0))
        for mix in ("rain=1", "noise=1"):
            if mix in mixes:  # what the autoencoder lets through: a degraded photo as the scene, no class on
                passed = render(name("physical_" + mix, seed), "rain=0", seed, name("passed_" + mix, seed))
                note(("autoencoder of " + mix, "model"), measure(clean, passed))
    Image.fromarray((np.concatenate(sheet, 1) * 255).astype(np.uint8)).save(out / f"sheet_{photo.stem}.png")
print(f"{len(photos)} photos, seeds {args.seeds}\n\n| mix | made by | veil | streak | anisotropy | psnr dB |\n|---|---|---|---|---|---|")
for (mix, by), values in rows.items():
    m = {k: np.mean([v[k] for v in values]) for k in values[0]}
    print(f"| {mix} | {by} | {m['veil']:.3f} | {m['streak']:.2f} | {m['anisotropy']:.2f} | {m['psnr']:.1f} |")
