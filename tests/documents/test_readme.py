"""The README is short: a page and a half that a newcomer reads to its end."""

import unittest

from bilens_cli import ROOT, TestCase


class Readme(TestCase):
    def test_length(self):
        lines = (ROOT / "README.md").read_text().splitlines()
        self.assertLessEqual(len(lines), 150)
        self.assertEqual([line for line in lines if len(line) > 120], [])


if __name__ == "__main__":
    unittest.main()
