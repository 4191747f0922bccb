"""A run of an image classifier with its decomposition and study, small and written by the program."""

import atexit
import functools
import json
import pathlib
import shutil
import tempfile

from bilens_cli import run, write_idx_folder

SIDE, CLASSES, K = 6, 4, 7  # pixels a side, classes, eigenpairs of each


def write_json(path, value):
    path.write_text(json.dumps(value))


def change_json(path, change):
    """Calls `change` with what the file holds, and writes what it made of that."""
    value = json.loads(path.read_text())
    change(value)
    write_json(path, value)


@functools.cache
def example():
    """The run, made once for all tests of a process."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bilens-example-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    data = write_idx_folder(folder / "data", images=100, height=SIDE, width=SIDE, classes=CLASSES)
    train = {
        "epochs": 2,
        "batch_size": 3,
        "learning_rate": 7e-3,
        "seed": 3,
        "input_noise": {"std": 0.3, "unit": "pixel"},
    }
    write_json(
        folder / "config.json",
        {
            "model": {"d_model": 8, "d_hidden": 8},
            "data": {"dataset": "mnist", "path": str(data), "validation_fraction": 0.1},
            "train": train,
            "device": "cpu",
            "threads": 1,
        },
    )
    for command in (
        ("train", folder / "config.json", "--out", folder / "run"),
        ("decompose", folder / "run", "--set", f"k={K}"),
    ):
        done = run(*command)
        assert done.returncode == 0, done.stderr
    return folder / "run"


def write_example(folder):
    shutil.copytree(example(), folder)
