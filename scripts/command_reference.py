"""Writes docs/command-line.md from what the program says of itself: `bilens COMMAND --help`, `bilens schema COMMAND`.

Usage: scripts/command_reference.py [--check] [--bilens PROGRAM]

  --check    write nothing; fail where the page is not what the program says
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/command-line.md"
HEAD = """# Command line

What `bilens COMMAND --help` and `bilens schema COMMAND` print, in one place. `scripts/command_reference.py` writes
this page, and a test compares it with the program.

A config is a JSON file with the keys of its table; keys that are left out have their defaults. `--set a.b=VALUE` sets
one on the command line, and wins over the file. The common options stand below the first command alone; all have
them.
"""
COMMON = re.compile(r"\n Common options:\n.*?\n(?=\n|$)", re.DOTALL)


def words(value):
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def number_range(schema):
    sides = (("minimum", "from"), ("exclusiveMinimum", "more than"), ("maximum", "to"))
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and low == high:
        return f" {number(low)}"
    return "".join(f" {word} {number(schema[side])}" for side, word in sides if side in schema)


def number(value):
    return f"{int(value):,}" if value == int(value) and abs(value) < 1e12 else f"{value:g}"


def kind(schema):
    """What a value may be, in words."""
    if "anyOf" in schema:
        options = schema["anyOf"]
        named = [words(o["properties"]["kind"]["enum"][0]) for o in options if "kind" in o.get("properties", {})]
        rest = [kind(o) for o in options if "kind" not in o.get("properties", {})]
        return " or ".join(([f"an object with a kind: {', '.join(named)}"] if named else []) + rest)
    if "enum" in schema:
        return ", ".join(map(words, schema["enum"]))
    types = schema.get("type", "value")
    text = " or ".join(types) if isinstance(types, list) else types
    if text == "array":
        return f"array of {kind(schema.get('items', {}))}"
    return text + number_range(schema)


def rows(schema, prefix=""):
    """[(key, value, default, meaning)], the keys of objects inside behind a dot."""
    found = []
    for name, entry in schema["properties"].items():
        if entry.get("type") == "object" and entry.get("properties"):
            found += rows(entry, f"{prefix}{name}.")
            continue
        unit = f" ({entry['unit']})" if entry.get("unit") else ""
        default = words(entry["default"]) if "default" in entry else ""
        found.append((f"`{prefix}{name}`", kind(entry) + unit, default, entry.get("description", "")))
    return found


def table(schema):
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for row in rows(schema):
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
    return "\n".join(lines)


def output(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def page(program):
    overview = output(program, "--help")
    commands = list(dict.fromkeys(re.findall(r"^  bilens (\w+)", overview, re.MULTILINE)))
    parts = [HEAD, block(overview)]
    for command in commands:
        arguments = [command, "train"] if command == "tokenizer" else [command]
        help_text = output(program, *arguments, "--help")
        if command != commands[0]:
            help_text = COMMON.sub("\n", help_text)
        parts.append(f"## {' '.join(arguments)}\n\n{block(help_text)}")
        schema = subprocess.run([program, "schema", command], capture_output=True, text=True)
        if schema.returncode == 0:
            for title, part in schemas(command, json.loads(schema.stdout)):
                parts.append(f"### {title}\n\n{table(part)}\n")
    return "\n".join(parts)


def schemas(command, schema):
    """A command has one table of keys, or one for each type of model."""
    if "properties" in schema:
        return [(f"Config keys of {command}", schema)]
    return [
        (f"Config keys of {command}: {part['description'].split(': ')[1].rstrip('.')}", part)
        for part in schema["anyOf"]
    ]


def block(text):
    lines = [line.rstrip() for line in text.rstrip().split("\n")]
    return "\n".join(f"    {line}".rstrip() for line in lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--bilens", type=pathlib.Path, default=ROOT / "build/bilens")
    options = parser.parse_args()
    text = page(options.bilens)
    if not options.check:
        PAGE.write_text(text)
    elif text != PAGE.read_text():
        sys.exit(f"{PAGE.relative_to(ROOT)} is not what the program says: run scripts/command_reference.py")


if __name__ == "__main__":
    main()
