"""Calls of bilens that leave something behind: trained models and decompositions, each made once."""

import gzip
import hashlib
import json
import os
import pathlib
import subprocess
import threading

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEST_DATA = pathlib.Path(os.environ.get("BILENS_TEST_DATA") or ROOT.parent / "shared/data")
MODELS = ROOT / "runs/papers"
PROGRAM = os.environ.get("BILENS") or ROOT / "build/bilens"


class Failed(Exception):
    """A call of bilens that ended with an error."""


class Missing(Exception):
    """Data that a row needs and that are not there."""


def data_folder(name):
    """Folder of images by their name."""
    for folder in (ROOT / "data" / name, TEST_DATA / name):
        if (folder / "train-images-idx3-ubyte.gz").exists():
            return folder
    raise Missing(f"data/{name} is not there: run scripts/get_data.sh {name}")


def bilens(*arguments):
    """The first result of a command's --json, on one thread."""
    words = [str(word) for word in (PROGRAM, *arguments, "--json", "--quiet")]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "OMP_WAIT_POLICY": "passive"})
    if done.returncode:
        raise Failed(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return json.loads(done.stdout)["results"][0]


def settings(changes):
    """--set flags of {"train.epochs": 5, ...}."""
    return [word for key, value in changes.items() for word in ("--set", f"{key}={json.dumps(value)}")]


def with_changes(config, changes):
    """A copy of a config with keys like "train.epochs" replaced."""
    config = json.loads(json.dumps(config))
    for key, value in changes.items():
        *above, last = key.split(".")
        place = config
        for name in above:
            place = place.setdefault(name, {})
        place[last] = value
    return config


def base_config(name):
    """The config in configs/papers that a row starts from."""
    return json.loads((ROOT / f"configs/papers/{name}.json").read_text())


def fingerprint(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


class Locks:
    """A lock for each name, so that two rows at a time make a thing once."""

    def __init__(self):
        self.locks, self.own = {}, threading.Lock()

    def __getitem__(self, name):
        with self.own:
            return self.locks.setdefault(name, threading.Lock())


LOCKS = Locks()


def trained(config):
    """The run of a config, trained where it is not there yet. @return its folder and what `bilens train` says of it"""
    run = MODELS / fingerprint(config)
    run.parent.mkdir(parents=True, exist_ok=True)
    file = run.with_suffix(".json")
    data = config["data"]
    if data["dataset"] in ("mnist", "fashion-mnist"):
        config = with_changes(config, {"data.path": str(data_folder(data["dataset"]))})
    with LOCKS[run]:
        file.write_text(json.dumps(config))
        return run, bilens("train", file, "--out", run, "--resume", "--threads", 1)


def decomposed(run, changes, name="decomposition", model="model"):
    """The folder of a decomposition of a run's model, made where it is not there yet."""
    out = run / name
    with LOCKS[out]:
        if not (out / "decomposition.json").exists():
            bilens("decompose", run / model, "--out", out, "--threads", 1, *settings({"analyses": [], **changes}))
    return out


def read_idx(path):
    """The numbers of an IDX file, packed or not."""
    raw = (gzip.open if path.suffix == ".gz" else open)(path, "rb").read()
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3])]
    return numpy.frombuffer(raw, numpy.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def write_idx(path, values):
    values = numpy.ascontiguousarray(values, numpy.uint8)
    head = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + values.tobytes())


def images_of(name, part):
    """Images uint8 [n, 28, 28] and labels [n] of "train" or "t10k"."""
    folder = data_folder(name)
    return tuple(read_idx(folder / f"{part}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
