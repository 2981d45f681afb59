"""Measures a Stable Diffusion 3 medium evaluation beside diffusers (eager) on a GPU: python tests/bench/compare_gpu.py [--device cuda:0]

Needs torch with CUDA, diffusers and `cargo build --release --features cuda` (run by hand; not part of the checks). Same shapes
on both sides, random weights, one process at a time. Prints a Markdown table: 512 and 1024 px, diffusers' plain transformer
beside this program's with the clean path cached and without a clean path.
"""
import argparse, json, pathlib, statistics, subprocess, sys, time

ap = argparse.ArgumentParser()
ap.add_argument("--device", default="cuda:0")
ap.add_argument("--dtype", default="bf16", choices=["bf16", "f32"])
ap.add_argument("--latents", default="64,128", help="sides in latent pixels, an eighth of the image's")
ap.add_argument("--layers", type=int, default=24)
ap.add_argument("--context", type=int, default=154)
ap.add_argument("--batch", type=int, default=1)
ap.add_argument("--repeats", type=int, default=20)
ap.add_argument("--binary", default=pathlib.Path(__file__).resolve().parents[2] / "target/release/mdsd3")
ap.add_argument("--side", type=int, help="used by the script itself: measure diffusers at one size and print its seconds")
args = ap.parse_args()


def diffusers_seconds(latent):
    import torch
    from diffusers import SD3Transformer2DModel
    dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[args.dtype]
    wait = torch.cuda.synchronize if args.device.startswith("cuda") else lambda: None
    with torch.device(args.device):
        model = SD3Transformer2DModel(
            sample_size=128, patch_size=2, in_channels=16, out_channels=16, num_layers=args.layers, attention_head_dim=64,
            num_attention_heads=24, joint_attention_dim=4096, caption_projection_dim=1536, pooled_projection_dim=2048,
            pos_embed_max_size=192).to(dtype).eval()
        random = lambda *shape: torch.randn(args.batch, *shape, dtype=dtype)
        inputs = dict(hidden_states=random(16, latent, latent), encoder_hidden_states=random(args.context, 4096),
                      pooled_projections=random(2048), timestep=torch.full((args.batch,), 500.0))
    times = []
    with torch.no_grad():
        for _ in range(args.repeats + 3):
            start = time.perf_counter()
            model(**inputs)
            wait()
            times.append(time.perf_counter() - start)
    return statistics.median(times[3:])


def output_of(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr}")
    return done.stdout


def ours(latent, *flags):
    return json.loads(output_of(
        args.binary, "bench", "--json", "--preset", "sd3-medium", "--layers", args.layers, "--latent", latent, "--context", args.context,
        "--batch", args.batch, "--repeats", args.repeats, "--skip-autoencoder", "--device", args.device, "--dtype", args.dtype,
        *flags))["seconds_per_evaluation"]


if args.side:
    print(json.dumps(diffusers_seconds(args.side)))
    sys.exit()

print("| image | diffusers | clean path cached | ratio | no clean path | ratio |\n|---|---|---|---|---|---|")
for latent in map(int, args.latents.split(",")):
    theirs = json.loads(output_of(sys.executable, __file__, *sys.argv[1:], "--side", latent).splitlines()[-1])
    cached, plain = ours(latent), ours(latent, "--no-clean")
    show = lambda seconds: f"{seconds * 1e3:.1f} ms"
    print(f"| {8 * latent} px | {show(theirs)} | {show(cached)} | {cached / theirs:.2f} | {show(plain)} | {plain / theirs:.2f} |", flush=True)
