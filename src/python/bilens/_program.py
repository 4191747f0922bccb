"""The program `bilens` that lies in this package."""

import os
import pathlib
import sys


def main() -> None:
    """Become the program, with this process's arguments."""
    program = pathlib.Path(__file__).parent / "bin" / "bilens"
    if not program.is_file():
        sys.exit(f"{program}: expected the program bilens, found none. Install the package again.")
    os.execv(program, ["bilens", *sys.argv[1:]])
