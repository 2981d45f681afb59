"""Measures the physical weather of docs/weather.md; prints Markdown tables.

  python tests/bench/weather.py near-far [--binary MDSD3]            haze over the scene's depth, on the demo photos
  python tests/bench/weather.py strengths PHOTO...                   whether more severity is always more change
  python tests/bench/weather.py calibration PHOTO...                 what each class does, by measure_mix.py
  python tests/bench/weather.py streaks PHOTO...                     how much rain's streaks cover
  python tests/bench/weather.py sheet OUT.jpg PHOTO... [--mixes M]   every photo by every mix, to be looked at
  python tests/bench/weather.py speed EXAMPLE PHOTO                  beside albumentations and imagecorruptions

EXAMPLE is what `cargo build --release -p mdsd3-weather --example speed` builds; PHOTO a photo of 4000x3000. Run by hand, not part of
the checks. Needs numpy, pillow, scipy and `cargo build --release`; `speed` also
  pip install numpy==1.26.4 scipy==1.14.1 scikit-image==0.24.0 opencv-python-headless==4.10.0.84 albumentations==2.0.8 'setuptools<81'
  pip install --no-deps imagecorruptions==1.1.2    (it calls for a numpy before 2 and a second OpenCV)
"""
import argparse, json, os, pathlib, statistics, subprocess, sys, tempfile, time
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from measure_mix import LUMA, measure

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLASSES = ["haze", "rain", "snow", "noise", "low_light", "motion_blur", "defocus", "raindrop", "jpeg", "downsample"]
SEVERITIES = [n / 10 for n in range(1, 16)]


def degrade(photo, mix, *options):
    """The image, 0..255, and what was drawn for it."""
    with tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder) / "made.png"
        command = [args.binary, "degrade", photo, "--mix", mix, "--json", "-o", made, *options]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(map(str, command))}: {done.stderr}")
        return np.asarray(Image.open(made).convert("RGB"), float), json.loads(done.stdout)["parameters"]


def layers(photo, mix, *options):
    """The folder of layers of a degraded photo, read: depth in metres, share of sky, and every map of a step by `class name`."""
    with tempfile.TemporaryDirectory() as folder:
        degrade(photo, mix, "--layers", folder, *options)
        folder = pathlib.Path(folder)
        said = json.loads((folder / "layers.json").read_text())

        def read(entry):
            path = folder / entry["file"]
            values = np.load(path) if path.suffix == ".npy" else np.asarray(Image.open(path), float)
            return values * entry["scale"]

        maps = {f"{step['class']} {name}": read(entry) for step in said["steps"] for name, entry in {**step["terms"], **step.get("maps", {})}.items() if "file" in entry}
        return {"depth": read(said["depth"]), "sky": read(said["sky"]), **maps}


def at_once(function, *of):
    """`map` on all cores, in the order given."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, *of))


def near_far():
    """Contrast kept is the standard deviation of luma minus its Gaussian mean (sigma 2 % of the shorter side), over that of the clean
    photo; the sky's distance from airlight that of its farther channel, 95th percentile over a hand-drawn box of sky."""
    print("| photo | kept near, 0.7 | kept far, 0.7 | near over far, 0.7 | near over far, 1 | sky from airlight, 1, of 255 |\n|---|---|---|---|---|---|")
    for name, regions in json.loads((pathlib.Path(__file__).parent / "weather_regions.json").read_text()).items():
        photo = ROOT / f"assets/photos/{name}.jpg"
        (clean, _), (weaker, _), (full, drawn) = at_once(degrade, [photo] * 3, ["haze=0", "haze=0.7", "haze=1"])
        height, width, _ = clean.shape
        cut = lambda image, box: image[round(box[1] * height) : round(box[3] * height), round(box[0] * width) : round(box[2] * width)]
        luma = lambda image: image @ LUMA
        local = lambda image, box: cut(luma(image) - gaussian_filter(luma(image), 0.02 * min(height, width)), box).std()
        kept = lambda image, where: local(image, regions[where]) / local(clean, regions[where])
        ratio = lambda image: kept(image, "near") / max(kept(image, "far"), 1e-3)
        sky = "none in it"
        if "sky" in regions:
            apart = np.abs(cut(full, regions["sky"]) - 255 * np.array(drawn["haze"]["airlight"])).max(-1)
            sky = f"{np.percentile(apart, 95):.1f}"
        print(f"| {name} | {kept(weaker, 'near'):.2f} | {kept(weaker, 'far'):.2f} | {ratio(weaker):.1f} | {ratio(full):.1f} | {sky} |", flush=True)


