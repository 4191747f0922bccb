"""The commands that the README shows are run in a folder of their own, in their order, and print what stands there.

Left out of the comparison are times and numbers below 1e-4, which are rounding; other numbers may differ by 5%, as after
training on another processor. "..." stands for any lines, at a line's end for its rest.
"""

# labels: slow
import os
import pathlib
import re
import shutil
import subprocess
import unittest

from bilens_cli import BILENS, ROOT, TestCase, environment, test_data

NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?(?![\w.]*\w)")


def commands_of(document):
    """[(command, [lines that it prints])] of the indented blocks."""
    found, lines = [], document.read_text().splitlines()
    for i, line in enumerate(lines):
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
    numbers = [float(number.replace(",", "")) for number in NUMBER.findall(line)]
    return NUMBER.sub("#", line).split(), numbers


class Documents(TestCase):
    def same(self, shown, printed):
        rest = shown.endswith("...")
        words, numbers = words_and_numbers(shown.removesuffix("..."))
        real_words, real_numbers = words_and_numbers(printed)
        if rest:
            real_words, real_numbers = real_words[: len(words)], real_numbers[: len(numbers)]
        near = all(abs(a - b) <= 0.05 * abs(a) or max(abs(a), abs(b)) < 1e-4 for a, b in zip(numbers, real_numbers))
        return words == real_words and len(numbers) == len(real_numbers) and near

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
        published = test_data("stories260K/stories260K.bin", "stories260K/tok512.model") / "stories260K"
        shutil.copytree(published, self.folder / "data/stories260k")

    def test_the_readme(self):
        self.place()
        commands = commands_of(ROOT / "README.md")
        ran = 0
        for command, shown in commands:
            if command.startswith("scripts/get_data.sh"):
                continue  # tests/scripts does; its files were put there
            with self.subTest(command):
                done = subprocess.run(
                    ["bash", "-c", command], cwd=self.folder, env=environment(None), capture_output=True, text=True
                )
                self.assertEqual(done.returncode, 0, done.stderr)
                self.prints(command, shown, (done.stderr + done.stdout).splitlines())
                ran += 1
        self.assertGreaterEqual(ran, 8)


if __name__ == "__main__":
    unittest.main()
