#!/usr/bin/env python3
"""Runs the notebooks, so that what stands in them is what their code gives.

Usage: scripts/notebooks.py [--write] [NOTEBOOK...]

  (nothing)   check: what is stored is whole, small and of the code beside it, and the code runs without errors and
              warnings, on small data, in a folder that is removed afterwards
  --write     run at full size in notebooks/, and store the outputs
  NOTEBOOK    these alone, such as notebooks/1_digits.ipynb; else all

A cell with the tag "parameters" holds the sizes. A check takes the values of the notebook's metadata "small" in their
place. A notebook whose data are not there is passed over, which BILENS_REQUIRE_DATA=1 makes a failure.

Needs the Python package (scripts/setup.sh --python). BILENS_TEST_DATA (default ../shared/data) holds the data that
are not in data/ (scripts/get_data.sh).
"""

import argparse
import gzip
import hashlib
import itertools
import os
import pathlib
import re
import sys
import tempfile
import time

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
TEST_DATA = pathlib.Path(os.environ.get("BILENS_TEST_DATA") or ROOT.parent / "shared/data")
MOST_BYTES = 1_000_000
LINES_OF_STORIES = 3000  # that a check reads
DATA = {  # folders of data/: where else they may be, and a file that must be there
    "mnist-5k": (ROOT / "data/mnist-5k", "train-images-idx3-ubyte.gz"),
    "mnist": (TEST_DATA / "mnist", "train-images-idx3-ubyte.gz"),
    "stories260k": (TEST_DATA / "stories260K", "stories260K.bin"),
    "tinystories": (TEST_DATA / "tinystories", "tinystories-sample.txt.gz"),
}


def code_of(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def digest(notebook):
    """Hash the code that the outputs belong to."""
    return hashlib.sha256("\0".join(code_of(notebook)).encode()).hexdigest()


def kinds(cell):
    """Which forms of output a cell has, such as {"image/png", "stream"}."""
    return {kind for output in cell.outputs for kind in output.get("data", {output.output_type: None})}


def warnings_of(cell):
    return "".join(output.text for output in cell.outputs if output.get("name") == "stderr")


def faults_of(path, notebook):
    """What is wrong with a stored notebook, in sentences."""
    size = path.stat().st_size
    if size > MOST_BYTES:
        yield f"it has {size:,} bytes, and at most {MOST_BYTES:,} are wanted"
    if notebook.metadata.get("code") != digest(notebook):
        yield "its outputs are of other code"
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
        yield "not all of its cells ran, in their order"
    for cell in cells:
        if warnings_of(cell) or "error" in kinds(cell):
            yield f"cell {cell.execution_count} has an error or a warning"
    if found := re.search(r'(?<![\w.:/<])/(?:home|root|tmp|work|usr|mnt)/[^\s"\\]+', path.read_text(encoding="utf-8")):
        yield f"it names a folder of the machine that it ran on: {found[0]}"


def missing_data(notebook, data):
    """Folders of data that the code names and that are not there."""
    named = set(re.findall(r"\.\./data/([\w-]+)", "\n".join(code_of(notebook))))
    return sorted(name for name in named if not (data / name / DATA[name][1]).exists())


def offer_data(data):
    """Links to what is there, so that a copy of a notebook finds it beside itself; of stories the first ones alone."""
    data.mkdir()
    for name, (elsewhere, file) in DATA.items():
        folder = next((folder for folder in (ROOT / "data" / name, elsewhere) if (folder / file).exists()), None)
        if folder and name == "tinystories":
            (data / name).mkdir()
            with gzip.open(folder / file, "rt") as stories, gzip.open(data / name / file, "wt") as first:
                first.writelines(itertools.islice(stories, LINES_OF_STORIES))
        elif folder:
            (data / name).symlink_to(folder.resolve())


def made_small(notebook):
    """The notebook with the values of a check in the place of its sizes."""
    small = notebook.metadata.get("small", {})
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            for name, value in small.items():
                cell.source, count = re.subn(rf"(?m)^{name} = .*$", lambda _: f"{name} = {value!r}", cell.source)
                assert count == 1, f"{name} does not stand in the cell of parameters"
    return notebook


def execute(notebook, folder):
    """Runs all cells in a folder, and keeps of the outputs what does not depend on the machine."""
    os.environ.update(TQDM_DISABLE="1", OMP_WAIT_POLICY="passive")  # a saved bar is no picture of progress
    os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"  # of tqdm without ipywidgets
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        coalesce_streams=True,
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
    )
    client.execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            for output in cell.outputs:
                output.pop("transient", None)
    return notebook


def write(path):
    notebook = nbformat.read(path, as_version=4)
    if missing := missing_data(notebook, ROOT / "data"):
        sys.exit(f"{path.name}: data/{missing[0]} is not there: run scripts/get_data.sh {missing[0]}")
    execute(notebook, path.parent)
    for i, cell in enumerate(notebook.cells):
        cell.id = f"cell-{i}"
    notebook.metadata = {
        "code": digest(notebook),
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        **({"small": notebook.metadata["small"]} if "small" in notebook.metadata else {}),
    }
    nbformat.write(notebook, path)
    return list(faults_of(path, notebook))


def check(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    faults = list(faults_of(path, notebook))
    stored_whole = not faults
    stored = [kinds(cell) for cell in notebook.cells if cell.cell_type == "code"]
    with tempfile.TemporaryDirectory(prefix="bilens-notebook-") as name:
        root = pathlib.Path(name)
        offer_data(root / "data")
        small = made_small(notebook)
        if missing := missing_data(small, root / "data"):
            words = f"data/{missing[0]} is not there (scripts/get_data.sh)"
            if os.environ.get("BILENS_REQUIRE_DATA") == "1":
                return [*faults, words]
            print(f"!!!! {path.name} IS NOT RUN: {words}", file=sys.stderr)
            return faults
        (root / "configs").symlink_to(ROOT / "configs")
        (root / "notebooks").mkdir()
        try:
            execute(small, root / "notebooks")
        except CellExecutionError as error:
            return [*faults, f"it fails on small data: {re.sub(chr(27) + '[^m]*m', '', str(error))}"]
    ran = [cell for cell in small.cells if cell.cell_type == "code"]
    for cell, before in zip(ran, stored):
        if text := warnings_of(cell):
            faults.append(f"cell {cell.execution_count} warns on small data: {text}")
        if stored_whole and kinds(cell) != before:
            faults.append(f"cell {cell.execution_count} gives {kinds(cell)}, and {before} is stored")
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("notebooks", nargs="*", type=pathlib.Path)
    options = parser.parse_args()
    failed = False
    for path in options.notebooks or sorted(FOLDER.glob("*.ipynb")):
        began = time.monotonic()
        faults = (write if options.write else check)(path.resolve())
        print(f"{path.name}: {'; '.join(faults) or 'good'} ({time.monotonic() - began:.0f} s)")
        failed = failed or bool(faults)
    if failed and not options.write:
        print("Run scripts/notebooks.py --write, and look at what it stores.", file=sys.stderr)
    sys.exit(failed)


if __name__ == "__main__":
    main()
