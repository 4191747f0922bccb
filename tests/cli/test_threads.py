"""How many threads the program takes, and how they wait for each other."""

import json
import os
import subprocess
import unittest

from bilens_cli import BILENS, ROOT, TIMEOUT, TestCase

SANITIZED = bool(os.environ.get("BILENS_SANITIZED"))


class Threads(TestCase):
    def environment_of_run(self, **variables):
        """env.json of a short training that sees these variables, and none that say how threads wait."""
        self.small_data()
        config = self.small_config(self.folder / "data", threads=0)
        kept = {
            k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")
        }
        out = self.folder / "run"
        result = subprocess.run(
            [BILENS, "train", config, "--out", out, "--quiet"],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            cwd=ROOT,
            env={**kept, **variables},
        )
        self.check(result, 0)
        return json.loads((out / "env.json").read_text())

    @unittest.skipIf(SANITIZED, "the sanitizers are not ready before the libraries are")
    def test_threads_sleep_where_nobody_says_otherwise(self):
        self.assertEqual(self.environment_of_run().get("waiting"), "passive")

    def test_what_the_user_says_holds(self):
        found = self.environment_of_run(OMP_WAIT_POLICY="active", OMP_NUM_THREADS="1")
        self.assertEqual((found["waiting"], found["threads"]), ("active", 1))

    def test_a_spin_count_says_how_they_wait(self):
        self.assertNotIn("waiting", self.environment_of_run(GOMP_SPINCOUNT="1000"))

    def test_the_arguments_are_kept(self):
        kept = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
        result = subprocess.run([BILENS, "inspect", "a b"], capture_output=True, text=True, cwd=ROOT, env=kept)
        self.assertIn("a b", self.check(result, 3).stderr)


if __name__ == "__main__":
    unittest.main()
