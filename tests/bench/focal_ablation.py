"""Does the focal frequency loss help? python tests/bench/focal_ablation.py PHOTOS_DIR OUT_DIR [--seeds 0,1,2] [--steps N] [--photos N] [--binary FILE]

PHOTOS_DIR is what assets/recipes/get_photos.sh filled. Trains a small model (2 blocks of width 64, rain and haze) per seed with
and without the focal frequency loss, everything else alike: the same pairs, batches, noise levels and starting weights. Then
samples rain=1 on held-out photos at 128 px, 20 steps, and compares what it added with what the formulas add. Prints Markdown:
means over seeds with 95 % Student intervals, and those of the paired differences. A finished part isn't computed again.
  band error   |log10| of the power of the added light over the physical one's, bands in cycles per pixel
  streak, anisotropy   of measure_mix.py
  formed at    noise level at which half of the final energy of a band is there, from the steps' predictions
Needs numpy, scipy, pillow and `cargo build --release`.
"""
import argparse, csv, os, pathlib, subprocess, sys
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
ap.add_argument("--steps", type=int, default=600); ap.add_argument("--photos", type=int, default=6)
ap.add_argument("--binary", default=str(ROOT / "target/release/mdsd3"))
args = ap.parse_args()
OUT = pathlib.Path(args.out).resolve(); OUT.mkdir(parents=True, exist_ok=True)
SEEDS = [int(s) for s in args.seeds.split(",")]

RECIPE = """
seed = {seed}
photos = '{photos}'
manifest = '{manifest}'
split = "train"
output = '{output}'
[autoencoder]
steps = 60
batch = 4
side = 64
learning_rate = 5e-4
focal_weight = 1.0
whitening = 0.5
[pairs]
count = 400
side = 128
clean_share = 0.05
mixed_share = 0.25
class_weights = [0.6, 0.4]
least_severity = 0.1
[transformer]
sigma_mean = -0.8
sigma_deviation = 1.2
high_sigma_share = 0.1
focal_weight = {weight}
weight_decay = 0.01
clip = 1.0
ema = 0.995
save_every = 300
[[stage]]
steps = {steps}
batch = 16
side = 64
learning_rate = 2e-3
final_learning_rate = 2e-4
warm_up = 30
[model]
name = "ablation"
prediction = "scene_residual"
shift = 3.0
context_tokens = 4
[model.transformer]
sample_size = 64
patch_size = 2
in_channels = 24
out_channels = 24
num_layers = 2
num_attention_heads = 4
attention_head_dim = 16
joint_attention_dim = 32
caption_projection_dim = 64
pooled_projection_dim = 16
pos_embed_max_size = 32
classes = ["rain", "haze"]
[model.autoencoder]
factor = 4
latent_channels = 24
hidden_channels = 16
blocks = 1
"""


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
        recipe = OUT / f"{arm}_{seed}.toml"
        recipe.write_text(RECIPE.format(seed=seed, photos=pathlib.Path(args.photos_dir).resolve(), manifest=manifest,
                                        output=folder, weight=ARMS[arm], steps=args.steps))
        run("train", recipe)
        (folder / "finished").touch()
    return folder


def rendered(model, photo, mix):
    folder = model / f"{photo.stem}_{mix.replace('=', '') or 'none'}"
    if not (folder / "out.png").exists():
        run("render", photo, "--model", model, "--mix", mix, "--size", SIDE, "--steps", STEPS, "-o", model / "result.png", "--steps-dir", folder)
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
        (none, none_steps), (rain, rain_steps) = rendered(model, photo, ""), rendered(model, photo, "rain=1")
        scene, reference = physical(photo, ""), physical(photo, "rain=1")
        made, wanted = bands(rain - none), bands(reference - scene)
        over_steps = np.array([bands(r - n) for r, n in zip(rain_steps, none_steps)])
        of_mix, of_reference = measure(none, rain), measure(scene, reference)
        row = {f"band error {low:.3f} to {high:.3f}": abs(np.log10(m / w)) for (low, high), m, w in zip(BANDS, made, wanted)}
        row["streak over the physical"] = of_mix["streak"] / of_reference["streak"]
        row["anisotropy"] = of_mix["anisotropy"]
        row["formed at, 0.031 to 0.062"] = formed_at(over_steps[:, 0])
        row["formed at, 0.250 to 0.500"] = formed_at(over_steps[:, 3])
        rows.append(row)
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def interval(values):
    values = np.asarray(values); mean = values.mean()
    if len(values) < 2:
        return f"{mean:.3f}"
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{mean:.3f} ± {half:.3f}"


photos = [p for p in (pathlib.Path(args.photos_dir).resolve() / path for path in split("heldout")) if p.exists()][: args.photos]
results = {(seed, arm): figures(seed, arm, photos) for seed in SEEDS for arm in ARMS}
print(f"{len(SEEDS)} seeds, {len(photos)} photos, {args.steps} steps of 16 windows of 64 px\n")
print("| figure | without | with | with minus without |\n|---|---|---|---|")
for name in next(iter(results.values())):
    column = {arm: np.array([results[seed, arm][name] for seed in SEEDS]) for arm in ARMS}
    print(f"| {name} | {interval(column['without'])} | {interval(column['with'])} | {interval(column['with'] - column['without'])} |")
