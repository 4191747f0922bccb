"""Image files that must be refused, by `train` and by `evaluate`."""

import gzip
import random

from bilens_cli import TestCase, idx_bytes, run


class BadData(TestCase):
    def setUp(self):
        super().setUp()
        self.data = self.small_data(images=40)
        self.config = self.small_config(self.data, train={"epochs": 1, "batch_size": 20})

    def refuse(self, *parts, code=3):
        out = self.folder / "out"
        self.check(run("train", self.config, "--out", out), code, *parts)
        self.assertFalse(out.exists(), "nothing is written for bad data")
        dry = run("train", self.config, "--out", out, "--dry-run", "--json")
        self.check(dry, code)
        self.assertTrue(any(part in problem["where"] for part in parts for problem in self.document(dry)["problems"]))

    def replace(self, name, content):
        (self.data / name).write_bytes(content)

    def test_as_it_is(self):
        self.check(run("train", self.config, "--out", self.folder / "out"), 0)

    def test_wrong_magic(self):
        labels = (self.data / "train-labels-idx1-ubyte").read_bytes()
        self.replace("train-images-idx3-ubyte", labels)  # swapped files
        self.refuse("train-images-idx3-ubyte", "00 00 08 03", "found 00 00 08 01")
        self.replace("train-images-idx3-ubyte", b"<html>Not Found</html>")
        self.refuse("train-images-idx3-ubyte", "IDX magic")
        self.replace("train-images-idx3-ubyte", b"")
        self.refuse("train-images-idx3-ubyte", "IDX magic")

    def test_counts_that_disagree(self):
        self.replace("train-labels-idx1-ubyte", idx_bytes((39,), bytes(39)))
        self.refuse("train-labels-idx1-ubyte", "40 labels", "found 39")

    def test_sizes_that_disagree(self):
        self.replace("t10k-images-idx3-ubyte", idx_bytes((20, 2, 8), bytes(20 * 16)))
        self.refuse("test images of mnist", "[any, 4, 4]", "[20, 2, 8]")

    def test_short_and_long(self):
        images = (self.data / "train-images-idx3-ubyte").read_bytes()
        self.replace("train-images-idx3-ubyte", images[:-1])
        self.refuse("train-images-idx3-ubyte", "expected 640 bytes", "found 639")
        self.replace("train-images-idx3-ubyte", images + b"\0")
        self.refuse("train-images-idx3-ubyte", "nothing behind the data")

    def test_truncated_and_damaged_gzip(self):
        plain = self.data / "train-images-idx3-ubyte"
        packed = gzip.compress(idx_bytes((40, 4, 4), random.Random(1).randbytes(640)))
        plain.unlink()
        self.replace(plain.name + ".gz", packed)
        self.check(run("train", self.config, "--out", self.folder / "good"), 0)
        self.replace(plain.name + ".gz", packed[:-10])
        self.refuse(plain.name + ".gz", "truncated")
        self.replace(plain.name + ".gz", packed[:300] + b"????" + packed[304:])
        self.refuse(plain.name + ".gz", "damaged")

    def test_huge_counts(self):
        self.replace("train-images-idx3-ubyte", idx_bytes((2**32 - 1, 2**32 - 1, 2**32 - 1), b""))
        self.refuse("train-images-idx3-ubyte", "16 GiB")
        self.replace("train-images-idx3-ubyte", idx_bytes((10**6, 100, 100), b""))
        self.refuse("train-images-idx3-ubyte", "[1000000, 100, 100]")

    def test_no_images(self):
        self.replace("train-images-idx3-ubyte", idx_bytes((0, 4, 4), b""))
        self.replace("train-labels-idx1-ubyte", idx_bytes((0,), b""))
        self.refuse("train-images-idx3-ubyte", "at least one image")

    def test_missing(self):
        (self.data / "t10k-labels-idx1-ubyte").unlink()
        self.refuse("t10k-labels-idx1-ubyte", "nothing there")
        self.config = self.small_config(self.folder / "nowhere")
        self.refuse("nowhere", "scripts/get_data.sh mnist")

    def test_evaluate_names_the_file_too(self):
        self.check(run("train", self.config, "--out", self.folder / "run"), 0)
        self.replace("t10k-images-idx3-ubyte", b"nonsense")
        self.check(run("evaluate", self.folder / "run"), 3, "t10k-images-idx3-ubyte", "the data of the run", "--data")
        data = f"mnist:{self.folder / 'data'}"
        self.check(run("evaluate", self.folder / "run", "--data", data), 3, "t10k-images-idx3-ubyte", "IDX magic")
