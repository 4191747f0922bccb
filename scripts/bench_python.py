"""bilens.decompose on matrices in memory, beside the program on the same layer, torch's eigh and SciPy's ARPACK; and
what one call costs above its solver. Called by scripts/bench.sh python."""

import statistics
import time
import unittest.mock

import bilens
import torch

from bench_common import THREADS, arguments, keep, table
from bench_decompose import LARGE, SMALL, K, measure_bilens, measure_peer

DIRECTIONS = 64
CALL = (64, 256)  # d, h of the layer whose calls are counted
CALLS = 200


def layer(d, h, n):
    """That of write_layer, "random"."""
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(h, d, generator=generator) / d**0.5
    v = torch.randn(h, d, generator=generator) / d**0.5
    return w, v, torch.randn(n, h, generator=generator) / h**0.5


def measure_package(d, h):
    """Seconds of a direction, the whole call counted."""
    w, v, u = layer(d, h, DIRECTIONS)
    begin = time.perf_counter()
    found = bilens.decompose(w, v, directions=u, k=K, energy="off", threads=THREADS)
    seconds = time.perf_counter() - begin
    assert found.info["layers"][0]["converged"] == DIRECTIONS
    return seconds / DIRECTIONS


def compare(options):
    """Interleaved: every round runs the peers, the program and the package once."""
    ours, program, theirs = {}, {}, {}
    for round_number in range(options.rounds):
        for size in (LARGE, SMALL):
            theirs.setdefault(size, []).append(measure_peer(*size, "random"))
            parts = measure_bilens(options, *size, DIRECTIONS, "random")[0]
            program.setdefault(size, []).append(sum(parts.values()))
            ours.setdefault(size, []).append(measure_package(*size))
        print(f"round {round_number + 1} of {options.rounds} done", flush=True)
    rows = []
    for size in (LARGE, SMALL):
        mine, of_program = statistics.median(ours[size]), statistics.median(program[size])
        peers = [statistics.median(column) for column in zip(*theirs[size])]
        rows.append(
            (
                f"random, {size[0]} × {size[1]}, probe",
                f"{1e3 * mine:.1f} ms",
                f"{1e3 * of_program:.1f} ms",
                ", ".join(f"{1e3 * p:.1f}" for p in peers) + " ms",
                f"{min(peers) / mine:.2f}",
                f"{of_program / mine:.2f}",
            )
        )
    head = (
        "layer",
        "package, a direction",
        "program, without its start",
        "form + eigh, ARPACK matrix-free, form + ARPACK",
        "speed ratio",
        "beside the program",
    )
    return table(head, rows)


def overhead():
    """Measure one call on one thread: what the package adds to the library's call, and what that adds to its solver."""
    w, v, u = layer(*CALL, 1)
    engine = bilens._bilens.decompose
    inside = []

    def timed(**arguments):
        begin = time.perf_counter()
        found = engine(**arguments)
        inside.append(time.perf_counter() - begin)
        return found

    whole, solver = [], []
    with unittest.mock.patch.object(bilens._bilens, "decompose", timed):
        for _ in range(CALLS):
            found = None  # the last result goes before the clock starts
            begin = time.perf_counter()
            found = bilens.decompose(w, v, directions=u, k=K, threads=1)
            whole.append(time.perf_counter() - begin)
            solver.append(sum(found.info["layers"][0]["seconds"].values()))
    above = statistics.median(a - b for a, b in zip(whole, inside))
    around = statistics.median(a - b for a, b in zip(inside, solver))
    return (
        f"\nOne call on a {CALL[0]} × {CALL[1]} layer, one direction, one thread: "
        f"{1e3 * statistics.median(whole):.2f} ms. Of these, {1e6 * above:.0f} µs are the package's, above the "
        f"library's call, and {1e6 * around:.0f} µs the library's around its solver.\n"
    )


def main():
    options = arguments(__doc__).parse_args()
    bilens.set_progress(None)
    keep("python", options, compare(options) + overhead())


if __name__ == "__main__":
    main()
