"""Training and decomposition of the MNIST classifier, bilens against eager PyTorch.

Called by scripts/bench.sh train.
"""

import json
import pathlib
import statistics
import sys
import tempfile

from bench_common import ROOT, arguments, bilens, keep, layer_entry, peer, table

CASES = {  # name: (width, noise, epochs timed)
    "width 256": (256, 0.0, 3),
    "width 512, noise 0.5": (512, 0.5, 1),
}


def measure_peer(data, width, noise, epochs):
    result = json.loads(peer("peer_mnist.py", data, epochs, width, noise))
    return result["images_per_s"], result["decompose_s"]


def measure_bilens(options, width, noise, epochs):
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        train = bilens(
            options,
            "train",
            ROOT / "configs/mnist.json",
            "--out",
            run,
            "--set",
            f"data.path={options.data}",
            "--set",
            f"train.epochs={epochs}",
            "--set",
            f"model.d_model={width}",
            "--set",
            f"model.d_hidden={width}",
            "--set",
            f"train.input_noise.std={noise}",
            "--set",
            f"checkpoint.every_epochs={epochs}",
        )
        bilens(options, "decompose", run / "model", "--set", "analyses=[]")
        return train["images_per_second"], sum(layer_entry(run / "model/decomposition")["seconds"].values())


def bilens_alone(options):
    for name, (width, noise, epochs) in CASES.items():
        runs = [measure_bilens(options, width, noise, epochs) for _ in range(options.rounds)]
        speed, decompose = (statistics.median(values) for values in zip(*runs))
        times = f"{speed:,.0f} images/s, decomposition {1e3 * decompose:.0f} ms"
        print(f"{name}, {options.device}: {times} (median of {options.rounds})")


def main():
    parser = arguments(__doc__)
    default = ROOT / "data/mnist"
    parser.add_argument(
        "--data", type=pathlib.Path, default=default if default.exists() else ROOT.parent / "shared/data/mnist"
    )
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.exit(f"{options.data}: no MNIST there. Run scripts/get_data.sh mnist, or name its folder with --data.")
    if options.device != "cpu":
        return bilens_alone(options)
    rows = []
    for name, (width, noise, epochs) in CASES.items():
        ours, theirs = [], []
        for round_number in range(options.rounds):
            theirs.append(measure_peer(options.data, width, noise, epochs))
            ours.append(measure_bilens(options, width, noise, epochs))
            print(
                f"{name}, round {round_number + 1}: bilens {ours[-1][0]:,.0f} images/s, PyTorch {theirs[-1][0]:,.0f};"
                f" decomposition {1e3 * ours[-1][1]:.0f} ms, {1e3 * theirs[-1][1]:.0f} ms",
                flush=True,
            )
        (speed, decompose), (peer_speed, peer_decompose) = (
            map(statistics.median, zip(*runs)) for runs in (ours, theirs)
        )
        rows.append(
            (f"train, {name}", f"{speed:,.0f} images/s", f"{peer_speed:,.0f} images/s", f"{speed / peer_speed:.2f}")
        )
        rows.append(
            (
                f"decompose 10 × {width} × {width} into 784 pixels",
                f"{1e3 * decompose:.0f} ms",
                f"{1e3 * peer_decompose:.0f} ms",
                f"{peer_decompose / decompose:.2f}",
            )
        )
    keep("train", options, table(("what", "bilens", "PyTorch", "speed ratio"), rows))


if __name__ == "__main__":
    main()