def strengths():
    """Root mean square distance from the clean photo, of 255, at 256 px."""
    print("| class | at 0.5 | at 1 | at 1.5 | photos on which it rises at every step of 0.1 | falls | same as the step before |\n|---|---|---|---|---|---|---|")
    clean = [degrade(photo, "haze=0", "--size", 256)[0] for photo in args.photos]
    for name in args.classes.split(","):
        rms = np.array([at_once(lambda s: np.sqrt(np.mean((degrade(photo, f"{name}={s}", "--size", 256)[0] - scene) ** 2)), SEVERITIES)
                        for photo, scene in zip(args.photos, clean)])
        rises = np.diff(rms, axis=1) > 0
        at = lambda severity: f"{rms[:, SEVERITIES.index(severity)].mean():.1f}"
        falls = sorted({f"{args.photos[p].stem} at {SEVERITIES[s + 1]}" for p, s in zip(*np.nonzero(np.diff(rms, axis=1) < 0))})
        same = sorted({SEVERITIES[s + 1] for s in np.nonzero(np.diff(rms, axis=1) == 0)[1]})
        print(f"| {name} | {at(0.5)} | {at(1)} | {at(1.5)} | {rises.all(1).sum()} of {len(rms)} | {', '.join(falls) or 'nowhere'} | {', '.join(map(str, same)) or 'nowhere'} |", flush=True)


def calibration():
    """Means of measure_mix.py's figures at 256 px, two seeds."""
    print("| mix | veil | streak | anisotropy | brightening |\n|---|---|---|---|---|")
    every = [(photo, seed) for photo in args.photos for seed in (0, 1)]
    make = lambda mix: at_once(lambda of: degrade(of[0], mix, "--size", 256, "--seed", of[1])[0] / 255, every)
    clean = make("haze=0")
    for mix in [f"{c}={s}" for c in args.classes.split(",") for s in (0.5, 1)] + ["haze=1,rain=1"]:
        made = make(mix)
        mean = lambda what: np.mean([measure(a, b)[what] for a, b in zip(clean, made)])
        brightening = np.mean([(b - a).mean() for a, b in zip(clean, made)])
        print(f"| `{mix}` | {mean('veil'):.3f} | {mean('streak'):.1f} | {mean('anisotropy'):.2f} | {brightening:.3f} |", flush=True)


def streaks():
    """The opacity of rain's streaks, without its veil, at the photos' own size; how far it lies along one direction as in measure_mix.py."""
    bounds = [0.02, 0.05, 0.1, 0.2, 0.4]
    print("| mix | " + " | ".join(f"pixels above {b}" for b in bounds) + " | mean opacity | anisotropy |\n|---|" + "---|" * (len(bounds) + 2))
    for mix in ("rain=0.25", "rain=0.5", "rain=1"):
        maps = at_once(lambda photo: layers(photo, mix)["rain streaks"], args.photos)
        shares = [f"{100 * np.mean([(m > b).mean() for m in maps]):.1f} %" for b in bounds]
        along = np.mean([measure(np.zeros((*m.shape, 3)), np.dstack([m] * 3))["anisotropy"] for m in maps])
        print(f"| `{mix}` | {' | '.join(shares)} | {np.mean([m.mean() for m in maps]):.3f} | {along:.2f} |", flush=True)


def depth_picture(photo):
    """Near black, far white, by the logarithm; sky blue."""
    found = layers(photo, "haze=0")
    grey = 255 * np.clip(np.log2(found["depth"]) / 10, 0, 1)[..., None]
    return (grey + found["sky"][..., None] * (np.array([70, 130, 230]) - grey)).astype(np.uint8)


