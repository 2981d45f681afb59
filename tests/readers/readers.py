"""What people's readers make of what mdsd3 writes. Called by run.sh with the program and an empty folder."""

import json
import pathlib
import subprocess
import sys
import tarfile
import traceback

import numpy as np
from PIL import Image

PROGRAM, SCRATCH = sys.argv[1], pathlib.Path(sys.argv[2])
# Names that readers could take for parts of a split.
PHOTOS = ["test.png", "val.png", "train.jpg", "holdout_3.png", "Great Wall.v2.png", "eval.png"]


def mdsd3(*arguments, fails=False):
    """Runs the program; its standard output."""
    run = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, cwd=SCRATCH)
    assert fails == (run.returncode != 0), f"mdsd3 {' '.join(map(str, arguments))}: {run.returncode}\n{run.stderr}"
    return run.stdout + run.stderr


def photos():
    rng = np.random.default_rng(7)
    for name in PHOTOS:
        y, x = np.mgrid[:48, :64]
        base = np.stack([x * 3, y * 4, np.full_like(x, rng.integers(40, 200))], -1)
        Image.fromarray((base + rng.integers(0, 20, base.shape)).clip(0, 255).astype(np.uint8)).save(SCRATCH / name)


def dataset(name, layout, more="", mixes="[{ haze = 0.5 }, { haze = 1.0 }]", scenes=None):
    """Makes a dataset by formulas and checks it against its journal; its folder and the number of its pairs."""
    scenes = PHOTOS if scenes is None else scenes
    plan = SCRATCH / f"{name}.toml"
    plan.write_text(
        f'engine = "physical"\nlayout = "{layout}"\nscenes = {json.dumps(scenes)}\nmixes = {mixes}\nsize = 32\n'
        f"seeds = [0, 1, 2]\n{more}\n"
    )
    made = json.loads(mdsd3("sweep", plan, "-o", SCRATCH / name, "--json").splitlines()[0])
    mdsd3("sweep", "--verify", SCRATCH / name)
    assert made["done"] == made["total"], made
    return SCRATCH / name, made["total"]


def shares(**parts):
    return "split = { " + ", ".join(f"{part.replace('_', '-')} = {share}" for part, share in parts.items()) + " }"


SPLITS = {
    "none": "",
    "usual": shares(train=0.5, val=0.25, test=0.25),
    "folds": shares(fold0=0.5, fold1=0.5),
    "odd": shares(train=0.5, hold_out=0.5),
    # Six photos: the last part gets none.
    "empty": shares(train=0.95, val=0.05),
}


def parts_of(root, pattern):
    """Pairs of each part by the program's own files."""
    return {path.parent.name: sum(1 for _ in path.open()) for path in root.glob(pattern)}


def split_of(part):
    """The datasets library's name of a part."""
    return {"val": "validation"}.get(part, part.replace("-", "_"))


def imagefolder():
    from datasets import load_dataset

    for name, split in SPLITS.items():
        root, total = dataset(f"imagefolder-{name}", "imagefolder", split)
        expected = {split_of(part): count for part, count in parts_of(root, "*/metadata.jsonl").items()}
        assert sum(expected.values()) == total, (expected, total)
        loaded = load_dataset(str(root))
        assert {part: len(rows) for part, rows in loaded.items()} == expected, (name, loaded, expected)
        for rows in loaded.values():
            for row in rows:
                assert row["image"].size == row["gt"].size == (32, 32)
                assert row["haze"] in (0.5, 1.0) and row["seed"] in (0, 1, 2), row
                assert np.asarray(row["image"]).astype(int).sum() != np.asarray(row["gt"]).astype(int).sum()
        if name in ("none", "usual", "empty"):
            by_names = load_dataset("imagefolder", data_dir=str(root))
            assert {part: len(rows) for part, rows in by_names.items()} == expected, (name, by_names)


