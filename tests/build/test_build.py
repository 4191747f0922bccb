"""The build as strangers meet it: without the CUDA toolkit, and as an installed package that another project finds."""

# labels: slow
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["BILENS"]).parent


def run(*command, **options):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def cached(name):
    """The value of a cache variable; "" where it is not set."""
    found = re.search(rf"^{name}:\w+=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.M)
    return found[1] if found else ""


class Build(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.cmake = cached("CMAKE_COMMAND")

    def configure(self, source, *settings, **options):
        return run(
            self.cmake,
            "-S",
            source,
            "-B",
            self.folder / "build",
            "-G",
            "Ninja",
            f"-DCMAKE_MAKE_PROGRAM={cached('CMAKE_MAKE_PROGRAM')}",
            *settings,
            **options,
        )

    def test_without_the_cuda_toolkit(self):
        """AUTO goes without it and says why; ON is an error that says what to do."""
        path = os.environ["PATH"].split(os.pathsep) + ["/usr/local/bin", "/usr/local/cuda/bin"]
        toolkit = {folder for folder in path if (pathlib.Path(folder) / "nvcc").exists()}
        hidden = {k: v for k, v in os.environ.items() if not k.startswith("CUDA")}
        hidden["PATH"] = os.pathsep.join(folder for folder in path if folder not in toolkit)
        settings = [
            "-DCMAKE_IGNORE_PATH=" + ";".join(toolkit),
            f"-DBILENS_TORCH={cached('BILENS_TORCH')}",
            "-DBUILD_TESTING=OFF",
        ]
        output = self.configure(ROOT, "-DBILENS_CUDA=AUTO", *settings, env=hidden)
        self.assertIn("CUDA kernels: OFF (no nvcc was found)", output)
        with self.assertRaisesRegex(AssertionError, "no nvcc was found"):
            self.configure(ROOT, "-DBILENS_CUDA=ON", *settings, env=hidden)

    def test_a_consumer_of_the_installed_package(self):
        if not (BUILD / "bilens-config.cmake").exists():
            self.skipTest("install is not offered: dependencies were fetched rather than found")
        run(self.cmake, "--install", BUILD, "--prefix", self.folder / "prefix")
        if cached("BILENS_CUDA_ENABLED") == "ON":
            self.assertTrue(list((self.folder / "prefix").glob("lib*/libbilens_cuda.so")))
        self.configure(
            ROOT / "tests/build/consumer", f"-DCMAKE_PREFIX_PATH={self.folder / 'prefix'}", "-DCMAKE_BUILD_TYPE=Release"
        )
        run(self.cmake, "--build", self.folder / "build")
        self.assertEqual(run(self.folder / "build/consumer").strip(), "2")
        self.assertIn("bilens", run(self.folder / "prefix/bin/bilens", "--version"))


if __name__ == "__main__":
    unittest.main()
