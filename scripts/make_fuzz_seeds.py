#!/usr/bin/env python3
"""Fills a folder with small valid inputs of the parsers that scripts/fuzz.sh runs.

Usage: scripts/make_fuzz_seeds.py FOLDER        gets safetensors/, torch/, llama2c/, index/
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


def safetensors(header, data):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def main():
    folder = pathlib.Path(sys.argv[1])
    seeds = {f"llama2c/v{v}-{s}": llama2c(v, s) for v in (0, 1) for s in (0, 1)}
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
