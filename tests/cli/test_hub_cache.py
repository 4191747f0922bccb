"""Models in the cache that Hugging Face's programs keep, by the folder of a model there."""

import json
import unittest

import numpy as np
from safetensors.numpy import save_file

from bilens_cli import TestCase, files_below, run


class HubCache(TestCase):
    def setUp(self):
        super().setUp()
        self.hub = self.folder / "hub"
        self.model = self.cached("models--owner--name", {"abad1dea": 1, "c0ffee": 2}, "c0ffee")

    def cached(self, name, snapshots, main=None):
        """Files are links into blobs, as there."""
        folder = self.hub / name
        (folder / "blobs").mkdir(parents=True)
        (folder / "snapshots").mkdir()
        for number, (revision, seed) in enumerate(snapshots.items()):
            rng = np.random.default_rng(seed)
            shapes = {"gate_proj": (4, 3), "up_proj": (4, 3), "down_proj": (3, 4)}
            tensors = {f"{key}.weight": rng.standard_normal(shape).astype("f4") for key, shape in shapes.items()}
            save_file(tensors, folder / "blobs" / f"{number}a")
            (folder / "blobs" / f"{number}b").write_text(json.dumps({"model_type": "llama", "hidden_act": "linear"}))
            at = folder / "snapshots" / revision
            at.mkdir()
            (at / "model.safetensors").symlink_to(f"../../blobs/{number}a")
            (at / "config.json").symlink_to(f"../../blobs/{number}b")
        if main is not None:
            self.write(f"hub/{name}/refs/main", main)
        return folder

    def decompose(self, model, code=0, *words, env=None, out="d"):
        result = run("decompose", model, "--out", self.folder / out, "--set", "k=1", env=env)
        return self.check(result, code, *words)

    def test_takes_the_snapshot_that_main_names(self):
        self.decompose(self.model)
        record = json.loads((self.folder / "d/decomposition.json").read_text())
        # The snapshot stays the same model when another is downloaded.
        self.assertEqual(record["model"], str(self.model / "snapshots/c0ffee"))
        self.assertIn("gate_proj.weight", run("inspect", f"{self.model}/").stdout)
        (self.model / "refs/main").write_text("abad1dea\n")
        self.decompose(self.model, out="e")
        record = json.loads((self.folder / "e/decomposition.json").read_text())
        self.assertEqual(record["model"], str(self.model / "snapshots/abad1dea"))

    def test_results_stay_out_of_the_cache(self):
        before = files_below(self.hub)
        (self.folder / "link").symlink_to(self.model / "snapshots/abad1dea")
        at, snapshot = {"cwd": self.folder}, self.model / "snapshots/c0ffee"
        result = self.check(run("decompose", self.model, "--set", "k=1", **at), 0)
        self.assertIn("runs/owner--name/decomposition", result.stdout)
        self.check(run("decompose", "link", "--set", "k=1", **at), 2, "runs/owner--name/decomposition", "--overwrite")
        self.check(run("report", self.model, **at), 0)
        self.assertTrue((self.folder / "runs/owner--name/report.html").exists())
        for name in ("runs/owner--name", self.model, snapshot):
            self.check(run("report", name, "--out", self.folder / "page.html", **at), 0)
            data = json.loads((self.folder / "page.html").read_text().split('id="data">')[1].split("</script>")[0])
            (shown,) = data["models"]
            self.assertEqual(shown["name"], "owner--name")
            self.assertIsNotNone(shown["decomposition"])
        self.check(run("report", "link", "--out", self.folder / "page.html", **at), 0)
        self.assertIn('"decomposition":null', (self.folder / "page.html").read_text())  # that was another snapshot
        self.check(run("decompose", snapshot / "model.safetensors", "--set", "k=1", **at), 0)
        self.assertTrue((self.folder / "runs/owner--name/model.decomposition/decomposition.json").exists())
        self.assertEqual(files_below(self.hub), before)

    def test_without_main_there_must_be_one_snapshot(self):
        (self.model / "refs/main").unlink()
        self.decompose(self.model, 3, "abad1dea", "c0ffee", "refs/main")
        self.decompose(self.cached("models--owner--one", {"feed": 1}))

    def test_main_names_none_that_is_there(self):
        for name in ("beef", "../snapshots/c0ffee", ""):
            (self.model / "refs/main").write_text(name)
            self.decompose(self.model, 3, "refs/main", "abad1dea, c0ffee")
        self.decompose(self.cached("models--owner--none", {}, "c0ffee"), 3, "a snapshot of the model", "found none")

    def test_a_file_that_is_not_there(self):
        (self.model / "blobs/1a").unlink()
        for command in ("inspect", "evaluate"):
            done = run(command, self.model)
            self.check(done, 3, "snapshots/c0ffee/model.safetensors", "a link to ../../blobs/1a, which is not there")

    def test_a_name_is_looked_up_in_the_cache(self):
        for env in ({"HF_HUB_CACHE": self.hub}, {"HF_HUB_CACHE": "", "HF_HOME": self.folder}):
            self.decompose("owner/name", 3, f"The cache of the hub has it: {self.model}", env=env)
        self.decompose("owner/other", 3, "scripts/get_model.sh", env={"HF_HUB_CACHE": self.hub})
        elsewhere = {"HF_HUB_CACHE": "", "HF_HOME": "", "XDG_CACHE_HOME": "", "HOME": ""}
        self.decompose("owner/name", 3, "nothing there", env=elsewhere)
        result = run(
            "finetune", "--set", "teacher=owner/name", "--out", self.folder / "x", env={"HF_HUB_CACHE": self.hub}
        )
        self.assertIn(str(self.model), result.stderr)
        self.assertNotEqual(result.returncode, 0)

    def test_all_models_of_the_cache(self):
        self.cached("models--owner--torn", {"a": 1, "b": 2})
        self.cached("datasets--owner--texts", {"a": 1}, "a")
        result = self.decompose(self.hub, 3, "refs/main, which names one of the snapshots")
        self.assertIn("1 of 2 models done", result.stdout)


if __name__ == "__main__":
    unittest.main()
