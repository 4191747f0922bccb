"""Completion: each shell reads its script, and offers commands, flags, values and config keys."""

import os
import shutil
import subprocess
import unittest

from bilens_cli import TestCase, run

SHELLS_MUST_BE_THERE = os.environ.get("BILENS_REQUIRE_SHELLS") == "1"


def shell(name, script, *flags):
    result = subprocess.run([name, *flags, "-c", script], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0 and not result.stderr, result.stderr
    return result.stdout.split("\n")


class Completion(TestCase):
    def script_for(self, name):
        if not shutil.which(name) and not SHELLS_MUST_BE_THERE:
            self.skipTest(f"no {name}")
        result = run("completion", name)
        self.check(result, 0)
        return self.write(f"bilens.{name}", result.stdout)

    def offers(self, complete):
        """@param complete the offers for a line whose last word is being typed"""
        self.assertIn("decompose", complete("bilens de"))
        self.assertEqual(complete("bilens decompose --ov"), ["--overwrite"])
        self.assertEqual(complete("bilens decompose x --gate ge"), ["gelu", "gelu_tanh"])
        self.assertEqual(complete("bilens decompose --set sparse_eigen.sp"), ["sparse_eigen.sparsity="])
        self.assertEqual(complete("bilens train --set train.ep"), ["train.epochs="])
        self.assertEqual(complete("bilens schema in"), ["intervene"])
        self.assertNotIn("--overwrite", complete("bilens train --"))
        self.assertNotIn("--out", complete("bilens schema train --"))
        self.assertNotIn("--resume", complete("bilens tokenizer train --"))

    def test_bash(self):
        script = self.script_for("bash")

        def complete(line):
            words = " ".join(f"'{word}'" for word in line.split())
            found = shell(
                "bash",
                f"compopt() {{ :; }}; source '{script}'; COMP_WORDS=({words}); "
                f"COMP_CWORD={len(line.split()) - 1}; _bilens; "
                'printf "%s\\n" "${COMPREPLY[@]}"',
                "--norc",
            )
            return sorted(filter(None, found))

        self.offers(complete)

    def test_fish(self):
        script = self.script_for("fish")

        def complete(line):
            found = shell("fish", f"source '{script}'; complete -C '{line}'", "--no-config")
            return sorted(word.split("\t")[0] for word in found if word)

        self.offers(complete)

    def test_zsh(self):
        """The script is read, and its lists are those of the tables; what is typed is for a terminal alone."""
        script = self.script_for("zsh")
        shell("zsh", f"autoload -U compinit; compinit -D; source '{script}'; whence -f _bilens >/dev/null", "-f")
        text = script.read_text()
        for part in (
            "'--overwrite[",
            "(none silu gelu gelu_tanh relu)",
            " sparse_eigen.sparsity= ",
            "'decompose:Eigenvectors",
        ):
            self.assertIn(part, text)

    def test_another_shell(self):
        self.check(run("completion", "tcsh"), 2, "bash, zsh or fish", "tcsh")


if __name__ == "__main__":
    unittest.main()
