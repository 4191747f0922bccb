#!/usr/bin/env python3
"""Makes tests/io/fixtures/*.pt: what torch.save writes of small models, for the tests of the reader.

Usage: scripts/make_torch_fixtures.py       in an environment where `import torch` works (scripts/setup.sh --bench)

Written with torch 2.14.1. Every tensor holds 0, 1, 2, ... (in its dtype), so that the tests know the contents.
"""

import argparse
import collections
import pathlib
import zipfile

import torch

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests/io/fixtures"


def counted(*shape, dtype=torch.float32):
    return torch.arange(torch.Size(shape).numel()).reshape(shape).to(dtype)


def recompress(source, target):
    """The same archive, deflated."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.infolist():
            new.writestr(item.filename, old.read(item))


def main():
    dtypes = {
        str(d).removeprefix("torch."): counted(2, 3, dtype=d)
        for d in (
            torch.float32,
            torch.float64,
            torch.float16,
            torch.bfloat16,
            torch.int64,
            torch.int32,
            torch.int16,
            torch.int8,
            torch.uint8,
            torch.uint16,
            torch.uint32,
            torch.float8_e4m3fn,
        )
    }
    dtypes["bool"] = torch.tensor([True, False, True])
    dtypes["scalar"] = torch.tensor(2.5)
    dtypes["empty"] = torch.zeros(0, 3)
    torch.save(dtypes, FOLDER / "dtypes.pt")

    whole = counted(4, 6)
    views = {
        "whole": whole,
        "transposed": whole.t(),
        "rows": whole[1:3],
        "columns": whole[:, ::2],
        "tied": whole,
        "expanded": torch.ones(1).expand(3),
        "parameter": torch.nn.Parameter(counted(2)),
    }
    torch.save(views, FOLDER / "views.pt")

    linear = torch.nn.Sequential(collections.OrderedDict(embed=torch.nn.Linear(3, 2)))
    with torch.no_grad():
        linear.embed.weight.copy_(counted(2, 3))
        linear.embed.bias.copy_(counted(2))
    state = linear.state_dict()  # an OrderedDict with an attribute, _metadata
    torch.save(state, FOLDER / "state_dict.bin")
    for protocol in (3, 4, 5):
        torch.save(state, FOLDER / f"protocol_{protocol}.pt", pickle_protocol=protocol)
    recompress(FOLDER / "state_dict.bin", FOLDER / "deflated.bin")

    optimizer = torch.optim.AdamW(linear.parameters())
    linear(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    with torch.no_grad():
        linear.embed.weight.copy_(counted(2, 3))
    torch.save(
        {
            "epoch": 3,
            "args": argparse.Namespace(lr=1e-3),
            "path": pathlib.PurePosixPath("x"),
            "optimizer": optimizer.state_dict(),
            "loss": [0.5, None, True],
            "big": 2**70,
            "set": {1},
            "model_state_dict": {f"module._orig_mod.{k}": v for k, v in linear.state_dict().items()},
        },
        FOLDER / "checkpoint.pth",
    )
    torch.save(linear, FOLDER / "module.pt")
    torch.save(state, FOLDER / "legacy.pt", _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main()
