"""Adapters over sd3_pipeline_tiny's transformer as trainers save them, and what the transformer computes with each.

PEFT's are saved by diffusers and evaluated by PEFT's own layers. The others are written by hand under their trainers' names
and merged into the weights by the formulas in LyCORIS (lycoris/modules/lokr.py, loha.py, locon.py), PyPI lycoris-lora 3.4, except that
`dora_scale` of rows is over the base's length, as in ComfyUI (comfy/weight_adapter/base.py).

Needs torch, diffusers, peft, safetensors. Run from this folder; writes ../adapters_tiny.
"""

import json
import shutil
from pathlib import Path

import torch
from diffusers import SD3Transformer2DModel, StableDiffusion3Pipeline
from diffusers.training_utils import _collate_lora_metadata
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
BASE = HERE.parent / "sd3_pipeline_tiny/pipeline/transformer"
OUT = HERE.parent / "adapters_tiny"
G = torch.Generator().manual_seed(23)


def rand(*shape, std=0.3):
    return torch.randn(*shape, generator=G) * std


def model():
    return SD3Transformer2DModel.from_pretrained(BASE).eval()


CASE = {
    "hidden_states": rand(1, 16, 8, 8, std=1.0),
    "encoder_hidden_states": rand(1, 6, 64, std=1.0),
    "pooled_projections": rand(1, 48, std=1.0),
    "timestep": torch.tensor([412.0]),
}


def out(m):
    with torch.no_grad():
        return m(**CASE, return_dict=False)[0].contiguous()


EXPECTED = {"out_base": out(model())}


def peft(name, metadata=True, **config):
    m = model()
    m.add_adapter(LoraConfig(**{"target_modules": ["attn.to_q", "attn.add_v_proj"], "r": 2, **config}))
    with torch.no_grad():
        for key, p in sorted(m.named_parameters()):
            if "magnitude" in key:
                p.mul_(1 + 0.3 * rand(*p.shape, std=1.0))
            elif "lora_" in key:
                p.copy_(rand(*p.shape))
    EXPECTED[f"out_{name}"] = out(m)
    meta = _collate_lora_metadata({"transformer": m}) if metadata else {}
    folder = OUT / "saved"
    StableDiffusion3Pipeline.save_lora_weights(folder, transformer_lora_layers=get_peft_model_state_dict(m), **meta)
    (folder / "pytorch_lora_weights.safetensors").rename(OUT / f"{name}.safetensors")
    folder.rmdir()
    return m


def by_hand(name, tensors, merged):
    save_file({k: v.contiguous() for k, v in tensors.items()}, OUT / f"{name}.safetensors")
    m = model()
    state = m.state_dict()
    with torch.no_grad():
        for key, value in merged.items():
            state[f"{key}.weight"].copy_(value)
    EXPECTED[f"out_{name}"] = out(m)


W = {k.removesuffix(".weight"): v for k, v in model().state_dict().items() if k.endswith(".weight")}


