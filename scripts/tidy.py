#!/usr/bin/env python3
"""Runs clang-tidy on all sources of the program, with the checks that .clang-tidy lists, on all cores.

Usage: scripts/tidy.py [--build DIR] [STAGE...]

It reads the batches that the build compiles, all of a stage together, so it needs a build in batches (scripts/setup.sh
--lint).
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOOLS = ROOT / ".venv/bin"


def stages_of(build, wanted):
    """[(file, [flags that clang knows])] of the program's stages, or of some: a file that includes all batches of the
    stage, since reading LibTorch's headers takes most of the time."""
    database = subprocess.run(
        [TOOLS / "ninja", "-C", build, "-t", "compdb"], capture_output=True, text=True, check=True
    )
    found = {}
    for entry in json.loads(database.stdout):
        file = entry["file"]
        stage = next((part for part in file.split("/") if part.startswith("bilens_") and part.endswith(".dir")), "")
        stage = stage.removeprefix("bilens_").removesuffix(".dir")
        if "/Unity/" in file and file.endswith(".cxx") and stage and (not wanted or stage in wanted):
            found.setdefault(stage, {})[file] = flags(shlex.split(entry["command"]))
    for stage, batches in found.items():
        whole = build / "tidy" / f"{stage}.cxx"
        whole.parent.mkdir(exist_ok=True)
        whole.write_text("".join(f'#include "{file}"\n' for file in sorted(batches)))
        yield whole, next(iter(batches.values()))


def flags(words):
    kept = [word for word in words if word.startswith(("-D", "-I", "-std"))]
    for i, word in enumerate(words):
        if word == "-isystem":
            kept += [word, words[i + 1]]
    return kept


def check(batch):
    file, arguments = batch
    command = [TOOLS / "clang-tidy", "--quiet", file, "--", *arguments, "-Wno-everything"]
    return file, subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("stages", nargs="*")
    options = parser.parse_args()
    found = list(stages_of(options.build, options.stages))
    if not found:
        sys.exit(f"{options.build} holds no build in batches of these stages: run scripts/setup.sh --lint")
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for i, (file, result) in enumerate(pool.map(check, found)):
            print(f"{i + 1} of {len(found)}: {pathlib.Path(file).relative_to(options.build)}", file=sys.stderr)
            if result.returncode != 0:
                failed += 1
                print(result.stdout or result.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
