"""The tables of docs/formats.md are what the program says of its files."""

import subprocess
import sys
import unittest

from bilens_cli import BILENS, ROOT


class RecordReference(unittest.TestCase):
    def test_the_tables_are_up_to_date(self):
        command = [sys.executable, ROOT / "scripts/record_reference.py", "--check", "--bilens", ROOT / BILENS]
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
