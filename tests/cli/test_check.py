"""`bilens check`: verdicts on planted numbers, references that do not fit, and Pythons that fail. The numbers are those
of numpy in float64; tests/peers/test_check_transformers.py has those of transformers."""

import hashlib
import json
import os
import pathlib
import signal
import sys
import time
import unittest

import numpy as np
from safetensors.numpy import load_file, save_file

from bilens_cli import TestCase, run, start, wait_for
from checks import ABOUT, LAYERS, LENGTH, ROWS, reference_of
from language_models import write_llama


class Check(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.share_a_folder()
        cls.model = cls.case.folder / "model"
        cls.weights = write_llama(cls.model, layers=LAYERS)
        cls.sha256 = hashlib.sha256((cls.model / "model.safetensors").read_bytes()).hexdigest()
        cls.tensors = reference_of(cls.weights)

    def reference(self, about=None, **changed):
        """A file of these numbers; None leaves a tensor out."""
        file = self.folder / "reference.safetensors"
        tensors = {name: value for name, value in {**self.tensors, **changed}.items() if value is not None}
        metadata = {**ABOUT, "model_sha256": self.sha256, **(about or {})}
        save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, file, metadata)
        return file

    def checked(self, code, *flags, model=None, reference=None):
        file = reference or self.reference()
        done = run("check", model or self.model, "--reference", file, "--device", "cpu", "--json", *flags)
        self.check(done, code)
        return self.document(done)

    def by_name(self, document):
        return {q["name"]: q for q in document["results"][0]["dtypes"][0]["quantities"]}

    def test_the_same_numbers_pass(self):
        document = self.checked(0, "--out", self.folder / "out")
        found = document["results"][0]
        self.assertTrue(found["passed"])
        self.assertEqual(found["failures"], [])
        self.assertEqual((found["rows"], found["length"]), (ROWS, LENGTH))
        self.assertEqual((found["model_sha256"], found["transformers"]), (self.sha256, "5.0.1"))
        quantities = self.by_name(document)
        self.assertEqual(list(quantities), ["embedding", "layer 0", "layer 1", "layer 2", "logits", "loss"])
        for name, quantity in quantities.items():
            self.assertTrue(0 <= quantity["error"] < 3e-6, name)
        self.assertEqual(quantities["embedding"]["difference"], 0)
        largest = np.abs(self.tensors["float32.states"][2]).max()
        self.assertAlmostEqual(quantities["layer 1"]["largest"], largest, delta=1e-6 * largest)
        loss = self.tensors["float32.losses"].astype(np.float64).mean()
        self.assertAlmostEqual(found["dtypes"][0]["reference_loss"], loss, delta=1e-9)
        self.assertAlmostEqual(found["dtypes"][0]["loss"], loss, delta=1e-5)
        written = json.loads((self.folder / "out/check.json").read_text())
        self.assertEqual(written.pop("format"), "bilens-check")
        self.assertEqual(written.pop("format_version"), 1)
        self.assertEqual(written, found)

    def test_what_is_printed(self):
        done = self.check(run("check", self.model, "--reference", self.reference(), "--device", "cpu"), 0)
        for part in ("transformers 5.0.1, LlamaForCausalLM", "layer 2", "mean loss", "same as transformers 5.0.1"):
            self.assertIn(part, done.stdout)
        self.assertIn("note: No text was tokenized: there is none beside the weights.", done.stdout)
        self.assertNotIn("differs", done.stdout)

    def test_the_first_layer_that_differs_is_named(self):
        for layer in range(LAYERS):
            states = self.tensors["float32.states"].copy()
            states[layer + 1 :, 1, 7, 3] += 2e-3 * np.abs(states[layer + 1]).max()
            document = self.checked(1, reference=self.reference(**{"float32.states": states}))
            self.assertFalse(document["results"][0]["passed"])
            (failure,) = document["results"][0]["failures"]
            self.assertIn(f"layer {layer} differs by 0.002", failure)
            self.assertIn(failure, document["failures"][0]["message"])
            quantities = self.by_name(document)
            self.assertTrue(all(quantities[f"layer {i}"]["within"] == (i < layer) for i in range(LAYERS)))
            self.assertAlmostEqual(quantities[f"layer {layer}"]["error"], 2e-3, delta=1e-5)

    def test_other_logits_and_losses_are_named(self):
        for name, word in (("logits", "logits"), ("losses", "loss")):
            changed = {f"float32.{name}": self.tensors[f"float32.{name}"] + np.float32(1e-3)}
            document = self.checked(1, reference=self.reference(**changed))
            self.assertIn(f"float32: {word} differs", document["results"][0]["failures"][0])

    def test_numbers_that_are_none_do_not_pass(self):
        states = self.tensors["float32.states"].copy()
        states[1, 0, 0, 0] = np.nan
        reference = self.reference(**{"float32.states": states})
        self.refused(reference, "finite numbers in float32", "NaN or infinity in states, 1 of them", "[1, 0, 0, 0]")
        for name in ("logits", "losses"):
            numbers = self.tensors[f"float32.{name}"].copy()
            numbers.flat[-1] = np.inf
            self.refused(self.reference(**{f"float32.{name}": numbers}), f"NaN or infinity in {name}")

    def test_a_dtype_in_which_transformers_overflows_is_left_out(self):
        folder, reference = self.half(spread=0.01)
        tensors = load_file(reference)
        tensors["bfloat16.losses"][0, 3] = np.inf
        sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        save_file(tensors, reference, {**ABOUT, "model_sha256": sha256, "dtype": "bfloat16"})
        found = self.checked(0, model=folder, reference=reference)["results"][0]
        self.assertEqual([checked["dtype"] for checked in found["dtypes"]], ["float32"])
        self.assertIn("NaN or infinity in bfloat16 (losses, 1 of them, first at [0, 3]", found["notes"][0])

    def test_a_model_that_computes_otherwise(self):
        """The weights are the same, the config is not."""
        other = self.folder / "other"
        other.mkdir()
        (other / "model.safetensors").symlink_to(self.model / "model.safetensors")
        config = json.loads((self.model / "config.json").read_text())
        (other / "config.json").write_text(json.dumps({**config, "rope_theta": 500.0}))
        document = self.checked(1, model=other)
        quantities = self.by_name(document)
        self.assertTrue(quantities["embedding"]["within"])
        self.assertIn("layer 0 differs", document["results"][0]["failures"][0])

    def half(self, spread):
        """A bfloat16 model, and beside its numbers in float32 such with errors of `spread`, as those of its dtype."""
        from safetensors.torch import load_file, save_file

        folder = self.folder / "half"
        folder.mkdir()
        tensors = {name: value.bfloat16() for name, value in load_file(self.model / "model.safetensors").items()}
        save_file(tensors, folder / "model.safetensors")
        (folder / "config.json").write_text((self.model / "config.json").read_text())
        made = reference_of({name: value.double().numpy() for name, value in tensors.items()})
        rng = np.random.default_rng(1)
        for name in ("states", "logits", "losses"):
            exact = made[f"float32.{name}"].astype(np.float64)
            axes = (1, 2, 3) if name == "states" else None
            size = np.sqrt((exact**2).mean(axes, keepdims=True))
            noisy = exact + size * spread * rng.standard_normal(exact.shape)
            made[f"bfloat16.{name}"] = noisy.astype(np.float32)
        sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        return folder, self.reference({"model_sha256": sha256, "dtype": "bfloat16"}, **made)

    def test_bfloat16_may_be_twice_as_far_from_float32_as_transformers(self):
        folder, reference = self.half(spread=0.01)
        half, whole = self.checked(0, model=folder, reference=reference)["results"][0]["dtypes"]
        self.assertEqual((half["dtype"], whole["dtype"]), ("bfloat16", "float32"))
        for quantity in half["quantities"]:
            self.assertAlmostEqual(quantity["reference_error"], 0.01, delta=0.002)
            self.assertAlmostEqual(quantity["tolerance"], 2 * quantity["reference_error"] + 2**-8, delta=1e-9)
            self.assertLess(quantity["error"], 0.02)
        for quantity in half["quantities"][1:]:
            self.assertGreater(quantity["error"], 1e-4)  # it rounds
        self.assertIsNone(whole["quantities"][0]["reference_error"])

    def test_bfloat16_that_is_further_off_fails(self):
        """Beside a reference that hardly rounds, the roundings of several operations are too many."""
        folder, reference = self.half(spread=1e-4)
        document = self.checked(1, model=folder, reference=reference)
        (failure,) = document["results"][0]["failures"]
        self.assertRegex(failure, "^bfloat16: layer [0-2] differs by 0.0.* of its root mean square")
        self.assertTrue(document["results"][0]["dtypes"][0]["quantities"][0]["within"])

    def test_a_reference_without_the_dtype_says_so(self):
        folder, reference = self.half(spread=0.01)
        tensors = {name: value for name, value in load_file(reference).items() if not name.startswith("bfloat16")}
        sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        save_file(tensors, reference, {**ABOUT, "model_sha256": sha256, "dtype": "bfloat16"})
        found = self.checked(0, model=folder, reference=reference)["results"][0]
        self.assertEqual(len(found["dtypes"]), 1)
        self.assertIn("no numbers in bfloat16", found["notes"][0])

    def refused(self, file, *parts):
        self.check(run("check", self.model, "--reference", file), 3, *parts)

    def test_references_that_do_not_fit_are_refused(self):
        self.refused(self.reference({"model_sha256": "0" * 64}), "SHA-256", "0" * 64, self.sha256)
        self.refused(self.reference({"format_version": "2"}), "make_reference.py, version 1")
        self.refused(self.reference({"format": "other"}), "make_reference.py, version 1")
        self.refused(self.reference(tokens=None), "tokens")
        self.refused(self.reference(tokens=self.tensors["tokens"][:, :1]), "rows of at least 2 tokens")
        self.refused(self.reference(tokens=self.tensors["tokens"].astype(np.int32)), "int64")
        self.refused(self.reference(tokens=self.tensors["tokens"] + 290), "0 to 299")
        states, logits = self.tensors["float32.states"], self.tensors["float32.logits"]
        self.refused(self.reference(**{"float32.states": states[1:]}), "float32.states")
        self.refused(self.reference(**{"float32.states": states[..., 1:]}), "float32.states")
        self.refused(self.reference(**{"float32.logits": logits[..., 1:]}), "float32.logits")
        self.refused(self.reference(**{"float32.logits": np.repeat(logits, 9, 1)}), "float32.logits")
        whole = self.reference().read_bytes()
        self.refused(self.write("cut.safetensors", whole[:-100]), "cut.safetensors")
        self.refused(self.write("empty.safetensors", b""), "empty.safetensors")
        self.refused(self.folder / "none", "none")

    def test_calls_that_contradict_themselves(self):
        for flags in (("--python", "python3"), ("--data", "text:a"), ("--context", 5)):
            done = run("check", self.model, "--reference", self.reference(), *flags)
            self.check(done, 2, "--reference", flags[0])
        self.check(run("check", self.model, "--context", 65), 2, "--context", "64 positions")
        self.check(run("check", self.model / "model.safetensors"), 3, "bilens convert")
        images = self.small_model() / "model"
        self.check(run("check", images), 3, "an image classifier")

    def test_a_dry_run_checks_and_computes_nothing(self):
        done = self.check(run("check", self.model, "--dry-run", "--json", "--out", self.folder / "out"), 0)
        self.assertGreater(self.document(done)["estimate"]["memory_bytes"], 0)
        self.assertFalse((self.folder / "out").exists())
        other = self.reference({"model_sha256": "0" * 64})
        self.check(run("check", self.model, "--dry-run", "--reference", other), 3, "SHA-256")

    def python(self, text):
        """A program in the place of a Python; "$1" is the script, "$2" the model, "$3" where the reference goes."""
        file = self.write("python", "#!/bin/sh\n" + text)
        file.chmod(0o755)
        return file

    def failing(self, code, text, *parts, env=None):
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        done = run("check", self.model, "--python", self.python(text), env={"TMPDIR": temporary, **(env or {})})
        self.check(done, code, *parts)
        self.assertEqual(list(temporary.iterdir()), [])  # nothing stays

    def test_a_python_that_is_not_there(self):
        self.check(run("check", self.model, "--python", self.folder / "none"), 2, "none", "No such file")
        self.check(run("check", self.model, env={"VIRTUAL_ENV": self.folder / "env"}), 2, "env/bin/python")

    def test_a_python_without_transformers(self):
        """The script itself, in a Python that sees no packages."""
        self.failing(
            1, f'exec "{sys.executable}" -I -S "$@"', "is not installed", "pip install transformers", "--reference"
        )

    def test_a_python_that_fails_is_quoted(self):
        self.failing(1, "echo first >&2; echo 'ValueError: the last word' >&2; exit 1", "exit code 1", "the last word")
        self.failing(1, "kill -ABRT $$", "Aborted", "no word")
        self.failing(1, "kill -KILL $$", "memory")
        self.failing(3, "echo no such class >&2; exit 65", "no such class")

    def test_a_python_that_writes_nonsense(self):
        expected = "python: expected a Python that runs a script"
        self.failing(1, "exit 0", expected, "exit code 0 without a file. Name", "--reference FILE")
        self.failing(
            1, "echo 1/2 half; echo usage: foo; exit 0", expected, "without a file, and it printed: usage: foo."
        )
        self.failing(1, "echo warned >&2", "it printed: warned")
        self.failing(1, 'echo nonsense > "$3"', expected, "a file that cannot be used (reference.safetensors: expected")
        self.failing(1, 'mkdir "$3"', "without a file")
        other = self.reference({"model_sha256": "0" * 64})
        self.failing(1, f'cp {other} "$3"', "cannot be used (reference.safetensors: expected a reference of weights")
        many = "for i in $(seq 3000); do echo a line of many that nobody reads; echo another >&2; done; "
        self.failing(1, many + "echo the end >&2; exit 1", "the end")

    def test_what_the_python_is_given(self):
        """A program that answers as the script would."""
        file = self.reference()
        log = self.folder / "words"
        python = self.python(f'echo "$@" > {log}; echo 1/2 half; cp {file} "$3"; echo 2/2 written')
        text = self.write("text.txt", "some words\n")
        done = run("check", self.model, "--python", python, "--context", 20, "--data", f"text:{text}", "--threads", 1)
        self.check(done, 0)
        words = log.read_text().split()
        self.assertEqual(pathlib.Path(words[0]).name, "make_reference.py")
        self.assertEqual(words[1], str(self.model.absolute()))
        flags = dict(zip(words[3::2], words[4::2]))
        self.assertEqual((flags["--dtype"], flags["--tokens"], flags["--threads"]), ("float32", "20", "1"))
        self.assertEqual(pathlib.Path(flags["--text"]).name, "text.txt")

    def test_a_stop_ends_the_python(self):
        mark = self.folder / "pid"
        python = self.python(f"echo $$ > {mark}; exec sleep 1000")
        process = start("check", self.model, "--python", python)
        wait_for(lambda: mark.exists() and mark.read_text().endswith("\n"), process=process)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 75, stderr)
        self.assertIn("stopped by a signal", stderr)
        self.assertNotIn("--resume", stderr)
        time.sleep(0.05)
        with self.assertRaises(ProcessLookupError):
            os.kill(int(mark.read_text()), 0)

    def test_a_report_says_it_of_the_same_weights(self):
        directions = json.dumps({"kind": "tokens", "plus": [4], "minus": [7]})
        made = self.folder / "made"
        flags = ("--set", f"directions={directions}", "--set", "k=2", "--set", "analyses=[]", "--out", made)
        self.check(run("decompose", self.model, *flags), 0)
        page = self.folder / "page.html"

        def data():
            self.check(run("report", made, "--out", page), 0)
            return json.loads(page.read_text().split('id="data">')[1].split("</script>")[0])["models"][0]["check"]

        self.assertIsNone(data())
        self.checked(0, "--out", made)
        found = data()
        self.assertEqual((found["transformers"], found["passed"]), ("5.0.1", True))
        quantities = json.loads((made / "check.json").read_text())["dtypes"][0]["quantities"]
        self.assertEqual(found["dtypes"][0]["error"], max(q["error"] for q in quantities[:-2]))
        record = json.loads((made / "check.json").read_text())
        (made / "check.json").write_text(json.dumps({**record, "model_sha256": "0" * 64}))
        self.assertIsNone(data())
        (made / "check.json").write_text("{}")
        self.check(run("report", made, "--out", page), 3, "check.json")


if __name__ == "__main__":
    unittest.main()
