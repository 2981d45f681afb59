"""Does the focal frequency loss help? python tests/bench/focal_ablation.py PHOTOS_DIR OUT_DIR [--seeds 0,1,2] [--steps N] [--photos N] [--binary FILE]

PHOTOS_DIR is what assets/recipes/get_photos.sh filled. Trains assets/recipes/small.toml per seed with its focal frequency loss
and without, everything else alike: the same autoencoder, pairs, batches, noise levels and starting weights. Then samples
rain=1 and haze=1 on held-out photos at 128 px, 20 steps, and compares what was added with what the formulas add. Prints
Markdown: means over seeds with 95 % Student intervals, and those of the paired differences. A finished part isn't computed
again. The result is in docs/focal-ablation.md.
  band error   |log10| of the power of the added light over the physical one's, bands in cycles per pixel
  streak, anisotropy, veil   of measure_mix.py
  formed at    noise level at which a band has half of its final energy, from the steps' predictions
Needs numpy, scipy, pillow and `cargo build --release`.
"""
import argparse, csv, os, pathlib, re, subprocess, sys
import numpy as np
from scipy.stats import t as student

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from measure_mix import LUMA, load, measure

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIDE, STEPS, SHIFT, TRAINING_PHOTOS = 128, 20, 3.0, 24
BANDS = [(0.03125, 0.0625), (0.0625, 0.125), (0.125, 0.25), (0.25, 0.5)]
ARMS = {"without": 0.0, "with": 0.2}

ap = argparse.ArgumentParser()
ap.add_argument("photos_dir"); ap.add_argument("out"); ap.add_argument("--seeds", default="0,1,2")
ap.add_argument("--steps", type=int, default=1200); ap.add_argument("--photos", type=int, default=6)
ap.add_argument("--binary", default=str(ROOT / "target/release/mdsd3"))
args = ap.parse_args()
OUT = pathlib.Path(args.out).resolve(); OUT.mkdir(parents=True, exist_ok=True)
SEEDS = [int(s) for s in args.seeds.split(",")]


def recipe(**values):
    """The small recipe with other values, keyed TABLE__KEY, or KEY at the top."""
    text, table = [], ""
    for line in (ROOT / "assets/recipes/small.toml").read_text().splitlines():
        if header := re.match(r"\[+([\w.]+)", line):
            table = header[1] + "__"
        key = table + line.split(" = ")[0]
        text.append(f"{line.split(' = ')[0]} = {values.pop(key)}" if key in values else line)
    assert not values, values
    return "\n".join(text) + "\n"


def split(name):
    with open(ROOT / "assets/recipes/manifest.tsv") as table:
        rows = csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [row["path"] for row in rows if row["split"] == name and (pathlib.Path(args.photos_dir) / row["path"]).exists()]


def run(*command):
    one_thread = {"CANDLE_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
    done = subprocess.run([args.binary, *map(str, command)], capture_output=True, text=True, env={**os.environ, **one_thread})
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr}")


def model_of(seed, arm):
    folder = OUT / f"{arm}_{seed}"
    if not (folder / "finished").exists():
        manifest = OUT / "manifest.tsv"
        manifest.write_text("split\tpath\n" + "".join(f"train\t{path}\n" for path in split("train")[:TRAINING_PHOTOS]))
        path = OUT / f"{arm}_{seed}.toml"
        path.write_text(recipe(seed=seed, photos=f"'{pathlib.Path(args.photos_dir).resolve()}'", manifest=f"'{manifest}'",
                               output=f"'{folder}'", transformer__focal_weight=ARMS[arm], stage__steps=args.steps))
        run("train", path)
        (folder / "finished").touch()
    return folder


