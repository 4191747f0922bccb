#!/usr/bin/env python3
"""Fills a folder with small valid inputs of the parsers that scripts/fuzz.sh runs.

Usage: scripts/make_fuzz_seeds.py FOLDER        gets safetensors/, torch/, llama2c/, index/, tokenizer/
"""

import json
import pathlib
import shutil
import struct
import sys
import zipfile

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "tests/io/fixtures"


def llama2c(version, shared):
    dim, hidden, layers, heads, kv_heads, words, positions = sizes = (4, 3, 1, 2, 1, 2, 2)
    kv = dim // heads * kv_heads
    count = (
        words * dim * (1 if shared else 2) + layers * (2 * dim + 2 * dim * dim + 2 * kv * dim + 3 * hidden * dim) + dim
    )
    if version == 0:
        legacy = (*sizes[:5], words if shared else -words, positions)
        return struct.pack("<7i", *legacy) + bytes(4 * (count + positions * dim // heads))
    header = struct.pack("<Ii7iB", 0x616B3432, 1, *sizes, shared)
    return header.ljust(256, b"\0") + bytes(4 * count)


def llama2c_quantised(shared, group=2):
    """Version 2: norms in float32, then of each matrix int8 codes and the scales of their groups."""
    dim, hidden, layers, heads, kv_heads, words, positions = sizes = (4, 3, 1, 2, 1, 2, 2)
    kv = dim // heads * kv_heads
    header = struct.pack("<Ii7iBi", 0x616B3432, 2, *sizes, shared, group)
    parts = [header.ljust(256, b"\0"), struct.pack(f"<{(2 * layers + 1) * dim}f", *[1] * (2 * layers + 1) * dim)]
    matrices = [words * dim, *[dim * dim, kv * dim, kv * dim, dim * dim, *[hidden * dim] * 3] * layers]
    for count in [*matrices, *[words * dim] * (not shared)]:
        parts += [bytes(i % 256 for i in range(count)), struct.pack(f"<{count // group}f", *[0.5] * (count // group))]
    return b"".join(parts)


def safetensors(header, data):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tokenizers():
    """Small tokenizer.json files, each with a text behind a NUL byte."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}
    digits = {"type": "Digits", "individual_digits": True}
    regex = {"Regex": "(?i:'s)|[^\\r\\n\\p{L}]?\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)|\\s+"}
    split = {"type": "Split", "pattern": regex, "behavior": "Isolated", "invert": False}
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    unspace = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    fallback = [unspace, {"type": "ByteFallback"}, {"type": "Fuse"}, strip]
    flags = {"single_word": False, "lstrip": False, "rstrip": True, "normalized": True, "special": False}
    model = {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True}
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "b", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "special_tokens": {"b": {"id": "b", "ids": [1], "tokens": ["b"]}},
    }
    bytes_of = {"a": 0, "b": 1, "Ġ": 2, "ab": 3, "Ġa": 4, "Ã": 5, "©": 6, "<unk>": 7, "1": 8, "'": 9, "s": 10}
    words = {"a": 0, "b": 1, "▁": 2, "▁a": 3, "ab": 4, "<unk>": 5, "<0xC3>": 6, "<0xA9>": 7, "<0x31>": 8}
    return [
        {
            "added_tokens": [{"id": 11, "content": "<s>", **flags}],
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, split, byte_level]},
            "post_processor": template,
            "decoder": byte_level,
            "model": {**model, "ignore_merges": True, "vocab": bytes_of, "merges": [["a", "b"], ["Ġ", "a"]]},
        },
        {
            "added_tokens": [{"id": 9, "content": "ba", **flags, "single_word": True}],
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, spaces]},
            "decoder": {"type": "Sequence", "decoders": fallback},
            "model": {**model, "byte_fallback": True, "vocab": words, "merges": ["▁ a", "a b"]},
        },
        {
            "normalizer": {"type": "Lowercase"},
            "pre_tokenizer": metaspace,
            "decoder": metaspace,
            "model": {**model, "vocab": words, "merges": ["▁ a"]},
        },
        {
            "normalizer": {"type": "Strip", "strip_left": True, "strip_right": True},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, {"type": "Punctuation"}]},
            "model": {**model, "vocab": words, "merges": []},
        },
    ]


def main():
    folder = pathlib.Path(sys.argv[1])
    seeds = {f"llama2c/v{v}-{s}": llama2c(v, s) for v in (0, 1) for s in (0, 1)}
    seeds |= {f"llama2c/v2-{s}": llama2c_quantised(s) for s in (0, 1)}
    entry = {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]}
    seeds["safetensors/one"] = safetensors({"__metadata__": {"format": "pt"}, "a": entry}, bytes(8))
    seeds["safetensors/two"] = safetensors(
        {"a": entry, "b": {"dtype": "BOOL", "shape": [], "data_offsets": [8, 9]}}, bytes(9)
    )
    seeds["safetensors/none"] = safetensors({}, b"")
    seeds["index/two"] = json.dumps(
        {"metadata": {"total_size": 8}, "weight_map": {"a": "m-1.bin", "b": "m-2.bin"}}
    ).encode()
    seeds["index/none"] = b'{"weight_map": {}}'
    for number, tokenizer in enumerate(tokenizers()):
        content = json.dumps(tokenizer, ensure_ascii=False).encode()
        seeds[f"tokenizer/{number}"] = content + b"\0ab  ba'S 12<s> \xc3\xa9\xff\n"
    for path in FIXTURES.iterdir():
        if path.name == "legacy.pt":
            continue
        seeds[f"torch/{path.name}"] = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            pickle = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
            seeds[f"torch/{path.name}.pkl"] = archive.read(pickle)
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in seeds.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
