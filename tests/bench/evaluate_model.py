"""Measures a model on the held-out photos: python tests/bench/evaluate_model.py PHOTOS_DIR OUT_DIR [--model DIR] [--photos N] [--seeds 0,1,2,3] [--beyond]

PHOTOS_DIR is what assets/recipes/get_photos.sh filled. Runs the release binary at 256 px, 20 steps, guidance 1, and prints, as
Markdown, the means of measure_mix.py per mix, the distances to the physical degradations, and every target with its figure.
"Edges" is what a mix adds across the edges of 8 px tokens, or of those that a moved grid has, beside what it adds elsewhere: mean step
over mean step, about 1 without blocks.
"Reach" is how far streaks go on: the rows over which what a mix brightens stays correlated with itself, to one half, along its best lean.
"Fringe" is colour that isn't the scene's, faded or not: the 99.9th percentile over pixels, of 255. Noise and haze have some by nature,
so look at it beside the physical row.
--beyond adds ratios above 1, 512 px, 3:2 and portrait frames, which the targets' figures don't cover, on as many photos.
"No class" is measured against the scene as the model saw it, everything else against the model's own no-class result of the same
seed, so that the autoencoder's blur does not count. Images stay in OUT_DIR (a second run reuses them), with a contact sheet.
Needs numpy, scipy, pillow and `cargo build --release`.
"""
import argparse, csv, itertools, json, os, pathlib, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from PIL import Image, ImageDraw
from scipy.stats import wasserstein_distance

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from measure_mix import LUMA, load, measure

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "target/release/mdsd3"
HAZE = ["haze=0.25", "haze=0.5", "haze=0.75", "haze=1"]
FINE = ["rain", "snow", "noise"]
MIXES = HAZE + [f"{c}={r}" for c in FINE for r in (0.25, 0.5, 0.75, 1)] + ["haze=1,rain=1"]
DIVERSITY_SEEDS = range(8)

ap = argparse.ArgumentParser()
ap.add_argument("photos"); ap.add_argument("out"); ap.add_argument("--model")
ap.add_argument("--photos", dest="count", type=int, default=99); ap.add_argument("--seeds", default="0,1,2,3")
ap.add_argument("--calibration", help="write what a ratio amounts to, for the studio (assets/models/mini/calibration.json)")
ap.add_argument("--beyond", action="store_true")
args = ap.parse_args()
OUT = pathlib.Path(args.out); OUT.mkdir(parents=True, exist_ok=True)
SEEDS = [int(s) for s in args.seeds.split(",")]


def run(*command):
    # One thread each, as many at once as there are cores: nothing waits for another's threads.
    done = subprocess.run([str(BINARY), *map(str, command)], capture_output=True, text=True, env={**os.environ, "CANDLE_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"})
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr}")


def file_of(photo, what, seed):
    return OUT / f"{photo.stem}_{what.replace('=', '').replace(',', '_').replace('.', '')}_{seed}.png"


def make_render(photo, mix, seed, stem=None, frame=(256, "square")):
    path = file_of(stem or photo, f"{'passed_' if stem else ''}{mix}_{frame[0]}_{frame[1]}", seed)
    if not path.exists():
        run("render", photo, "--mix", mix, "--seed", seed, "--size", frame[0], "--fit", frame[1], "-o", path, *(["--model", args.model] if args.model else []))
    return path


def make_physical(photo, mix, seed, frame=(256, "square")):
    path = file_of(photo, f"physical_{mix}_{frame[0]}_{frame[1]}", seed)
    if not path.exists():
        # Without a size a photo is degraded as it is, and what isn't square was cut to its frame before.
        run("degrade", photo, "--mix", mix, "--seed", seed, *(["--size", frame[0]] if frame[1] == "square" else []), "-o", path)
    return path


render = lambda *of, **more: load(make_render(*of, **more))
physical = lambda *of, **more: load(make_physical(*of, **more))


def edges(residual):
    """Mean step of a residual's luma across the edges of 8 px tokens over the mean step elsewhere; of the grid's two placements, half a
    token apart, the one where it is larger."""
    luma = residual @ LUMA
    steps = [np.abs(np.diff(luma, axis=0)).mean(1), np.abs(np.diff(luma, axis=1)).mean(0)]
    across = lambda phases: sum(s[np.isin(np.arange(len(s)) % 8, phases)].mean() for s in steps)
    return float(max(across([7]), across([3])) / across([0, 1, 2, 4, 5, 6]))