def goldens():
    peft("peft_no_settings", metadata=False, lora_alpha=2)
    peft("peft_alpha", lora_alpha=8)
    peft("peft_rslora", lora_alpha=8, use_rslora=True)
    q = "transformer_blocks.0.attn.to_q"
    peft("peft_patterns", lora_alpha=2, rank_pattern={q: 3}, alpha_pattern={q: 12, r"blocks\.[12]\.attn\.add_v_proj": 5})
    peft("peft_dora", lora_alpha=3, use_dora=True)
    peft("peft_bias", lora_alpha=6, lora_bias=True)
    peft("peft_patch_embedding", lora_alpha=6, target_modules=["pos_embed.proj"])

    # PEFT's own folder: names by PEFT, scale in adapter_config.json alone.
    folder = OUT / "peft_folder"
    folder.mkdir()
    m = model()
    config = LoraConfig(r=2, lora_alpha=10, target_modules=["attn.to_k"])
    m.add_adapter(config)
    with torch.no_grad():
        for key, p in sorted(m.named_parameters()):
            if "lora_" in key:
                p.copy_(rand(*p.shape))
    EXPECTED["out_peft_folder"] = out(m)
    state = {f"base_model.model.{k}": v.contiguous() for k, v in get_peft_model_state_dict(m).items()}
    save_file(state, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    kept = ("peft_type", "r", "lora_alpha", "use_rslora", "use_dora", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "bias", "init_lora_weights")
    fields = config.to_dict()
    (folder / "adapter_config.json").write_text(json.dumps({k: fields[k] for k in kept}, indent=1, default=str) + "\n")

    # kohya's sd-scripts: joined query, key and value; the last context modulation, stored with its halves exchanged.
    qkv = "joint_blocks_1_x_block_attn_qkv"
    last = "joint_blocks_2_context_block_adaLN_modulation_1"
    down, up = rand(2, 48), rand(144, 2)
    down_last, up_last = rand(2, 48), rand(96, 2)
    rows = (up @ down * 3.0 / 2).chunk(3)
    halves = (up_last @ down_last * 1.0 / 2).chunk(2)
    parts = [f"transformer_blocks.1.attn.to_{c}" for c in "qkv"]
    merged = {p: W[p] + d for p, d in zip(parts, rows)}
    norm = "transformer_blocks.2.norm1_context.linear"
    merged[norm] = W[norm] + torch.cat([halves[1], halves[0]])
    tensors = {
        f"lora_unet_{qkv}.lora_down.weight": down,
        f"lora_unet_{qkv}.lora_up.weight": up,
        f"lora_unet_{qkv}.alpha": torch.tensor(3.0),
        f"lora_unet_{last}.lora_down.weight": down_last,
        f"lora_unet_{last}.lora_up.weight": up_last,
        f"lora_unet_{last}.alpha": torch.tensor(1.0),
    }
    by_hand("kohya", tensors, merged)

    scale = torch.cat([merged[p].norm(dim=1, keepdim=True) for p in parts]) * 1.2
    dora = {p: merged[p] * s / W[p].norm(dim=1, keepdim=True) for p, s in zip(parts, scale.chunk(3))}
    kept = {k: v for k, v in tensors.items() if qkv in k}
    by_hand("kohya_dora_rows", {**kept, f"lora_unet_{qkv}.dora_scale": scale}, dora)

    k = "transformer_blocks.0.ff.net.0.proj"
    spelled = "lycoris_transformer_blocks_0_ff_net_0_proj"
    down, up = rand(2, 48), rand(192, 2)
    updated = W[k] + up @ down * 2.0
    columns = updated.norm(dim=0, keepdim=True) * (1 + rand(1, 48))
    tensors = {f"{spelled}.lora_down.weight": down, f"{spelled}.lora_up.weight": up, f"{spelled}.alpha": torch.tensor(4.0), f"{spelled}.dora_scale": columns}
    by_hand("lycoris_dora_columns", tensors, {k: updated * columns / updated.norm(dim=0, keepdim=True)})

    w1, w2 = rand(4, 4), rand(48, 12)
    by_hand("lycoris_lokr_whole", {f"{spelled}.lokr_w1": w1, f"{spelled}.lokr_w2": w2, f"{spelled}.alpha": torch.tensor(9.0)}, {k: W[k] + torch.kron(w1, w2)})
    a, b = rand(48, 2), rand(2, 12)
    tensors = {f"{spelled}.lokr_w1": w1, f"{spelled}.lokr_w2_a": a, f"{spelled}.lokr_w2_b": b, f"{spelled}.alpha": torch.tensor(3.0)}
    by_hand("lycoris_lokr_parts", tensors, {k: W[k] + torch.kron(w1, a @ b) * 3.0 / 2})
    a1, b1, a2, b2 = rand(192, 2), rand(2, 48), rand(192, 2), rand(2, 48)
    tensors = {f"{spelled}.hada_w1_a": a1, f"{spelled}.hada_w1_b": b1, f"{spelled}.hada_w2_a": a2, f"{spelled}.hada_w2_b": b2, f"{spelled}.alpha": torch.tensor(3.0)}
    by_hand("lycoris_loha", tensors, {k: W[k] + (a1 @ b1) * (a2 @ b2) * 3.0 / 2})


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    goldens()
    save_file({**CASE, **EXPECTED}, OUT / "computed.safetensors")