def sheet():
    """A row per photo, a column per mix, `depth` being its map; photos are made as large as they are shown before they are degraded."""
    mixes = args.mixes.split(" ")
    show = lambda photo, mix: depth_picture(photo) if mix == "depth" else degrade(photo, mix)[0].astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for photo in args.photos:
            image = Image.open(photo).convert("RGB")
            small = pathlib.Path(folder) / f"{photo.stem}.png"
            image.resize((args.width, round(args.width * image.height / image.width)), Image.LANCZOS).save(small)
            rows.append(at_once(lambda mix: show(small, mix), mixes))
    label = 16
    made = Image.new("RGB", (args.width * len(mixes), label + sum(row[0].shape[0] for row in rows)), "white")
    for column, mix in enumerate(mixes):
        ImageDraw.Draw(made).text((column * args.width + 4, 3), "scene" if mix == "haze=0" else mix, fill="black")
    top = label
    for row in rows:
        for column, image in enumerate(row):
            made.paste(Image.fromarray(image), (column * args.width, top))
        top += row[0].shape[0]
    made.save(args.out, quality=args.quality, optimize=True)


def peers():
    """The others' functions, from and to 8-bit arrays, at their defaults; the middle severity of those that have five."""
    import albumentations, imagecorruptions
    transform = lambda name: (f"albumentations {name}", lambda image, t=getattr(albumentations, name)(p=1): t(image=image))
    corrupt = lambda name: (f"imagecorruptions {name}", lambda image: imagecorruptions.corrupt(image, 3, name))
    return dict([transform("RandomRain"), transform("RandomFog"), transform("RandomSnow"), corrupt("fog"), corrupt("snow")])


def seconds_each(function):
    """Mean seconds of a call over at least 0.4 s."""
    start, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - start < 0.4:
        function()
        calls += 1
    return (time.perf_counter() - start) / calls


def speed():
    """All sides take turns; medians over the rounds, with the least and the most."""
    others, photo = peers(), Image.open(args.photo).convert("RGB")
    sizes, taken = [(256, 256), (1024, 1024), photo.size], {}
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            scene, image = pathlib.Path(folder) / "scene.png", photo.resize(size, Image.LANCZOS)
            image.save(scene, compress_level=1)
            for _ in range(args.rounds):
                done = subprocess.run([args.example, scene, args.classes], capture_output=True, text=True, check=True)
                secs = json.loads(done.stdout) | {name: seconds_each(lambda: function(np.asarray(image))) for name, function in others.items()}
                for name, each in secs.items():
                    taken.setdefault(name, {}).setdefault(size, []).append(1000 * each)
    digits = lambda value: f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    milliseconds = lambda of: f"{digits(statistics.median(of))} ({digits(min(of))} to {digits(max(of))})"
    print("| milliseconds per pair, median (least to most) | " + " | ".join(f"{w}x{h}" for w, h in sizes) + " |\n|---|---|---|---|")
    for name, of in taken.items():
        print(f"| {name} | " + " | ".join(milliseconds(of[size]) for size in sizes) + " |")


ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--binary", default=ROOT / "target/release/mdsd3")
commands = ap.add_subparsers(required=True)
for function in (near_far, strengths, calibration, streaks, sheet, speed):
    command = commands.add_parser(function.__name__.replace("_", "-"), description=function.__doc__)
    command.set_defaults(run=function)
    if function is sheet:
        command.add_argument("out")
        command.add_argument("--mixes", default=" ".join(["haze=0", "depth", *(f"{c}={s}" for c in CLASSES for s in (0.5, 1))]), help="separated by spaces")
        command.add_argument("--width", type=int, default=256, help="of a photo, in pixels")
        command.add_argument("--quality", type=int, default=85)
    if function is speed:
        command.add_argument("example")
        command.add_argument("photo")
        command.add_argument("--rounds", type=int, default=5)
    if function in (strengths, calibration, speed):
        command.add_argument("--classes", default=",".join(CLASSES))
    if function in (strengths, calibration, streaks, sheet):
        command.add_argument("photos", nargs="+", type=pathlib.Path)
args = ap.parse_args()
args.run()
