"""Top eigenpairs of layers nobody wants to form, bilens against torch's eigh and SciPy's ARPACK. Called by
scripts/bench.sh decompose."""

import json
import pathlib
import re
import statistics
import tempfile

import torch
from safetensors.torch import save_file

from bench_common import arguments, bilens, keep, layer_entry, peer, table

LARGE, SMALL = (2048, 5632), (256, 1024)  # d, h: a TinyLlama-size layer, a small one
K = 10
PEER_DIRECTIONS = 4  # the peers take one direction after the other: the time of one does not depend on their number


def write_layer(folder, d, h, n, kind):
    """The layer and directions of peer_decompose.py."""
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(h, d, generator=generator) / d**0.5
    v = torch.randn(h, d, generator=generator) / d**0.5
    s = torch.randn(n, h, generator=generator) / h**0.5
    if kind == "decay":
        scale = torch.arange(1, d + 1).float() ** -1.0
        w, v = w * scale, v * scale
    save_file({"mlp.gate_proj.weight": w, "mlp.up_proj.weight": v}, folder / "layer.safetensors")
    save_file({"u": s}, folder / "directions.safetensors")


def measure_bilens(options, d, h, n, kind, **settings):
    """(seconds of each part for one direction, the layer's entry, bytes)."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_layer(folder, d, h, n, kind)
        directions = json.dumps({"kind": "file", "path": str(folder / "directions.safetensors"), "tensor": "u"})
        sets = [
            argument
            for key, value in {"k": K, "directions": directions, "energy": "off", **settings}.items()
            for argument in ("--set", f"{key}={value}")
        ]
        result = bilens(
            options,
            "decompose",
            folder / "layer.safetensors",
            "--gate",
            "none",
            "--set",
            "weights.down=identity",
            "--out",
            folder / "out",
            *sets,
        )
        entry = layer_entry(folder / "out")
        assert entry["converged"] == n, (
            f"{entry['converged']} of {n} converged, worst residual {entry['worst_residual']}"
        )
        return {part: seconds / n for part, seconds in entry["seconds"].items()}, entry, result["peak_memory_bytes"]


def measure_peer(d, h, kind):
    """The seconds of the three peers for one direction."""
    result = json.loads(peer("peer_decompose.py", d, h, PEER_DIRECTIONS, K, kind))
    return result["form_eigh_s"], result["eigsh_matrix_free_s"], result["form_eigsh_s"]


def compare(options):
    """Interleaved: every round runs the peers and each variant once."""
    cases = [
        (f"{kind}, {LARGE[0]} × {LARGE[1]}, {text}", LARGE, 64, kind, settings, None)
        for kind in ("random", "decay")
        for text, settings in (("probe", {}), ("no probe", {"probe": "false"}))
    ]
    cases += [
        (f"{kind}, {LARGE[0]} × {LARGE[1]}, certified", LARGE, 16, kind, {"certify": "true"}, 0)
        for kind in ("random", "decay")
    ]
    cases.append((f"random, {SMALL[0]} × {SMALL[1]}, probe", SMALL, 64, "random", {}, None))
    ours = {case[0]: [] for case in cases}
    theirs = {}
    for round_number in range(options.rounds):
        for size, kind in ((LARGE, "random"), (LARGE, "decay"), (SMALL, "random")):
            theirs.setdefault((size, kind), []).append(measure_peer(*size, kind))
        for name, size, n, kind, settings, _ in cases:
            seconds, entry, _ = measure_bilens(options, *size, n, kind, **settings)
            ours[name].append((sum(seconds.values()), entry))
        print(f"round {round_number + 1} of {options.rounds} done", flush=True)
    rows = []
    for name, size, _, kind, _, only in cases:
        mine = statistics.median(seconds for seconds, _ in ours[name])
        peers = [statistics.median(column) for column in zip(*theirs[size, kind])]
        best = min(peers) if only is None else peers[only]
        entry = ours[name][0][1]
        rows.append(
            (
                name,
                f"{1e3 * mine:.1f} ms ({entry['solver']})",
                ", ".join(f"{1e3 * p:.1f}" for p in peers) + " ms",
                f"{best / mine:.2f}",
                f"{entry['worst_residual']:.1e}",
            )
        )
    return table(
        (
            "layer",
            "bilens, a direction",
            "form + eigh, ARPACK matrix-free, form + ARPACK",
            "speed ratio",
            "worst residual",
        ),
        rows,
    )


def scale(options):
    """Cost against directions and against h·d, once each; memory as the process's peak, LibTorch's own 0.2 GB in it."""
    rows = []
    for d, h, n in ((1024, 2816, 32), (1024, 2816, 64), (1024, 2816, 128), (1024, 5632, 64), (2048, 5632, 64)):
        seconds, _, memory = measure_bilens(options, d, h, n, "random")
        rows.append(
            (
                f"{d} × {h}",
                n,
                f"{n * sum(seconds.values()):.1f} s",
                f"{1e3 * sum(seconds.values()):.0f} ms",
                f"{1e9 * sum(seconds.values()) / (h * d):.1f} ns",
                f"{memory / 1e6:,.0f} MB",
            )
        )
    seconds, _, _ = measure_bilens(options, *LARGE, 8, "random", energy="exact")
    layer = f"{LARGE[0]} × {LARGE[1]} layer"
    energy = f"\nThe exact energy of a {layer}, for all directions together: {8 * seconds['energy']:.1f} s.\n"
    return table(("layer", "directions", "time", "a direction", "a direction and weight", "peak memory"), rows) + energy


def whole_tensor(options):
    """Both modes of the HOSVD beside the time of their products alone, at the rate measured just before."""
    (d, h), m = LARGE, LARGE[0]
    generator = torch.Generator().manual_seed(0)
    operations = 12 * h * h * d + 2 * m * h * h + 2 * m * m * h + 4 * h * d * d
    times, limits = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        shapes = {"mlp.gate_proj.weight": (h, d), "mlp.up_proj.weight": (h, d), "mlp.down_proj.weight": (m, h)}
        tensors = {
            tensor: torch.randn(shape, generator=generator) / shape[1] ** 0.5 for tensor, shape in shapes.items()
        }
        save_file(tensors, folder / "layer.safetensors")
        weights = sum(tensor.numel() * 4 for tensor in tensors.values())
        for number in range(options.rounds):
            rate = 1e9 * float(re.search(r"f64 GEMM (\d+)", peer("peer_limits.py")).group(1))
            result = bilens(
                options,
                "decompose",
                folder / "layer.safetensors",
                "--gate",
                "none",
                "--out",
                folder / f"out-{number}",
                "--set",
                "method=hosvd",
                "--set",
                "k=100",
            )
            limits.append(operations / rate)
            times.append(layer_entry(folder / f"out-{number}")["seconds"]["hosvd"])
    ratio = statistics.median(time / limit for time, limit in zip(times, limits))
    return (
        f"\nHOSVD of a {m} × {d} × {d} tensor from {h} hidden units, both modes, float64: "
        f"{statistics.median(times):.1f} s, {ratio:.2f} × the time of its products alone "
        f"({1e-12 * operations:.1f} TFLOP); peak memory "
        f"{result['peak_memory_bytes'] / 1e6:,.0f} MB, weights {weights / 1e6:,.0f} MB.\n"
    )


def main():
    options = arguments(__doc__).parse_args()
    if options.device != "cpu":
        for kind in ("random", "decay"):
            runs = [sum(measure_bilens(options, *LARGE, 64, kind)[0].values()) for _ in range(options.rounds)]
            time = f"{1e3 * statistics.median(runs):.1f} ms a direction"
            print(f"{kind}, {options.device}: {time} (median of {options.rounds})")
        return
    keep("decompose", options, compare(options) + "\n" + scale(options) + whole_tensor(options))


if __name__ == "__main__":
    main()
