"""What the benchmarks share: the machine's line, calls of bilens and of the peers, the table in docs/benchmarks.md."""
import argparse
import datetime
import json
import pathlib
import platform
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
THREADS = 2  # what the peers are written for


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", help="on another device than the CPU, bilens is timed alone")
    parser.add_argument("--bilens", type=pathlib.Path, default=ROOT / "build/bilens")
    return parser


def peer(script, *arguments):
    command = [sys.executable, ROOT / "scripts/peers" / script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def bilens(options, *arguments):
    """The first result of a command's --json."""
    command = [options.bilens, *arguments, "--json", "--quiet", "--threads", THREADS, "--device", options.device]
    done = subprocess.run([str(a) for a in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr}")
    return json.loads(done.stdout)["results"][0]


def layer_entry(folder):
    return json.loads((pathlib.Path(folder) / "decomposition.json").read_text())["layers"][0]


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    return f"{cpu}, {THREADS} threads; {peer('peer_limits.py').strip()}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]) + "\n"


def keep(name, options, text, how=None):
    """Prints a benchmark's tables and puts them between its marks in docs/benchmarks.md."""
    note = (f"`scripts/bench.sh {name}`, {datetime.date.today()}, {options.device}, {how or f'median of {options.rounds}, interleaved'}. "
            f"Machine: {machine()}.\n\n")
    print("\n" + note + text)
    file = ROOT / "docs/benchmarks.md"
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, rest = file.read_text().split(start)
    file.write_text(before + start + note + text + end + rest.split(end)[1])