def rendered(model, seed, photo, mix):
    folder = model / f"{photo.stem}_{mix.replace('=', '') or 'none'}"
    if not (folder / "out.png").exists():
        run("render", photo, "--model", model, "--mix", mix, "--size", SIDE, "--steps", STEPS, "--seed", seed,
            "-o", model / "result.png", "--steps-dir", folder)
        (model / "result.png").rename(folder / "out.png")
    return load(folder / "out.png"), [load(folder / f"step-{i:02}-x0_hat.png") for i in range(STEPS)]


def physical(photo, mix):
    path = OUT / f"{photo.stem}_{mix.replace('=', '') or 'none'}.png"
    if not path.exists():
        run("degrade", photo, "--mix", mix, "--seed", 0, "--size", SIDE, "-o", path)
    return load(path)


RADIUS = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), indexing="ij"))


def bands(added):
    power = np.abs(np.fft.fft2(added @ LUMA)) ** 2
    return np.array([power[(RADIUS >= low) & (RADIUS < high)].mean() for low, high in BANDS])


def sigmas():
    shifted = lambda s: SHIFT * s / (1 + (SHIFT - 1) * s)
    return [shifted(s) for s in np.linspace(1, shifted(1e-3), STEPS)]


def formed_at(energies):
    """Noise level at which an energy first reaches half of its last value, interpolated."""
    share = np.asarray(energies) / max(energies[-1], 1e-12)
    after = int(np.argmax(share >= 0.5)); levels = sigmas()
    if after == 0:
        return levels[0]
    part = (0.5 - share[after - 1]) / max(share[after] - share[after - 1], 1e-12)
    return levels[after - 1] + part * (levels[after] - levels[after - 1])


def figures(seed, arm, photos):
    model = model_of(seed, arm)
    rows = []
    for photo in photos:
        (none, none_steps), (rain, rain_steps), (haze, _) = (rendered(model, seed, photo, mix) for mix in ("", "rain=1", "haze=1"))
        scene, wet, hazy = (physical(photo, mix) for mix in ("", "rain=1", "haze=1"))
        made, wanted = bands(rain - none), bands(wet - scene)
        over_steps = np.array([bands(r - n) for r, n in zip(rain_steps, none_steps)])
        of_mix, of_reference = measure(none, rain), measure(scene, wet)
        row = {f"band error {low:.3f} to {high:.3f}": abs(np.log10(m / w)) for (low, high), m, w in zip(BANDS, made, wanted)}
        row["power over the physical, 0.250 to 0.500"] = made[3] / wanted[3]
        row["streak over the physical"] = of_mix["streak"] / of_reference["streak"]
        row["anisotropy minus the physical"] = of_mix["anisotropy"] - of_reference["anisotropy"]
        row["veil of haze minus the physical"] = measure(none, haze)["veil"] - measure(scene, hazy)["veil"]
        row |= {f"formed at, {low:.3f} to {high:.3f}": formed_at(over_steps[:, i]) for i, (low, high) in enumerate(BANDS)}
        rows.append(row)
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def interval(values):
    values = np.asarray(values); mean = values.mean()
    if len(values) < 2:
        return f"{mean:.3f}"
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{mean:.3f} ± {half:.3f}"


photos = [pathlib.Path(args.photos_dir).resolve() / path for path in split("heldout")][: args.photos]
results = {(seed, arm): figures(seed, arm, photos) for seed in SEEDS for arm in ARMS}
print(f"{len(SEEDS)} seeds, {len(photos)} photos, {args.steps} steps of 16 windows of 64 px\n")
others = [arm for arm in ARMS if arm != "without"]
heads = ["figure", "without", *(f"weight {ARMS[arm]}" for arm in others), *(f"weight {ARMS[arm]} minus without" for arm in others)]
print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
for name in next(iter(results.values())):
    column = {arm: np.array([results[seed, arm][name] for seed in SEEDS]) for arm in ARMS}
    cells = [interval(column[arm]) for arm in ARMS] + [interval(column[arm] - column["without"]) for arm in others]
    print(f"| {name} | " + " | ".join(cells) + " |")
