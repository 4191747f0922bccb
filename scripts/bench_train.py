"""Training and decomposition of the MNIST classifier, bilens against eager PyTorch. Called by scripts/bench.sh train."""
import argparse
import datetime
import json
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
CASES = {  # name: (width, noise, epochs timed)
    "width 256": (256, 0.0, 3),
    "width 512, noise 0.5": (512, 0.5, 1),
}


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    limits = subprocess.run([sys.executable, ROOT / "scripts/peers/peer_limits.py"], capture_output=True, text=True, check=True)
    return f"{cpu}, 2 threads; {limits.stdout.strip()}"


def peer(data, width, noise, epochs):
    command = [sys.executable, ROOT / "scripts/peers/peer_mnist.py", data, str(epochs), str(width), str(noise)]
    result = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return result["images_per_s"], result["decompose_s"]


def bilens(program, data, width, noise, epochs, device):
    def call(*arguments):
        command = [program, *arguments, "--json", "--quiet", "--threads", "2", "--device", device]
        return json.loads(subprocess.run([str(a) for a in command], capture_output=True, text=True, check=True).stdout)["results"][0]

    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        train = call("train", ROOT / "configs/mnist.json", "--out", run, "--set", f"data.path={data}", "--set", f"train.epochs={epochs}",
                     "--set", f"model.d_model={width}", "--set", f"model.d_hidden={width}", "--set", f"train.input_noise.std={noise}",
                     "--set", f"checkpoint.every_epochs={epochs}")
        call("decompose", run / "model", "--set", "analyses=[]")
        layer = json.loads((run / "model/decomposition/decomposition.json").read_text())["layers"][0]
        return train["images_per_second"], sum(layer["seconds"].values())


def bilens_alone(options):
    for name, (width, noise, epochs) in CASES.items():
        runs = [bilens(options.bilens, options.data, width, noise, epochs, options.device) for _ in range(options.rounds)]
        speed, decompose = (statistics.median(values) for values in zip(*runs))
        print(f"{name}, {options.device}: {speed:,.0f} images/s, decomposition {1e3 * decompose:.0f} ms (median of {options.rounds})")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    default = ROOT / "data/mnist"
    parser.add_argument("--data", type=pathlib.Path, default=default if default.exists() else ROOT.parent / "shared/data/mnist")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", help="on another device than the CPU, bilens is timed alone")
    parser.add_argument("--bilens", type=pathlib.Path, default=ROOT / "build/bilens")
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.exit(f"{options.data}: no MNIST there. Run scripts/get_data.sh mnist, or name its folder with --data.")

    if options.device != "cpu":
        return bilens_alone(options)
    rows = []
    for name, (width, noise, epochs) in CASES.items():
        ours, theirs = [], []
        for round_number in range(options.rounds):
            theirs.append(peer(options.data, width, noise, epochs))
            ours.append(bilens(options.bilens, options.data, width, noise, epochs, options.device))
            print(f"{name}, round {round_number + 1}: bilens {ours[-1][0]:,.0f} images/s, PyTorch {theirs[-1][0]:,.0f};"
                  f" decomposition {1e3 * ours[-1][1]:.0f} ms, {1e3 * theirs[-1][1]:.0f} ms", flush=True)
        speed, decompose = zip(*ours)
        peer_speed, peer_decompose = zip(*theirs)
        rows.append((f"train, {name}", f"{statistics.median(speed):,.0f} images/s", f"{statistics.median(peer_speed):,.0f} images/s",
                     statistics.median(speed) / statistics.median(peer_speed)))
        rows.append((f"decompose 10 × {width} × {width} into 784 pixels", f"{1e3 * statistics.median(decompose):.0f} ms",
                     f"{1e3 * statistics.median(peer_decompose):.0f} ms", statistics.median(peer_decompose) / statistics.median(decompose)))

    table = "| what | bilens | PyTorch | speed ratio |\n|---|---|---|---|\n"
    table += "".join(f"| {what} | {a} | {b} | {ratio:.2f} |\n" for what, a, b, ratio in rows)
    note = (f"`scripts/bench.sh train`, {datetime.date.today()}, {options.device}, median of {options.rounds}, interleaved.\n"
            f"Machine: {machine()}.\n\n")
    print("\n" + table)
    file = ROOT / "docs/benchmarks.md"
    start, end = "<!-- train -->\n", "<!-- /train -->"
    text = file.read_text()
    before, rest = text.split(start)
    file.write_text(before + start + note + table + end + rest.split(end)[1])


if __name__ == "__main__":
    main()
