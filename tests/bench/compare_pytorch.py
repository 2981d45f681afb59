"""Measures this program beside PyTorch on the same cores: python tests/bench/compare_pytorch.py REFERENCE [--only plain,clean,...] [--threads N]

REFERENCE is tests/goldens/reference/mdsd3_reference.py or another copy: the PyTorch port that recomputes the clean path at every
step. Needs torch and diffusers (run by hand; not part of the checks) and `cargo build --release`. Same shapes on both sides, random
weights, one process at a time, the two sides taking turns; the least of each side's medians counts, so that a busy moment of the
machine doesn't. Prints a Markdown table.
"""
import argparse, importlib.util, json, os, pathlib, statistics, subprocess, sys, tempfile, time

ap = argparse.ArgumentParser()
ap.add_argument("reference")
ap.add_argument("--only", default="plain,clean,plain-bf16,decoder,trainer,bundled")
ap.add_argument("--threads", type=int, default=os.cpu_count())
ap.add_argument("--rounds", type=int, default=2)
ap.add_argument("--side", help="used by the script itself: measure one PyTorch case and print its seconds")
args = ap.parse_args()

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "target/release/mdsd3"
LAYERS, LATENT, CONTEXT = 4, 64, 154
SD3 = dict(sample_size=128, patch_size=2, in_channels=16, out_channels=16, num_layers=LAYERS, attention_head_dim=64,
           num_attention_heads=24, joint_attention_dim=4096, caption_projection_dim=1536, pooled_projection_dim=2048,
           pos_embed_max_size=192)
TARGETS = {"plain": 1.1, "clean": 0.6, "plain-bf16": 1.5, "clean-bf16": 1.5, "decoder": 1.5, "trainer": 1 / 0.7}


def median(run, repeats=3):
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def transformer(torch, port, dtype):
    from diffusers import SD3Transformer2DModel
    model = (port.MDSD3Transformer(**SD3).add_clean_path() if port else SD3Transformer2DModel(**SD3)).to(dtype).eval()
    latents = torch.randn(1, 16, LATENT, LATENT, dtype=dtype)
    inputs = dict(hidden_states=latents, encoder_hidden_states=torch.randn(1, CONTEXT, 4096, dtype=dtype),
                  pooled_projections=torch.randn(1, 2048, dtype=dtype), timestep=torch.tensor([500.0]))
    if port:
        inputs |= dict(clean_hidden_states=latents, mask=torch.full((1, 24), 0.5))
    with torch.no_grad():
        return median(lambda: model(**inputs))


def decoder(torch):
    from diffusers import AutoencoderKL
    model = AutoencoderKL(in_channels=3, out_channels=3, block_out_channels=(128, 256, 512, 512), layers_per_block=2,
                          latent_channels=16, norm_num_groups=32, down_block_types=("DownEncoderBlock2D",) * 4,
                          up_block_types=("UpDecoderBlock2D",) * 4, use_quant_conv=False, use_post_quant_conv=False).eval()
    latents = torch.randn(1, 16, LATENT, LATENT)
    with torch.no_grad():
        return median(lambda: model.decode(latents), 1)


def trainer(torch):
    """Seconds per sample of one AdamW step on the bundled model's transformer, 64 px windows in batches of 16."""
    config = json.loads((ROOT / "assets/models/mini/config.json").read_text())
    shape = {k: v for k, v in config["transformer"].items() if k not in ("classes", "neighbours")}
    sys.path.insert(0, str(ROOT / "tests/goldens/reference"))
    from mdsd3_neighbours import NeighbourTransformer
    model = NeighbourTransformer(**shape).add_clean_path().add_neighbours().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    batch, side, heads = 16, 64 // config["autoencoder"]["factor"], shape["num_attention_heads"]
    random = lambda *size: torch.randn(batch, *size)
    latents, scene, target = (random(shape["in_channels"], side, side) for _ in range(3))
    context, pooled = random(config["context_tokens"], shape["joint_attention_dim"]), random(shape["pooled_projection_dim"])
    timestep, mask = torch.rand(batch) * 1000, torch.rand(batch, heads)

    def step():
        loss = (model(latents, context, pooled, timestep, scene, mask) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return median(step, 10) / batch


def pytorch(case):
    import torch
    torch.set_num_threads(args.threads)
    spec = importlib.util.spec_from_file_location("port", args.reference)
    port = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(port)
    dtype = torch.bfloat16 if case.endswith("bf16") else torch.float32
    if case == "decoder":
        return decoder(torch)
    if case == "trainer":
        return trainer(torch)
    return transformer(torch, port if case.startswith("clean") else None, dtype)


def ours(case):
    """Seconds as `mdsd3 bench` reports them."""
    sizes = ["--preset", "sd3-medium", "--layers", LAYERS, "--latent", LATENT, "--context", CONTEXT, "--repeats", 3, "--skip-autoencoder"]
    flags = {"plain": ["--no-clean"], "clean": [], "plain-bf16": ["--no-clean", "--dtype", "bf16"], "clean-bf16": ["--dtype", "bf16"]}
    if case == "decoder":
        command = ["--preset", "sd3-medium", "--layers", 1, "--latent", LATENT, "--repeats", 2]
    elif case == "trainer":
        command = ["--preset", "mini", "--train", "--latent", 16, "--batch", 16, "--repeats", 10, "--skip-autoencoder"]
    else:
        command = sizes + flags[case]
    report = json.loads(run("bench", "--json", *command))
    if case == "trainer":
        return 1 / report["training_samples_per_second"]
    return report["decoder_seconds" if case == "decoder" else "seconds_per_evaluation"]


def run(*command):
    environment = {**os.environ, "RAYON_NUM_THREADS": str(args.threads)}
    done = subprocess.run([str(BINARY), *map(str, command)], capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr}")
    return done.stdout


def bundled():
    """The bundled model as a user runs it: 256 px, 20 steps, guidance 1."""
    with tempfile.TemporaryDirectory() as folder:
        report = json.loads(run("render", "--json", "-o", pathlib.Path(folder) / "mix.png"))
    print(f"| bundled model, 256 px, 20 steps | {report['elapsed_secs']:.2f} s, first step after "
          f"{report['encode_secs'] + report['step_secs'][0]:.2f} s, {report['peak_memory_bytes'] / 1e6:.0f} MB | | | 3 s, 0.5 s, 600 MB |")


if args.side:
    print(json.dumps(pytorch(args.side)))
    sys.exit()

print("| case | this program | PyTorch | ratio | target |\n|---|---|---|---|---|")
for case in args.only.split(","):
    if case == "bundled":
        bundled()
        continue
    mine, theirs = [], []
    for _ in range(args.rounds):
        mine.append(ours(case))
        done = subprocess.run([sys.executable, __file__, args.reference, "--side", case, "--threads", str(args.threads)], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        theirs.append(json.loads(done.stdout.splitlines()[-1]))
    a, b = min(mine), min(theirs)
    show = (lambda s: f"{1 / s:.0f} samples/s") if case == "trainer" else (lambda s: f"{s:.2f} s")
    print(f"| {case} | {show(a)} | {show(b)} | {a / b:.2f} | {TARGETS[case]:.2f} |", flush=True)