def reach(residual):
    """Rows over which the brightened part of a residual's luma stays correlated to one half, in px; leans of up to a third."""
    bright = np.clip(residual @ LUMA, 0, None)
    power = np.abs(np.fft.fft2(bright - bright.mean())) ** 2
    similar = np.fft.ifft2(power).real / (power.mean() + 1e-12)
    along = [1.0, *(similar[rows, range(-(rows // 3), rows // 3 + 1)].max() for rows in range(1, 65))]
    end = next((rows for rows, value in enumerate(along) if value < 0.5), len(along) - 1)
    return end - 1 + (along[end - 1] - 0.5) / (along[end - 1] - along[end])


def fringe(scene, mixed):
    """What is left of a result's colour beyond the scene's own, faded to what share fits each pixel best; 99.9th percentile, of 255."""
    own, found = (255 * (image - (image @ LUMA)[..., None]) for image in (scene, mixed))
    share = np.clip((own * found).sum(-1) / np.maximum((own**2).sum(-1), 1e-6), 0, 1)[..., None]
    return float(np.percentile(np.abs(found - share * own).max(-1), 99.9))


def spectrum_distance(a, b):
    """Root mean square difference of the log10 power spectra of two residuals' luma, radially averaged in 24 rings."""
    rings = np.clip((np.hypot(*np.meshgrid(np.fft.fftfreq(a.shape[0]), np.fft.fftfreq(a.shape[1]), indexing="ij")) * 48).astype(int), 0, 23)
    radial = lambda x: np.log10(np.bincount(rings.ravel(), (np.abs(np.fft.fft2(x @ LUMA)) ** 2).ravel(), 24) / np.bincount(rings.ravel(), minlength=24) + 1e-9)
    return float(np.sqrt(np.mean((radial(a) - radial(b)) ** 2)))


beside = lambda scene, mixed: {**measure(scene, mixed), "edges": edges(mixed - scene), "reach": reach(mixed - scene), "fringe": fringe(scene, mixed)}
rows = {}  # (mix, by) -> list of measurements
distance = {}  # mix -> list of (spectrum, histogram)
manifest = csv.DictReader(open(ROOT / "assets/recipes/manifest.tsv"), delimiter="\t", quoting=csv.QUOTE_NONE)
photos = [pathlib.Path(args.photos) / r["path"] for r in manifest if r["split"] == "heldout"][: args.count]
sheet = []
with ThreadPoolExecutor(os.cpu_count()) as pool:  # everything that is measured below
    every = list(itertools.product(photos, ["rain=0", *MIXES], SEEDS))
    list(pool.map(lambda of: (make_physical(*of), make_render(*of)), every))
    list(pool.map(lambda s: (make_render(photos[0], "rain=0", s), make_render(photos[0], "rain=1", s)), DIVERSITY_SEEDS))
for photo in photos:
    for seed in SEEDS:
        scene, clean = physical(photo, "rain=0", seed), render(photo, "rain=0", seed)
        rows.setdefault(("none", "model"), []).append({**measure(scene, clean), "tint": float(np.abs((clean - scene).mean((0, 1))).max())})
        for mix in MIXES:
            real, made = physical(photo, mix, seed), render(photo, mix, seed)
            rows.setdefault((mix, "physical"), []).append(beside(scene, real))
            rows.setdefault((mix, "model"), []).append(beside(clean, made))
            distance.setdefault(mix, []).append((spectrum_distance(real - scene, made - clean), 255 * wasserstein_distance((real - scene).ravel()[::7], (made - clean).ravel()[::7])))
        for mix in ("rain=1", "noise=1"):  # what the autoencoder lets through: a degraded photo as the scene, no class on
            passed = render(make_physical(photo, mix, seed), "rain=0", seed, stem=photo.with_name(photo.stem + mix.replace("=", "")))
            rows.setdefault((f"autoencoder of {mix}", "model"), []).append(measure(clean, passed))
    shown = ["rain=0", "haze=0.5", "haze=1", "rain=0.5", "rain=1", "snow=1", "noise=1", "haze=1,rain=1"]
    sheet.append(np.concatenate([render(photo, mix, SEEDS[0]) for mix in shown] + [physical(photo, m, SEEDS[0]) for m in ("haze=1", "rain=1", "snow=1", "haze=1,rain=1")], 1))
pixels = (np.concatenate(sheet, 0) * 255).astype(np.uint8)
image = Image.new("RGB", (pixels.shape[1], pixels.shape[0] + 24), "white"); image.paste(Image.fromarray(pixels), (0, 24))
for i, name in enumerate(shown + ["physical haze=1", "physical rain=1", "physical snow=1", "physical haze=1,rain=1"]):
    ImageDraw.Draw(image).text((256 * i + 6, 6), name, fill="black")
image.resize((image.width // 2, image.height // 2), Image.LANCZOS).save(OUT / "contact_sheet.jpg", quality=85)

mean = lambda mix, what, by="model": float(np.mean([m[what] for m in rows[mix, by]]))
print(f"{len(photos)} photos, seeds {args.seeds}, 256 px, 20 Euler steps, guidance 1\n\n| mix | made by | veil | streak | anisotropy | edges | reach px | fringe | psnr dB |\n|---|---|---|---|---|---|---|---|---|")
for mix, by in rows:
    across = f"{mean(mix, 'edges', by):.2f}" if "edges" in rows[mix, by][0] else ""
    along = f"{mean(mix, 'reach', by):.1f}" if "rain" in mix and across else ""
    colour = f"{mean(mix, 'fringe', by):.1f}" if across else ""
    print(f"| {mix} | {by} | {mean(mix, 'veil', by):.3f} | {mean(mix, 'streak', by):.2f} | {mean(mix, 'anisotropy', by):.2f} | {across} | {along} | {colour} | {mean(mix, 'psnr', by):.1f} |")
print("\n| mix | spectrum distance, log10 | histogram distance, of 255 |\n|---|---|---|")
for mix, values in distance.items():
    print(f"| {mix} | {np.mean([v[0] for v in values]):.3f} | {np.mean([v[1] for v in values]):.2f} |")

if args.calibration:
    classes = {c: ("veil" if c == "haze" else "streak") for c in ("rain", "haze", "noise", "snow")}
    points = lambda c, what, by: [[r, round(mean(f"{c}={r}", what, by), 3)] for r in (0.25, 0.5, 0.75, 1)]
    table = {c: {"figure": what, "model": points(c, what, "model"), "physical": points(c, what, "physical")} for c, what in classes.items()}
    lines = ",\n".join(f' "{c}": {json.dumps(values)}' for c, values in table.items())
    pathlib.Path(args.calibration).write_text(f"{{\n{lines}\n}}\n")

print("\n| target | figure | met |\n|---|---|---|")
target = lambda text, figure, met, form="{:.2f}": print(f"| {text} | {form.format(figure)} | {'yes' if met else '**no**'} |")
at_least = lambda text, figure, bound, form="{:.2f}": target(f"{text} >= {bound}", figure, figure >= bound, form)
at_most = lambda text, figure, bound, form="{:.2f}": target(f"{text} <= {bound}", figure, figure <= bound, form)
at_least("autoencoder (no class) psnr, dB", mean("none", "psnr"), 31, "{:.1f}")
at_least("share of rain's streak that survives the autoencoder", mean("autoencoder of rain=1", "streak") / mean("rain=1", "streak", "physical"), 0.85)
at_least("share of noise's streak that survives it", mean("autoencoder of noise=1", "streak") / mean("noise=1", "streak", "physical"), 0.70)
at_most("no class: largest shift of a channel's mean, of 255", 255 * mean("none", "tint"), 2)
veils = np.array([[m["veil"] for m in rows[mix, "model"]] for mix in HAZE])
at_least("haze: share of photo-seed pairs whose veil rises at 0, 0.25, 0.5, 0.75, 1", float(np.mean(np.all(np.diff(np.vstack([np.zeros(veils.shape[1]), veils]), axis=0) > 0, axis=0))), 0.95)
at_most("haze: veil(1) differs from the physical by", abs(mean("haze=1", "veil") / mean("haze=1", "veil", "physical") - 1), 0.20)
at_most("haze: largest mean streak", max(mean(m, "streak") for m in HAZE), 2)
at_most("haze: |veil(0.5) / veil(1) - physical|", abs(mean("haze=0.5", "veil") / mean("haze=1", "veil") - mean("haze=0.5", "veil", "physical") / mean("haze=1", "veil", "physical")), 0.2)
for c in FINE:
    full, half = f"{c}=1", f"{c}=0.5"
    s = np.array([[m["streak"] for m in rows[f"{c}={r}", "model"]] for r in (0.25, 0.5, 0.75, 1)])
    at_least(f"{c}: share of pairs whose streak rises at 0.25, 0.5, 0.75, 1", float(np.mean(np.all(np.diff(s, axis=0) > 0, axis=0))), 0.95)
    at_least(f"{c}: streak(1)", mean(full, "streak"), 4)
    at_most(f"{c}: streak(1) differs from the physical by", abs(mean(full, "streak") / mean(full, "streak", "physical") - 1), 0.40)
    at_most(f"{c}: veil(1)", mean(full, "veil"), 0.12)
    (at_least if c == "rain" else at_most)(f"{c}: anisotropy(1)", mean(full, "anisotropy"), 0.5 if c == "rain" else 0.35)
    at_most(f"{c}: |streak(0.5) / streak(1) - physical|", abs(mean(half, "streak") / mean(full, "streak") - mean(half, "streak", "physical") / mean(full, "streak", "physical")), 0.2)
at_least("haze=1,rain=1: veil over that of haze alone", mean("haze=1,rain=1", "veil") / mean("haze=1", "veil"), 0.8)
at_least("haze=1,rain=1: streak over that of rain alone", mean("haze=1,rain=1", "streak") / mean("rain=1", "streak"), 0.7)
photo = photos[0]
made = [(render(photo, "rain=0", s), render(photo, "rain=1", s)) for s in DIVERSITY_SEEDS]
residuals = [((r - c) @ LUMA).ravel() for c, r in made]
strengths = [measure(c, r)["streak"] for c, r in made]
at_most("rain=1, 8 seeds of a scene: mean pairwise correlation of residuals", float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in itertools.combinations(residuals, 2)])), 0.5)
at_most("rain=1, 8 seeds of a scene: coefficient of variation of streak", float(np.std(strengths) / np.mean(strengths)), 0.15)

if args.beyond:
    SIDES = {"256 px": (1, 1, 256, "square"), "512 px": (1, 1, 512, "square"), "384x256 px": (3, 2, 256, "aspect"), "256x384 px": (2, 3, 256, "aspect")}
    RATIOS = (1, 1.25, 1.5)

    def cut(photo, width, height, size):
        """The largest part of that shape from a photo's middle, its shorter side scaled to `size`."""
        image = Image.open(photo).convert("RGB")
        scale = min(image.width / width, image.height / height)
        w, h = int(width * scale), int(height * scale)
        left, top = (image.width - w) // 2, (image.height - h) // 2
        path = OUT / f"{photo.stem}-{width}x{height}-{size}.png"
        short = min(width, height)
        image.crop((left, top, left + w, top + h)).resize((size * width // short, size * height // short), Image.LANCZOS).save(path)
        return path

    print(f"\n{len(photos)} photos, seed 0\n\n| frame | class | strength at 1, 1.25, 1.5 | physical | edges | physical |\n|---|---|---|---|---|---|")
    for name, (width, height, *frame) in SIDES.items():
        cuts = [cut(p, width, height, frame[0]) for p in photos]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            every = itertools.product(cuts, ["rain=0"] + [f"{c}={r}" for c in ["haze", *FINE] for r in RATIOS])
            list(pool.map(lambda of: (make_physical(*of, 0, frame=frame), make_render(*of, 0, frame=frame)), every))
        for c in ["haze", *FINE]:
            cells = []
            for make in (render, physical):
                pairs = [[(make(p, "rain=0", 0, frame=frame), make(p, f"{c}={r}", 0, frame=frame)) for p in cuts] for r in RATIOS]
                strength = [np.mean([measure(a, b)["veil" if c == "haze" else "streak"] for a, b in at]) for at in pairs]
                cells.append((strength, [np.mean([edges(b - a) for a, b in at]) for at in pairs]))
            text = lambda values: ", ".join(f"{v:.2f}" for v in values)
            print(f"| {name} | {c} | {text(cells[0][0])} | {text(cells[1][0])} | {text(cells[0][1])} | {text(cells[1][1])} |")