def webdataset_tars():
    import webdataset
    from datasets import load_dataset

    for name, split in SPLITS.items():
        root, total = dataset(f"webdataset-{name}", "webdataset", split + "\nshard_pairs = 5")
        tars = sorted(root.glob("*.tar"))
        keys = []
        for sample in webdataset.WebDataset([str(tar) for tar in tars], shardshuffle=False).decode("rgb8"):
            assert sample["gt.png"].shape == sample["lq.png"].shape == (32, 32, 3)
            info = sample["json"]
            assert info["gt"] == f"{sample['__key__']}.gt.png" and ".mdsd3" not in json.dumps(info), info
            keys.append(sample["__key__"])
        assert len(set(keys)) == len(keys) == total, (len(keys), total)
        loaded = load_dataset(str(root))
        assert sum(len(rows) for rows in loaded.values()) == total, loaded
        for part, rows in loaded.items():
            in_tars = set()
            for tar in tars:
                if split_of(tar.name.rsplit("-", 1)[0]) == part:
                    in_tars |= {member.split(".")[0] for member in tarfile.open(tar).getnames()}
            assert {row["__key__"] for row in rows} == in_tars, (name, part)
    mdsd3("sweep", SCRATCH / "webdataset-none.toml", "-o", SCRATCH / "too-large", fails=False)
    plan = (SCRATCH / "webdataset-none.toml").read_text().replace("seeds = [0, 1, 2]", "seeds = [9223372036854775807]")
    (SCRATCH / "large.toml").write_text(plan)
    mdsd3("sweep", "large.toml", "-o", SCRATCH / "large")
    assert len(load_dataset(str(SCRATCH / "large"))["train"]) == len(PHOTOS) * 2


