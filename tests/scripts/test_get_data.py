"""scripts/get_data.sh against a local server.

PYTHONPATH=tests/support python3 -m unittest tests/scripts/test_get_data.py

Small made-up files with their own list of checksums stand for the real ones; one test uses the real MNIST from
../shared/data or BILENS_TEST_DATA and is skipped where that is absent (an error with BILENS_REQUIRE_DATA=1).
"""

import gzip
import hashlib
import os
import pathlib
import random
import shutil
import tempfile
import unittest

from file_server import FileServer, closed_url
from scripts_run import run_script

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "get_data.sh"
FILES = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
IMAGES = FILES[0]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class GetData(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bilens-get-data-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.to = self.folder / "to"
        rng = random.Random(1)
        self.plain = {name: rng.randbytes(40000) for name in FILES}
        self.files = {name: gzip.compress(data, mtime=0) for name, data in self.plain.items()}
        lines = [f"{sha256(data)}  mnist/{name}" for name, data in self.files.items()]
        lines += [f"{sha256(data)}  mnist/{name.removesuffix('.gz')}" for name, data in self.plain.items()]
        self.checksums = self.folder / "sums"
        self.checksums.write_text("\n".join(lines) + "\n")

    def serve(self, **options):
        if not shutil.which("curl"):
            print("skipped: curl is not installed")
            self.skipTest("curl is not installed")
        server = FileServer(options.pop("files", self.files), "/mnist", **options)
        self.addCleanup(server.close)
        return server

    def get(self, *arguments, name="mnist", **environment):
        environment = {"BILENS_DATA_SHA256": str(self.checksums), **environment}
        environment = {**os.environ, "no_proxy": "127.0.0.1", **environment}
        return run_script(SCRIPT, name, "--to", self.to, *arguments, environment=environment)

    def assert_complete(self):
        self.assertEqual({path.name: path.read_bytes() for path in self.to.iterdir()}, self.files)

    def test_downloads_all_four(self):
        code, output = self.get("--from", self.serve().url)
        self.assertEqual(code, 0, output)
        self.assert_complete()

    def test_continues_a_transfer_that_broke_off(self):
        server = self.serve(drop_once=[IMAGES])
        code, output = self.get("--from", server.url)
        self.assertEqual(code, 0, output)
        self.assertIn(f"broken off at {len(self.files[IMAGES]) // 2} bytes", output)
        ranges = [wanted for name, wanted in server.requests if name == IMAGES]
        self.assertEqual(ranges, [None, f"bytes={len(self.files[IMAGES]) // 2}-"])
        self.assert_complete()

    def test_continues_what_an_earlier_run_left(self):
        server = self.serve()
        self.to.mkdir()
        (self.to / (IMAGES + ".part")).write_bytes(self.files[IMAGES][:1000])
        code, output = self.get("--from", server.url)
        self.assertEqual(code, 0, output)
        self.assertEqual(server.requests[0], (IMAGES, "bytes=1000-"))
        self.assert_complete()

    def test_starts_anew_where_the_earlier_part_was_wrong(self):
        for length in (1000, 100000):  # continued and found corrupt; longer than the file (416)
            with self.subTest(length=length):
                shutil.rmtree(self.to, ignore_errors=True)
                self.to.mkdir()
                (self.to / (IMAGES + ".part")).write_bytes(b"x" * length)
                code, output = self.get("--from", self.serve().url)
                self.assertEqual(code, 0, output)
                self.assert_complete()

    def test_starts_anew_where_the_server_cannot_continue(self):
        server = self.serve(ranges=False, drop_once=[IMAGES])
        code, output = self.get("--from", server.url)
        self.assertEqual(code, 0, output)
        self.assertIn("starting anew", output)
        self.assert_complete()

    def test_deletes_a_corrupt_file_and_tries_the_next_home(self):
        bad, good = self.serve(corrupt=[IMAGES]), self.serve()
        code, output = self.get(BILENS_MNIST_URL=f"{bad.url} {good.url}")
        self.assertEqual(code, 0, output)
        self.assertIn("corrupt", output)
        self.assertEqual([name for name, _ in good.requests], [IMAGES])
        self.assert_complete()

    def test_reports_a_corrupt_file_with_both_hashes(self):
        code, output = self.get("--from", self.serve(corrupt=[IMAGES]).url)
        self.assertEqual(code, 1, output)
        found = sha256(bytes(byte ^ 1 for byte in self.files[IMAGES]))
        self.assertIn(f"expected {sha256(self.files[IMAGES])}, found {found}", output)
        self.assertIn("What to do", output)
        self.assertEqual(sorted(path.name for path in self.to.iterdir()), sorted(FILES[1:]))

    def test_reports_404(self):
        files = {name: data for name, data in self.files.items() if name != IMAGES}
        server = self.serve(files=files)
        code, output = self.get("--from", server.url)
        self.assertEqual(code, 1, output)
        self.assertIn(f"{server.url}/{IMAGES} answered 404", output)
        self.assertIn("1 of 4 files", output)

    def test_reports_an_unreachable_home_once_and_goes_on(self):
        closed = closed_url()
        code, output = self.get(BILENS_MNIST_URL=f"{closed} {self.serve().url}")
        self.assertEqual(code, 0, output)
        self.assertEqual(output.count(f"{closed} is unreachable"), 1)
        self.assert_complete()
        shutil.rmtree(self.to)
        code, output = self.get("--from", closed)
        self.assertEqual(code, 1, output)
        self.assertIn("What to do", output)

    def test_copies_from_a_folder(self):
        source = self.folder / "source"
        source.mkdir()
        for name, data in self.files.items():
            (source / name).write_bytes(data)
        code, output = self.get("--from", source)
        self.assertEqual(code, 0, output)
        self.assert_complete()

        shutil.rmtree(self.to)
        (source / IMAGES).write_bytes(b"not an image")
        code, output = self.get("--from", source)
        self.assertEqual(code, 1, output)
        self.assertIn(f"{IMAGES}: corrupt", output)
        self.assertFalse((self.to / IMAGES).exists())
        self.assertEqual((source / IMAGES).read_bytes(), b"not an image")

    def test_takes_recompressed_and_unpacked_files(self):
        source = self.folder / "source"
        source.mkdir()
        for name, data in self.plain.items():
            (source / name).write_bytes(gzip.compress(data, compresslevel=1, mtime=7))
        (source / IMAGES).unlink()
        (source / IMAGES.removesuffix(".gz")).write_bytes(self.plain[IMAGES])
        code, output = self.get("--from", source)
        self.assertEqual(code, 0, output)
        for name, data in self.plain.items():
            self.assertEqual(gzip.decompress((self.to / name).read_bytes()), data)

    def test_leaves_alone_what_is_there(self):
        server = self.serve()
        self.assertEqual(self.get("--from", server.url)[0], 0)
        before = [(path.name, path.stat().st_mtime_ns) for path in sorted(self.to.iterdir())]
        del server.requests[:]
        code, output = self.get("--from", server.url)
        self.assertEqual(code, 0, output)
        self.assertEqual(output.count("already there"), 4)
        self.assertEqual(server.requests, [])
        self.assertEqual([(path.name, path.stat().st_mtime_ns) for path in sorted(self.to.iterdir())], before)

    def test_stories_come_from_their_home(self):
        file, text = "TinyStoriesV2-GPT4-valid.txt", b"Once upon a time.\n<|endoftext|>\n" * 100
        self.checksums.write_text(f"{sha256(text)}  tinystories/{file}\n")
        server = self.serve(files={file: text}, drop_once=[file])
        code, output = self.get(name="tinystories", BILENS_TINYSTORIES_URL=server.url)
        self.assertEqual(code, 0, output)
        self.assertEqual({path.name: path.read_bytes() for path in self.to.iterdir()}, {file: text})
        server.corrupt.add(file)
        (self.to / file).unlink()
        self.assertEqual(self.get(name="tinystories", BILENS_TINYSTORIES_URL=server.url)[0], 1)
        self.assertEqual(list(self.to.iterdir()), [])

    def test_the_sample_of_stories_has_no_home(self):
        code, output = self.get(name="tinystories-sample")
        self.assertEqual(code, 2, output)
        self.assertIn("--from", output)
        self.assertFalse(self.to.exists())

    def test_every_file_has_a_published_checksum(self):
        for name in ("mnist", "fashion-mnist", "tinystories", "tinystories-train", "tinystories-sample", "stories260k"):
            with self.subTest(name=name):
                code, output = self.get("--from", self.folder, name=name, BILENS_DATA_SHA256="")
                self.assertEqual(code, 1, output)
                self.assertNotIn("has no line", output)
                self.assertIn(f"not in {self.folder}", output)

    def test_usage(self):
        self.assertEqual(self.get("--nonsense")[0], 2)
        self.assertEqual(self.get("--from", self.folder / "nowhere")[0], 1)
        code, output = self.get("--help")
        self.assertEqual(code, 0)
        self.assertIn("Usage:", output)

    def test_real_mnist(self):
        data = pathlib.Path(os.environ.get("BILENS_TEST_DATA") or ROOT / ".." / "shared" / "data") / "mnist"
        if not data.is_dir():
            reason = f"the real MNIST is not in {data}; set BILENS_TEST_DATA to a folder that has mnist/"
            if os.environ.get("BILENS_REQUIRE_DATA") == "1":
                self.fail(reason)
            print(f"skipped: {reason}")
            self.skipTest(reason)
        files = {name: (data / name).read_bytes() for name in FILES}
        for source in (str(data), self.serve(files=files, drop_once=[IMAGES]).url):
            shutil.rmtree(self.to, ignore_errors=True)
            code, output = self.get("--from", source, BILENS_DATA_SHA256="")
            self.assertEqual(code, 0, output)
            self.assertEqual({path.name: path.read_bytes() for path in self.to.iterdir()}, files)


if __name__ == "__main__":
    unittest.main()
