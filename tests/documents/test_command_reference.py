"""docs/command-line.md is what the program says of its commands, flags and config keys."""

import subprocess
import sys
import unittest

from bilens_cli import BILENS, ROOT


class CommandReference(unittest.TestCase):
    def test_the_page_is_up_to_date(self):
        command = [sys.executable, ROOT / "scripts/command_reference.py", "--check", "--bilens", ROOT / BILENS]
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
