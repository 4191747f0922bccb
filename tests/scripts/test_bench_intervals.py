"""The intervals of the benchmarks are those of the program (tests/train/document_sums_test.cpp)."""

import importlib.util
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))


@unittest.skipUnless(importlib.util.find_spec("scipy"), "no scipy (scripts/setup.sh --bench)")
class Intervals(unittest.TestCase):
    def test_students_t_on_what_documents_leave_of_the_ratio(self):
        from bench_intervals import in_words, interval

        ratio, low, high = interval([1, 2, 1], [2, 3, 5])
        self.assertAlmostEqual(ratio, 0.4)
        self.assertAlmostEqual(high - ratio, 0.6830249460474166, delta=1e-12)
        self.assertAlmostEqual(ratio - low, 0.6830249460474166, delta=1e-12)
        self.assertEqual(in_words([1, 2, 1], [2, 3, 5]), "+0.4000 [-0.2830, +1.0830]")

    def test_one_seed_gives_no_interval(self):
        from bench_intervals import in_words

        self.assertEqual(in_words([0.0584], [1]), "+0.0584")


if __name__ == "__main__":
    unittest.main()