def pairs_by_basicsr(*paths):
    """In a process of its own: a stand-in for torch would confuse the other readers."""
    reader = pathlib.Path(__file__).with_name("basicsr_reader.py")
    run = subprocess.run([sys.executable, reader, *map(str, paths)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def basicsr():
    """BasicSR pairs by folder and by list. Restormer's reader is its copy, and CDD-11's folders pair by the same rule."""
    root, total = dataset("basicsr", "basicsr", shares(train=0.5, val=0.5))
    counts = []
    for part in ("train", "val"):
        folders = (root / part / "gt", root / part / "lq")
        by_folder = pairs_by_basicsr(*folders)
        by_list = pairs_by_basicsr(*folders, root / part / "meta_info.txt")
        assert sorted(by_folder) == sorted(by_list)
        counts.append(len(by_list))
    assert sum(counts) == total, (counts, total)
    root, total = dataset("restormer", "restormer", mixes="[{ rain = [0.5, 1] }, { haze = 0.5, rain = 1 }]")
    tasks = sorted(path.name for path in (root / "train").iterdir())
    pairs = [pairs_by_basicsr(root / "train" / task / "target", root / "train" / task / "input") for task in tasks]
    assert tasks == ["HazeRain", "Rain"] and sum(map(len, pairs)) == total, (tasks, total)
    root, total = dataset("cdd11", "cdd11", mixes="[{ rain = 1 }, { haze = 0.5 }, { haze = 0.6, snow = 0.5 }]")
    pairs = [pairs_by_basicsr(root / "clear", root / mix) for mix in ("rain", "haze", "haze_snow")]
    assert sum(map(len, pairs)) == total, total


def tables():
    import pandas
    import pyarrow.parquet

    photo = SCRATCH / 'a, "b".png'
    Image.open(SCRATCH / "test.png").save(photo)
    out = SCRATCH / "analysis"
    mdsd3("analyze", photo, "--lanes", "haze,rain", "--seeds", 2, "--steps", 3, "--size", 64, "-o", out)
    found = sorted(out.glob("*.csv"))
    assert len(found) >= 3, found
    for path in found:
        columns = pyarrow.parquet.read_table(path.with_suffix(".parquet")).to_pandas()
        text = pandas.read_csv(path)
        assert list(text.columns) == list(columns.columns) and len(text) == len(columns), path
        for name in columns.columns:
            if columns[name].dtype.kind == "f":
                np.testing.assert_allclose(text[name].astype(float), columns[name], rtol=1e-12)
            else:
                assert list(text[name].dropna().astype(str)) == list(columns[name].dropna().astype(str)), (path, name)
        if "scene" in text.columns:
            assert set(text["scene"]) == {'a, "b"'}, set(text["scene"])


def settings_after_a_rewrite():
    """Settings are found after other programs have written the PNG again."""
    from PIL import PngImagePlugin

    out = SCRATCH / "mixed.png"
    mdsd3("render", SCRATCH / "test.png", "--mix", "haze=0.5", "--steps", 2, "--size", 64, "-o", out)
    image = Image.open(out)
    settings = json.loads(image.text["mdsd3"])
    for kind in ("text", "ztxt", "itxt", "zitxt"):
        chunks = PngImagePlugin.PngInfo()
        for key, text in image.text.items():
            if kind in ("itxt", "zitxt"):
                chunks.add_itxt(key, str(text), zip=kind == "zitxt")
            else:
                chunks.add_text(key, str(text), zip=kind == "ztxt")
        again = SCRATCH / f"again-{kind}.png"
        image.save(again, pnginfo=chunks)
        assert settings["request"]["mix"] == {"haze": 0.5}
        assert "haze=0.5" in mdsd3("info", again), kind
    words = mdsd3("info", SCRATCH / "train.jpg")
    assert "JPEG" in words and "64x48" in words, words


def tensorboard_after_kills():
    """Every step is shown once, whatever was killed in between."""
    import time

    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

    repository = pathlib.Path(__file__).parents[2]
    recipe = (repository / "assets/recipes/small.toml").read_text()
    manifest = "split\tpath\ntrain\tgreat-wall.jpg\ntrain\tpont-du-gard.jpg\nheldout\tmachu-picchu.jpg\n"
    (SCRATCH / "manifest.tsv").write_text(manifest)
    for old, new in [
        ('"target/photos"', json.dumps(str(repository / "assets/photos"))),
        ("assets/recipes/manifest.tsv", "manifest.tsv"),
        ("runs/small", "trained"),
        ("side = 64", "side = 32"),
        ("side = 128", "side = 32"),
        ("steps = 60", "steps = 2"),
        ("steps = 1200", "steps = 200"),
        ("count = 400", "count = 8"),
        ("batch = 16", "batch = 1"),
        ("num_layers = 2", "num_layers = 1"),
        ("every = 20", "every = 1\nsave_every = 7\nvalidate_every = 50"),
        ("sample_every = 600", "sample_every = 100"),
    ]:
        assert old in recipe, old
        recipe = recipe.replace(old, new)
    (SCRATCH / "tiny.toml").write_text(recipe)
    train = [PROGRAM, "train", "tiny.toml"]
    steps = SCRATCH / "trained/train.csv"
    kills = 0
    for wanted in (40, 90, 140):
        run = subprocess.Popen(train, cwd=SCRATCH, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while run.poll() is None and (not steps.exists() or len(steps.read_text().splitlines()) <= wanted):
            time.sleep(0.005)
        kills += run.poll() is None
        run.kill()
        run.wait()
    mdsd3("train", "tiny.toml")
    assert kills == 3, kills
    events = EventAccumulator(str(SCRATCH / "trained/tensorboard"), tensor_size_guidance={"tensors": 0})
    events.Reload()
    shown = [event.step for event in events.Tensors("loss/total")]
    assert shown == list(range(1, 201)), sorted(set(range(1, 201)) ^ set(shown))
    assert len(events.Tensors("validation/mean")) == 4


def layers():
    """A degraded image is put together from its layers by their description alone."""
    from layers_reader import put_together

    weather = "rain=0.5,haze=0.6,snow=0.4,low_light=0.2"
    camera = "noise=0.4,motion_blur=0.5,defocus=0.5,raindrop=0.5,jpeg=0.2,downsample=0.2"
    mix = f"{weather},{camera}"
    for name, more in [("png", []), ("npy", ["--layers-format", "npy", "--seed", "5"])]:
        image, folder = SCRATCH / f"layers-{name}.png", SCRATCH / f"layers-{name}"
        mdsd3("degrade", "test.png", "--mix", mix, "-o", image, "--layers", folder, *more)
        together, degraded = put_together(folder), np.asarray(Image.open(image).convert("RGB")) / 255
        largest = 255 * np.abs(together - degraded).max()
        # Half of that is the rounding of the image itself.
        assert largest < 1.5, f"{folder.name}: {largest}/255"


def main():
    photos()
    failed = 0
    checks = [imagefolder, webdataset_tars, basicsr, layers, tables, settings_after_a_rewrite, tensorboard_after_kills]
    for check in checks:
        try:
            check()
            print(f"ok      {check.__name__}")
        except Exception:
            traceback.print_exc()
            print(f"FAILED  {check.__name__}")
            failed += 1
    sys.exit(failed > 0)


main()
