"""What the benchmarks share: the machine's line, calls of bilens and of the peers, the table in docs/benchmarks.md."""

import argparse
import datetime
import json
import pathlib
import platform
import subprocess
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[1]
THREADS = 2  # what the peers are written for


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", help="on another device than the CPU, bilens is timed alone")
    parser.add_argument("--bilens", type=pathlib.Path, default=ROOT / "build/bilens")
    return parser


def peer(script, *arguments):
    return output_of([sys.executable, ROOT / "scripts/peers" / script, *arguments])


def bilens(options, *arguments):
    """The first result of a command's --json."""
    command = [options.bilens, *arguments, "--json", "--quiet", "--threads", THREADS, "--device", options.device]
    return json.loads(output_of(command))["results"][0]


def output_of(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr}")
    return done.stdout


def steady_rate(run, tokens):
    """Tokens/s of a training run without its first step, or the first steps that a GPU reports together.

    @param tokens: of a step
    """
    lines = [json.loads(line) for line in (pathlib.Path(run) / "metrics.jsonl").read_text().splitlines()]
    # Lines hold running means, those that are written together the same: the last of them tells the seconds since the
    # start.
    last_of = {line["tokens_per_second"]: line["step"] for line in lines if "tokens_per_second" in line}
    (first, begin), *_, (last, end) = [(step, step * tokens / rate) for rate, step in last_of.items()]
    return (last - first) * tokens / (end - begin)


def layer_entry(folder):
    return json.loads((pathlib.Path(folder) / "decomposition.json").read_text())["layers"][0]


def machine():
    cpu = next(
        (line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    return f"{cpu}, {THREADS} threads; {peer('peer_limits.py').strip()}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]) + "\n"


def keep(name, options, text, how=None):
    """Prints a benchmark's tables and puts them between its marks in docs/benchmarks.md."""
    how = how or f"median of {options.rounds}, interleaved"
    note = f"`scripts/bench.sh {name}`, {datetime.date.today()}, {options.device}, {how}. Machine: {machine()}.\n\n"
    print("\n" + note + text)
    written = "\n".join(
        line if line.startswith("|") else textwrap.fill(line, 116) for line in (note + text).split("\n")
    )
    file = ROOT / "docs/benchmarks.md"
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, rest = file.read_text().split(start)
    file.write_text(before + start + written + end + rest.split(end)[1])
