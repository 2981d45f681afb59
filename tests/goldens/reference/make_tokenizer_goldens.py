"""The tokenizers in the program (assets/tokenizers), and token ids by transformers for prompts of every kind.

`make_tokenizer_goldens.py MERGES T5_JSON` rebuilds the assets first: OpenAI's `bpe_simple_vocab_16e6.txt.gz` as PyPI's
open_clip_torch 3.3.0 ships it, and Google's T5 `tokenizer.json` as crates.io's diffusion-rs-sys 0.1.20 ships it
(stable-diffusion.cpp/src/tokenizers/vocab/t5.hpp, its bytes). Without arguments only the golden is written.

Needs transformers, sentencepiece and protobuf; run from this folder. T5's ids are checked against sentencepiece too, on a
model put together from the same pieces.
"""

import base64
import gzip
import json
import sys
import tempfile
from pathlib import Path

from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2
from transformers import CLIPTokenizer, T5TokenizerFast

HERE = Path(__file__).resolve().parent
ASSETS = HERE.parents[2] / "assets/tokenizers"
OUT = HERE.parent / "tokenizers"

PROMPTS = [
    "",
    " ",
    "a photo of a cat",
    "A hazy street in the rain, 35mm, f/2.8",
    "  leading,   doubled and trailing spaces  ",
    "tabs\tand\nnew lines\r\n",
    "I don't think they've said it's 3.14 o'clock",
    "Straße, naïve café, Ångström, İstanbul",
    "decomposed e\u0301 a\u0308 and composed é ä",
    "北京的雨和雾",
    "日本語のテキスト、雪が降る",
    "снег и дождь в городе",
    "مطر خفيف في المدينة",
    "\u202eשלום, right to left",
    "👩‍👩‍👧‍👦 family in the 🌧️ and ☃",
    "flags 🇩🇪🇯🇵, skin 👍🏽, keycap 1️⃣",
    "ﬁne ﬀ ligatures, Ⅷ, ½, ① and ｆｕｌｌ width",
    "zero\u200bwidth\u00a0no-break\u2009thin\ufeffmark",
    "\x00control\x07 characters\x1b[0m",
    "unassigned \U000e0fff and private \ue000",
    "<|endoftext|> and </s> and <pad> and <extra_id_0>",
    "!!! ... ??? --- ((deeply)) [nested:1.3] {a|b}",
    "1234567890 12,345.67 1e-5",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "x" * 300,
    "rain and haze and snow " * 40,
    "雨" * 400,
    "word" + " !" * 100,
]


def unicode_of_bytes():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return [*map(chr, printable), *(chr(256 + n) for n in range(len(others)))]


def rebuild(merges, t5):
    lines = gzip.decompress(Path(merges).read_bytes()).decode().splitlines()[1 : 49152 - 256 - 2 + 1]
    (ASSETS / "clip_merges.txt.gz").write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), 9, mtime=0))
    tokenizer = json.loads(Path(t5).read_text())
    # White space at the end is dropped, as sentencepiece does and as every tokenizer.json since transformers 4.38 says.
    strip = {"type": "Strip", "strip_left": False, "strip_right": True}
    tokenizer["normalizer"]["normalizers"].insert(1, strip)
    (ASSETS / "t5.json.gz").write_bytes(gzip.compress(json.dumps(tokenizer, ensure_ascii=False).encode(), 9, mtime=0))


def clip(folder):
    merges = gzip.decompress((ASSETS / "clip_merges.txt.gz").read_bytes()).decode().splitlines()
    letters = unicode_of_bytes()
    words = letters + [c + "</w>" for c in letters] + ["".join(m.split()) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{m}\n" for m in merges))
    l = CLIPTokenizer.from_pretrained(folder)
    # The second encoder's tokenizer pads with "!", which is then a token of its own wherever a prompt has it.
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "!"}))
    return l, CLIPTokenizer.from_pretrained(folder)


def sentencepiece(tokenizer, file):
    model = sentencepiece_model_pb2.ModelProto()
    for i, (piece, score) in enumerate(tokenizer["model"]["vocab"][:32000]):
        model.pieces.add(piece=piece, score=score, type={0: 3, 1: 3, 2: 2}.get(i, 1))
    trainer, normalizer = model.trainer_spec, model.normalizer_spec
    trainer.model_type, trainer.unk_id, trainer.bos_id, trainer.eos_id, trainer.pad_id = 1, 2, -1, 1, 0
    normalizer.precompiled_charsmap = base64.b64decode(tokenizer["normalizer"]["normalizers"][0]["precompiled_charsmap"])
    normalizer.add_dummy_prefix = normalizer.remove_extra_whitespaces = normalizer.escape_whitespaces = True
    file.write_bytes(model.SerializeToString())
    return SentencePieceProcessor(model_file=str(file))


def main():
    ASSETS.mkdir(exist_ok=True)
    OUT.mkdir(exist_ok=True)
    if sys.argv[1:]:
        rebuild(*sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        l, g = clip(folder)
        file = folder / "t5.json"
        file.write_bytes(gzip.decompress((ASSETS / "t5.json.gz").read_bytes()))
        t5 = T5TokenizerFast(tokenizer_file=str(file))
        pieces = sentencepiece(json.loads(file.read_text()), folder / "spiece.model")
    cases = []
    for prompt in PROMPTS:
        ids = t5(prompt, truncation=True, max_length=256)["input_ids"]
        if "<" not in prompt:
            assert ids == [*pieces.encode(prompt)[:255], 1], prompt
        of_clip = [t(prompt, truncation=True, max_length=77)["input_ids"] for t in (l, g)]
        cases.append({"prompt": prompt, "clip_l": of_clip[0], "clip_g": of_clip[1], "t5": ids})
    rows = ",\n".join(json.dumps(case) for case in cases)
    (OUT / "case.json").write_text(f"[\n{rows}\n]\n")


if __name__ == "__main__":
    main()
