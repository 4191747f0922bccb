"""Writes the tables of docs/formats.md from what the program says of the files that it writes: `bilens schema files`.

Usage: scripts/record_reference.py [--check] [--bilens PROGRAM]

  --check    write nothing; fail where the page is not what the program says

A table stands between `<!-- table of FILE -->` and `<!-- end -->`. The rest of the page is written by hand.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/formats.md"
PLACE = re.compile(r"<!-- table of (.+?) -->\n(?:.*?\n)??<!-- end -->\n", re.DOTALL)


def cells(*columns):
    return "| " + " | ".join(column.replace("|", "\\|") for column in columns) + " |"


def table(head, rows):
    return "\n".join([cells(*head), "|" + "---|" * len(head), *(cells(*row) for row in rows)])


def title(name):
    """`study.json` of images: names of files as code."""
    return re.sub(r"^\S+\.\S+", lambda file: f"`{file[0]}`", name)


def kind(key):
    """The type in words, names as code, with the unit."""
    text = re.sub(r'"[^"]*"', lambda name: f"`{name[0]}`", key["type"])
    return f"{text} ({key['unit']})" if key["unit"] else text


class Keys:
    """Rows of keys; keys inside an object that a table above has already are not described again."""

    def __init__(self):
        self.known = {}  # where keys stand, by what is said of them

    def place(self, keys, file, path):
        """Where the same keys stand above, or "" where they are new."""
        content = json.dumps(keys)
        if content not in self.known:
            self.known[content] = (file, path)
            return ""
        known_file, known_path = self.known[content]
        of_file = "" if known_file == file and known_path else title(known_file)
        return " of ".join(part for part in (known_path and f"`{known_path}`", of_file) if part)

    def rows(self, keys, file, above=""):
        found = []
        for key in keys:
            path, meaning, inside = above + key["name"], key["meaning"], key.get("keys")
            within = path + ("[]" if "list" in key["type"] else "")
            place = self.place(inside, file, within) if inside else ""
            if place:
                meaning += f" {'Their' if within.endswith('[]') else 'Its'} keys are those of {place}."
            if key["added_later"]:
                meaning += " Files of earlier versions may lack it."
            found.append((f"`{path}`", kind(key), meaning))
            if inside and not place:
                found += self.rows(inside, file, f"{within}.")
        return found

    def of(self, file):
        self.place(file["keys"], file["file"], "")
        return table(("key", "type", "meaning"), self.rows(file["keys"], file["file"]))


def tensors_of(file):
    """One row for all tensors of which the same is said."""
    names = {}
    for tensor in file["tensors"]:
        content = (f"[{tensor['shape']}]", tensor["dtype"], tensor["meaning"], tensor["optional"])
        names.setdefault(content, []).append(f"`{tensor['name']}`")
    rows = [
        (", ".join(named) + (" (optional)" if optional else ""), shape, dtype, meaning)
        for (shape, dtype, meaning, optional), named in names.items()
    ]
    return table(("tensor", "shape", "dtype", "meaning"), rows)


def format_of(file):
    name, version = file["format"], file["format_version"]
    says = f'{title(file["file"])} begins with `"format": "{name}", "format_version": {version}`.'
    if "keys" not in file:
        says = f'The metadata of {title(file["file"])} say `"format": "{name}", "format_version": "{version}"`.'
    whole = re.sub("`[^`]*`", lambda code: code[0].replace(" ", "\0"), says)
    return textwrap.fill(whole, 116, break_on_hyphens=False).replace("\0", " ")


def filled(page, files):
    """The page with its tables; an error where a file has no place in it, or a place no file."""
    places = [place[1] for place in PLACE.finditer(page)]
    named = {file["file"]: file for file in files}
    if sorted(places) != sorted(named):
        differing = sorted(set(places) ^ set(named)) or "a table twice"
        sys.exit(f"{PAGE.relative_to(ROOT)} has not each file of `bilens schema files` once: {differing}")
    keys = Keys()

    def fill(place):
        file = named[place[1]]
        parts = [format_of(file)] if "format" in file else []
        parts += [keys.of(file)] if "keys" in file else []
        parts += [tensors_of(file)] if "tensors" in file else []
        return f"<!-- table of {place[1]} -->\n\n" + "\n\n".join(parts) + "\n\n<!-- end -->\n"

    return PLACE.sub(fill, page)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--bilens", type=pathlib.Path, default=ROOT / "build/bilens")
    options = parser.parse_args()
    done = subprocess.run([options.bilens, "schema", "files"], capture_output=True, text=True, check=True)
    page = PAGE.read_text()
    text = filled(page, json.loads(done.stdout)["files"])
    if not options.check:
        PAGE.write_text(text)
    elif text != page:
        sys.exit(f"{PAGE.relative_to(ROOT)} is not what the program says: run scripts/record_reference.py")


if __name__ == "__main__":
    main()
