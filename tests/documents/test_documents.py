"""The commands that the documents show are run in one folder, in their order, and print what stands there.

Left out of the comparison are times and numbers below 1e-4, which are rounding; other numbers may differ as after
training on another processor. "..." stands for any lines, at a line's end for its rest.
"""

# labels: slow
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

from bilens_cli import BILENS, ROOT, TestCase, environment, test_data

NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?(?![\w.]*\w)")


# In the order in which they build on each other, with the share by which numbers may differ: the tutorial's are of a
# fine-tuned model, whose p-values move in steps.
DOCUMENTS = {
    "README.md": 0.05,
    "docs/guides/train.md": 0.05,
    "docs/guides/finetune.md": 0.05,
    "docs/tutorial.md": 0.25,
    "docs/guides/decompose.md": 0.1,
    "docs/guides/batch.md": 0.05,
    "docs/guides/attack.md": 0.05,
}
# Minutes of work of which the documents show no number.
SHORTER = {
    "bilens train configs/tinystories-tiny.json": " --set train.steps=200",
    "bilens train configs/mnist.json --set model.d_model=512": " --set train.epochs=2",
    "bilens intervene": " --set tokens=5000",
}
SAMPLE = "tinystories/tinystories-sample.txt.gz"
# What needs a network, which tests/scripts does without, or a model of a billion parameters.
ELSEWHERE = re.compile(r"scripts/get_|tinyllama")


def commands_of(document):
    """[(command, [lines that it prints])] of the indented blocks; a block of Python is one command."""
    found, lines = [], document.read_text().splitlines()
    for i, line in enumerate(lines):
        before = lines[i - 1] if i else ""
        if line.startswith("    from ") and not before.startswith("    "):
            block = list(itertools.takewhile(lambda text: text.startswith("    "), lines[i:]))
            found.append(("\n".join(text[4:] for text in block), []))
        if not line.startswith("    $ "):
            continue
        command = line[6:]
        while command.endswith("\\"):
            i += 1
            command = command[:-1] + lines[i].strip()
        printed = []
        while i + 1 < len(lines) and lines[i + 1].startswith("    ") and not lines[i + 1].startswith("    $ "):
            i += 1
            printed.append(lines[i][4:])
        found.append((command, printed))
    return found


def words_and_numbers(line):
    line = re.sub(r"\d[\d.]* s\b", "TIME", line)
    numbers = [number.replace(",", "") for number in NUMBER.findall(line)]
    return NUMBER.sub("#", line).split(), numbers


class Documents(TestCase):
    def same(self, shown, printed):
        rest = shown.endswith("...")
        words, numbers = words_and_numbers(shown.removesuffix("..."))
        real_words, real_numbers = words_and_numbers(printed)
        if rest:
            real_words, real_numbers = real_words[: len(words)], real_numbers[: len(numbers)]
        near = all(map(self.near, numbers, real_numbers))
        return words == real_words and len(numbers) == len(real_numbers) and near

    def near(self, shown, printed):
        """Whole numbers count or name something, and are the same; others are measured."""
        if shown.isdigit() or printed.isdigit():
            return shown == printed
        a, b = float(shown), float(printed)
        return abs(a - b) <= self.share * abs(a) or max(abs(a), abs(b)) < 1e-4

    def prints(self, command, shown, printed):
        """Each line shown stands among those printed, in their order; without "..." between, one behind the other."""
        at, gap = 0, True  # what is said before the first line (progress, sizes) is not shown
        for line in shown:
            if line.strip() == "...":
                gap = True
                continue
            fits = [i for i in range(at, len(printed)) if self.same(line, printed[i])]
            self.assertTrue(fits and (gap or fits[0] == at), f"$ {command}\nshown:   {line}\nprinted: {printed}")
            at, gap = fits[0] + 1, False

    def place(self):
        """A folder in which the commands find what they name, and nothing else is touched."""
        for name in ("configs", "scripts"):
            os.symlink(ROOT / name, self.folder / name)
        (self.folder / "data").mkdir()
        os.symlink(ROOT / "data/mnist-5k", self.folder / "data/mnist-5k")
        (self.folder / "build").mkdir()
        os.symlink(pathlib.Path(BILENS).resolve(), self.folder / "build/bilens")
        data = test_data("stories260K/stories260K.bin", "stories260K/tok512.model", "mnist", SAMPLE)
        shutil.copytree(data / "stories260K", self.folder / "data/stories260k")
        os.symlink(data / "mnist", self.folder / "data/mnist")
        (self.folder / "data/tinystories").mkdir()
        os.symlink(data / SAMPLE, self.folder / "data/tinystories/TinyStoriesV2-GPT4-valid.txt")

    def run_command(self, command):
        """[lines that it prints]"""
        command += "".join(more for start, more in SHORTER.items() if start in command)
        call = [sys.executable, "-c", command] if command.startswith("from ") else ["bash", "-c", command]
        done = subprocess.run(call, cwd=self.folder, env=environment(None), capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return (done.stderr + done.stdout).splitlines()

    def test_what_they_show(self):
        self.place()
        printed = {}  # of each command, by itself: what two documents show is run once
        for name, self.share in DOCUMENTS.items():
            commands = [pair for pair in commands_of(ROOT / name) if not ELSEWHERE.search(pair[0])]
            self.assertGreater(len(commands), 1, name)
            for command, shown in commands:
                with self.subTest(document=name, command=command):
                    if command not in printed:
                        printed[command] = self.run_command(command)
                    self.prints(command, shown, printed[command])


if __name__ == "__main__":
    unittest.main()
