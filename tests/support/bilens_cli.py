"""What the tests share that drive the built program: running it, small models and data, files in its formats."""

import gzip
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest

BILENS = os.environ.get("BILENS", "build/bilens")
ROOT = pathlib.Path(__file__).resolve().parents[2]
# Where the configs of these tests compute; a command whose device is left open takes the GPU where there is one.
DEVICE = os.environ.get("BILENS_TEST_DEVICE", "cpu")
TIMEOUT = 600  # seconds; a test that waits longer has found a hang


def run(*arguments, env=None, cwd=ROOT, **options):
    """Runs bilens to its end, in the folder `cwd`. Returns CompletedProcess with text output."""
    program = BILENS if cwd == ROOT else str(ROOT / BILENS)
    return subprocess.run(
        [program, *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT,
        cwd=cwd,
        env=environment(env),
        **options,
    )


def start(*arguments, env=None, **options):
    """Starts bilens; its output goes to pipes."""
    return subprocess.Popen(
        [BILENS, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd=ROOT,
        env=environment(env),
        **options,
    )


def test_data(*names):
    """The folder with the optional test data, where everything named in it is there; else the test is skipped, or with
    BILENS_REQUIRE_DATA=1 fails."""
    folder = pathlib.Path(os.environ.get("BILENS_TEST_DATA") or ROOT / "../shared/data")
    for name in names:
        if (folder / name).exists():
            continue
        if os.environ.get("BILENS_REQUIRE_DATA") == "1":
            raise AssertionError(f"BILENS_REQUIRE_DATA=1, but there is no {folder / name}")
        raise unittest.SkipTest(f"no {folder / name} (set BILENS_TEST_DATA)")
    return folder


def environment(extra):
    return {**os.environ, **{key: str(value) for key, value in (extra or {}).items()}}


def settings(config, prefix=""):
    """{"train": {"epochs": 2}} as --set train.epochs=2."""
    flags = []
    for key, value in config.items():
        if isinstance(value, dict):
            flags += settings(value, f"{prefix}{key}.")
        else:
            flags += ["--set", f"{prefix}{key}={json.dumps(value)}"]
    return flags


def wait_for(condition, seconds=60, process=None):
    """Waits until the condition holds; an error when it does not in time or the process ends before."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited in vain")
        if process is not None and process.poll() is not None:
            raise AssertionError(f"bilens ended early ({process.returncode}): {process.stderr.read()}")
        time.sleep(0.002)


def files_below(folder):
    """{relative path: bytes} of all files."""
    folder = pathlib.Path(folder)
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def read_metrics(run_folder):
    return [json.loads(line) for line in (pathlib.Path(run_folder) / "metrics.jsonl").read_text().splitlines()]


def idx_bytes(shape, data, magic=None):
    return (magic or bytes([0, 0, 8, len(shape)])) + struct.pack(f">{len(shape)}I", *shape) + bytes(data)


def write_idx_folder(folder, images=64, height=4, width=4, classes=2, compress=False):
    """A small data set in the layout of MNIST: the class decides which half of an image is bright."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pixels = height * width
    for part, count in (("train", images), ("t10k", images // 2)):
        labels = [(i * 7 // 3) % classes for i in range(count)]
        data = bytearray()
        for i, label in enumerate(labels):
            data += bytes(
                (200 if p * classes // pixels == label else 10) + (i * 31 + p * 17) % 40 for p in range(pixels)
            )
        for name, content in (
            (f"{part}-images-idx3-ubyte", idx_bytes((count, height, width), data)),
            (f"{part}-labels-idx1-ubyte", idx_bytes((count,), labels)),
        ):
            if compress:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
    return folder


def safetensors_bytes(header, data=b"", size=None):
    """A file of this header (bytes or JSON value) and data; `size` overrides the header's true size."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


class TestCase(unittest.TestCase):
    """A test with a folder of its own, and assertions on how the program ended."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bilens-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    @classmethod
    def share_a_folder(cls):
        """For setUpClass: `cls.case`, whose folder stays until all tests of the class have run."""
        cls.case = cls("setUp")
        TestCase.setUp(cls.case)
        cls.addClassCleanup(cls.case.doCleanups)

    def write_config(self, config, changes):
        """`changes` are merged into the sections of `config`."""
        for section, values in changes.items():
            if isinstance(values, dict):
                config[section].update(values)
            else:
                config[section] = values
        return self.write("config.json", json.dumps(config))

    def small_data(self, **sizes):
        return write_idx_folder(self.folder / "data", **sizes)

    def small_config(self, folder=None, /, **changes):
        """A config that trains in a blink, on the data in `folder`; `changes` are merged into its sections."""
        config = {
            "model": {"d_model": 4, "d_hidden": 4},
            "data": {"dataset": "mnist", "path": str(folder or self.small_data())},
            "train": {"epochs": 2, "batch_size": 16, "learning_rate": 1e-2, "weight_decay": 0.1, "seed": 1},
            "checkpoint": {"every_epochs": 1, "keep_last": 2},
            "device": DEVICE,
            "threads": 1,
        }
        return self.write_config(config, changes)

    def small_model(self, name="run", **changes):
        """A trained run directory."""
        config = self.small_config(**changes)
        self.check(run("train", config, "--out", self.folder / name), 0)
        return self.folder / name

    def check(self, result, code, *parts):
        """The exit code, and that stderr holds each of the parts."""
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        for part in parts:
            self.assertIn(part, result.stderr)
        for crash in ("terminate called", "Segmentation", "AddressSanitizer", "runtime error:", "json.exception"):
            self.assertNotIn(crash, result.stderr)
        return result

    def document(self, result):
        """The one JSON document on stdout."""

        def no_constant(name):
            raise AssertionError(f"{name} is no JSON")

        return json.loads(result.stdout, parse_constant=no_constant)


def stop(process, number=signal.SIGKILL):
    """Ends a started process and returns (exit code, stderr)."""
    process.send_signal(number)
    _, stderr = process.communicate(timeout=TIMEOUT)
    return process.returncode, stderr
