"""scripts/get_model.sh against a local hub.

PYTHONPATH=tests/support python3 -m unittest tests/scripts/test_get_model.py

Like the real hub, the local one redirects weights to a server of its own.
"""

import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import tempfile
import unittest

from file_server import FileServer, closed_url
from scripts_run import run_script

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "get_model.sh"
MODEL = "someone/Tiny-Model_1.0"
FIRST, SECOND = "1" * 40, "2" * 40
WEIGHTS = "model.safetensors"


def git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def entry(name, data):
    file = {"type": "file", "path": name, "size": len(data), "oid": git_hash(data)}
    if name.endswith((".safetensors", ".bin")):
        file["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 135}
    return file


class Hub(FileServer):
    """One model in several revisions: {revision: {name: bytes}}."""

    def __init__(self, revisions, store, model=MODEL, **about):
        self.model, self.store, self.about, self.tokens = model, store, about, set()
        super().__init__({})
        self.point_main_to(FIRST)
        for revision, files in revisions.items():
            self.tell_about(revision, revision)
            self.list_files(revision, [entry(name, data) for name, data in files.items()])
            for name, data in files.items():
                folder = self.files if "lfs" not in entry(name, data) else store.files
                folder[f"{model}/resolve/{revision}/{name}"] = data

    def point_main_to(self, revision):
        self.tell_about("main", revision)

    def tell_about(self, name, revision):
        about = {"sha": revision, "gated": False, **self.about}
        self.files[f"api/models/{self.model}/revision/{name}"] = json.dumps(about).encode()

    def list_files(self, revision, entries):
        self.files[f"api/models/{self.model}/tree/{revision}"] = json.dumps(entries).encode()

    def answer(self, handler):
        self.tokens.add(handler.headers.get("Authorization"))
        name = handler.path.removeprefix("/")
        if name not in self.store.files:
            return super().answer(handler)
        handler.send_response(302)
        handler.send_header("Location", f"{self.store.url}/{name}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()


class Store(FileServer):
    """Where the hub keeps its weights."""

    def __init__(self, **options):
        self.tokens = set()
        super().__init__({}, **options)

    def answer(self, handler):
        self.tokens.add(handler.headers.get("Authorization"))
        super().answer(handler)


class GetModel(unittest.TestCase):
    def setUp(self):
        if not shutil.which("curl"):
            print("skipped: curl is not installed")
            self.skipTest("curl is not installed")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bilens-get-model-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.to = self.folder / "to"
        rng = random.Random(1)
        self.files = {
            "config.json": b'{"hidden_size": 8}',
            "tokenizer.model": rng.randbytes(3000),
            WEIGHTS: rng.randbytes(2000000),
        }
        self.store = self.stop_at_end(Store())
        self.hub = self.serve(self.files)

    def stop_at_end(self, server):
        self.addCleanup(server.close)
        return server

    def serve(self, files):
        return self.stop_at_end(Hub({FIRST: files}, self.store))

    def get(self, *arguments, model=MODEL, hub=None, **environment):
        inherited = {name: value for name, value in os.environ.items() if name != "HF_TOKEN"}
        environment = {**inherited, "no_proxy": "127.0.0.1", "HF_ENDPOINT": hub or self.hub.url, **environment}
        return run_script(SCRIPT, model, "--to", self.to, *arguments, environment=environment)

    def weight_requests(self):
        return [wanted for _, wanted in self.store.requests]

    def held(self):
        return {path.name: path.read_bytes() for path in self.to.iterdir() if path.name != ".revision"}

    def assert_complete(self, code, output, files=None):
        self.assertEqual(code, 0, output)
        self.assertEqual(self.held(), files or self.files)

    def test_downloads_what_is_needed(self):
        extra = {"README.md": b"#", "pytorch_model.bin": b"twice", "config.json.bak": b"x", "flax_model.msgpack": b"x"}
        hub = self.serve({**self.files, **extra})
        hub.list_files(
            FIRST,
            [
                {"type": "directory", "path": "original", "size": 0, "oid": "0" * 40},
                *(entry(name, data) for name, data in {**self.files, **extra}.items()),
            ],
        )
        code, output = self.get(hub=hub.url + "/")
        self.assert_complete(code, output)
        self.assertIn(f"3 files, {sum(map(len, self.files.values())) / 1e6:.1f} MB", output)
        self.assertRegex(output, r"model.safetensors: 2.0 MB, \d+\.\d MB/s")
        self.assertEqual((self.to / ".revision").read_text(), f"{MODEL} {FIRST}\n")

    def test_takes_all_shards_and_torch_files_only_where_there_is_nothing_else(self):
        for files in (
            {
                "model-00001-of-00002.safetensors": b"a",
                "model-00002-of-00002.safetensors": b"b",
                "model.safetensors.index.json": b"{}",
            },
            {"pytorch_model-00001-of-00001.bin": b"a", "pytorch_model.bin.index.json": b"{}"},
            {"pytorch_model.bin": b"a"},
        ):
            with self.subTest(files=list(files)):
                shutil.rmtree(self.to, ignore_errors=True)
                files = {"config.json": b"{}", **files}
                code, output = self.get(hub=self.serve(files).url)
                self.assert_complete(code, output, files)

    def test_continues_a_transfer_that_broke_off(self):
        self.store.drop_once.add(f"{MODEL}/resolve/{FIRST}/{WEIGHTS}")
        code, output = self.get()
        self.assert_complete(code, output)
        self.assertIn("broken off at 1000000 bytes", output)
        self.assertEqual(self.weight_requests(), [None, "bytes=1000000-"])

    def test_continues_what_an_earlier_run_left(self):
        self.to.mkdir()
        for length, requests in ((1000, ["bytes=1000-"]), (len(self.files[WEIGHTS]), [])):
            with self.subTest(length=length):
                (self.to / WEIGHTS).unlink(missing_ok=True)
                (self.to / f"{WEIGHTS}.part").write_bytes(self.files[WEIGHTS][:length])
                del self.store.requests[:]
                code, output = self.get()
                self.assert_complete(code, output)
                self.assertEqual(self.weight_requests(), requests)

    def test_starts_anew_where_the_earlier_part_was_wrong(self):
        self.to.mkdir()
        (self.to / f"{WEIGHTS}.part").write_bytes(b"x" * 1000)
        code, output = self.get()
        self.assert_complete(code, output)
        self.assertIn("once more from the start", output)

    def test_deletes_a_corrupt_file_and_says_both_hashes(self):
        for server, name, hash_of in (
            (self.store, WEIGHTS, lambda data: hashlib.sha256(data).hexdigest()),
            (self.hub, "config.json", git_hash),
        ):
            with self.subTest(name=name):
                shutil.rmtree(self.to, ignore_errors=True)
                server.corrupt = {f"{MODEL}/resolve/{FIRST}/{name}"}
                code, output = self.get()
                server.corrupt = set()
                self.assertEqual(code, 1, output)
                found = bytes(byte ^ 1 for byte in self.files[name])
                self.assertIn(f"expected {hash_of(self.files[name])}, found {hash_of(found)}", output)
                self.assertIn("1 of 3 files", output)
                self.assertIn("What to do", output)
                self.assertEqual(self.held(), {key: data for key, data in self.files.items() if key != name})

    def test_leaves_alone_what_is_there(self):
        self.get()
        before = [
            (path.name, path.stat().st_mtime_ns) for path in sorted(self.to.iterdir()) if path.name != ".revision"
        ]
        del self.store.requests[:]
        code, output = self.get()
        self.assert_complete(code, output)
        self.assertEqual(output.count("already there"), 3)
        self.assertEqual(self.store.requests, [])
        after = [(path.name, path.stat().st_mtime_ns) for path in sorted(self.to.iterdir()) if path.name != ".revision"]
        self.assertEqual(after, before)

    def test_overwrites_no_file_with_other_content(self):
        self.to.mkdir()
        (self.to / "config.json").write_text("mine")
        (self.to / "config.json.part").write_bytes(self.files["config.json"])
        code, output = self.get()
        self.assertEqual(code, 1, output)
        self.assertIn("choose another folder", output)
        self.assertEqual(self.held(), {"config.json": b"mine", "config.json.part": self.files["config.json"]})

    def test_keeps_to_the_revision_it_began_with(self):
        newer = {**self.files, WEIGHTS: b"newer"}
        hub = self.stop_at_end(Hub({FIRST: self.files, SECOND: newer}, self.store))
        self.get(hub=hub.url)
        (self.to / WEIGHTS).unlink()
        hub.point_main_to(SECOND)
        code, output = self.get(hub=hub.url)
        self.assert_complete(code, output)

        code, output = self.get("--revision", SECOND, hub=hub.url)
        self.assertEqual(code, 1, output)
        self.assertIn(f"is for {MODEL} at {FIRST}", output)
        self.assert_complete(*self.get("--revision", FIRST, hub=hub.url))
        self.assertEqual(self.get(model="someone/else", hub=hub.url)[0], 1)
        shutil.rmtree(self.to)
        self.assert_complete(*self.get("--revision", SECOND, hub=hub.url), newer)

    def test_tinyllama_has_a_pinned_revision(self):
        script = SCRIPT.read_text()
        model = re.search("^tinyllama=(.*)$", script, re.MULTILINE)[1]
        revision = re.search("^tinyllama_revision=(.*)$", script, re.MULTILINE)[1]
        hub = self.stop_at_end(Hub({revision: self.files}, self.store, model))
        self.assert_complete(*self.get(model="tinyllama", hub=hub.url))
        self.assertEqual((self.to / ".revision").read_text(), f"{model} {revision}\n")

    def test_each_name_is_of_a_family(self):
        named = re.findall(r"^  \[([\w.-]+)\]=(\S+/\S+)$", SCRIPT.read_text(), re.MULTILINE)
        self.assertGreaterEqual(len(named), 11)
        _, usage = self.get("--help")
        files = {"config.json": b"{}", WEIGHTS: b"x"}
        for name, model in named:
            with self.subTest(name=name):
                shutil.rmtree(self.to, ignore_errors=True)
                hub = self.stop_at_end(Hub({FIRST: files}, self.store, model))
                self.assert_complete(*self.get(model=name, hub=hub.url), files)
                self.assertEqual((self.to / ".revision").read_text(), f"{model} {FIRST}\n")
                self.assertRegex(usage, rf"(?m)^  {re.escape(name)} .*{re.escape(model)}")
        code, output = self.get(model="smollm9-1b")
        self.assertEqual(code, 2, output)

    def test_says_beforehand_that_a_model_is_gated(self):
        for gated in ("manual", "auto"):
            with self.subTest(gated=gated):
                hub = self.stop_at_end(Hub({FIRST: self.files}, self.store, gated=gated))
                for words in ([], ["--revision", FIRST]):
                    code, output = self.get(*words, hub=hub.url)
                    self.assertEqual(code, 1, output)
                    self.assertIn(f"{MODEL} is gated. Accept its licence at {hub.url}/{MODEL}", output)
                    self.assertIn("HF_TOKEN", output)
                    self.assertFalse(self.to.exists())
                code, output = self.get(hub=hub.url, HF_TOKEN="hf_secret")
                self.assert_complete(code, output)
                self.assertLess(output.index("is gated"), output.index("downloading"))
                self.assertNotIn("hf_secret", output)
                shutil.rmtree(self.to)
        refusing = self.stop_at_end(Hub({}, self.store))
        del refusing.files[f"api/models/{MODEL}/revision/main"]
        self.assertIn("accept its licence", self.get(hub=refusing.url)[1].replace("\n", " "))

    def test_sends_the_token_to_the_hub_alone(self):
        curl, log = self.folder / "curl", self.folder / "arguments"
        curl.write_text(f'#!/bin/sh\necho "$@" >>{log}\nexec {shutil.which("curl")} "$@"\n')
        curl.chmod(0o755)
        self.assert_complete(*self.get(HF_TOKEN="hf_secret", PATH=f"{self.folder}:{os.environ['PATH']}"))
        self.assertNotIn("hf_secret", log.read_text())
        self.assertEqual(self.hub.tokens, {"Bearer hf_secret"})
        self.assertEqual(self.store.tokens, {None})

    def test_sends_no_token_without_one(self):
        self.assert_complete(*self.get())
        self.assertEqual(self.hub.tokens, {None})

    def test_reports_an_unreachable_hub(self):
        closed = closed_url()
        code, output = self.get(hub=closed)
        self.assertEqual(code, 1, output)
        self.assertIn(f"{closed} is unreachable", output)
        self.assertIn("HF_ENDPOINT", output)
        self.assertFalse(self.to.exists())

    def test_reports_an_unknown_model_and_an_unknown_revision(self):
        for code, output in (self.get(model="no/body"), self.get("--revision", SECOND)):
            self.assertEqual(code, 1, output)
            self.assertIn("answered 404", output)
            self.assertEqual(output.count("HF_TOKEN"), 1)
            self.assertNotIn("not understood", output)
            self.assertFalse(self.to.exists())

    def test_reports_a_file_that_the_hub_lists_but_lacks(self):
        del self.hub.files[f"{MODEL}/resolve/{FIRST}/config.json"]
        code, output = self.get()
        self.assertEqual(code, 1, output)
        self.assertIn("config.json answered 404", output)
        self.assertIn("1 of 3 files", output)

    def test_refuses_names_that_lead_out_of_the_folder(self):
        for name in ("../outside.safetensors", "/tmp/outside.safetensors", "a/../../config.json"):
            with self.subTest(name=name):
                self.hub.list_files(FIRST, [entry("config.json", b"{}"), entry(WEIGHTS, b"x"), entry(name, b"x")])
                code, output = self.get()
                self.assertEqual(code, 1, output)
                self.assertIn(name, output)
                self.assertFalse(self.to.exists())

    def test_refuses_answers_that_are_none(self):
        sizes = [{**entry("config.json", b"{}"), "size": "a[$(touch x)]"}, entry(WEIGHTS, b"x")]
        for answer in (
            b"<html>",
            b"{}",
            b"[1]",
            json.dumps(sizes).encode(),
            json.dumps([entry(WEIGHTS, b"x")]).encode(),
        ):
            with self.subTest(answer=answer):
                self.hub.files[f"api/models/{MODEL}/tree/{FIRST}"] = answer
                code, output = self.get()
                self.assertEqual(code, 1, output)
                self.assertNotIn("Traceback", output)
                self.assertFalse(self.to.exists())
        self.hub.files[f"api/models/{MODEL}/revision/main"] = b"<html>"
        code, output = self.get()
        self.assertEqual(code, 1, output)
        self.assertIn("not understood", output)

    def test_checks_the_space_first(self):
        huge = entry(WEIGHTS, b"x")
        huge["lfs"]["size"] = 10**18
        self.hub.list_files(FIRST, [entry("config.json", self.files["config.json"]), huge])
        code, output = self.get()
        self.assertEqual(code, 1, output)
        self.assertIn("free some space", output)
        self.assertEqual(self.held(), {})

    def test_usage(self):
        self.assertEqual(self.get("--nonsense")[0], 2)
        self.assertEqual(self.get("--revision", "main")[0], 2)
        self.assertEqual(self.get(model="a/b/c")[0], 2)
        self.assertEqual(self.get(model="../b")[0], 2)
        code, output = self.get("--help")
        self.assertEqual(code, 0)
        self.assertIn("Usage:", output)


if __name__ == "__main__":
    unittest.main()
