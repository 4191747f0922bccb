"""What a call leaves alone and how it ends: threads, signals, progress, log, memory, forks."""

import gc
import logging
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest

import torch

from python_package import bilens, in_a_process, layer


def begin(script, folder=None):
    """Starts a script in a Python of its own, and waits until it says that it has begun."""
    path = os.pathsep.join(os.path.abspath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep))
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
    )
    if process.stdout.readline() != "begun\n":
        raise AssertionError("the script did not begin")
    return process


# Takes minutes unless it is stopped.
LONG = """
    import torch, bilens
    bilens.set_progress(None)
    gate, up, down = torch.randn(4096, 512), torch.randn(4096, 512), torch.randn(512, 4096)
    print("begun", flush=True)
    try:
        bilens.decompose(gate, up, down, k=20, method={method!r}, {more})
        print("finished", flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    print(bilens.decompose(torch.eye(3), torch.eye(3), torch.eye(3), k=1).eigenvalues.tolist())
"""


class Interrupted(unittest.TestCase):
    def interrupt(self, script, folder=None):
        process = begin(textwrap.dedent(script), folder)
        time.sleep(3)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=120)
        return rest, time.monotonic() - begun, process.returncode

    def test_ctrl_c_stops_a_call_and_leaves_the_interpreter(self):
        for method, more in (("eigen", ""), ("sparse_eigen", "")):
            with self.subTest(method):
                rest, seconds, code = self.interrupt(LONG.format(method=method, more=more))
                self.assertTrue(rest.startswith("interrupted\n"), rest)
                self.assertIn("[[1.0], [1.0], [1.0]]", rest)
                self.assertEqual(code, 0)
                self.assertLess(seconds, 100)

    def test_a_second_ctrl_c_does_not_end_the_interpreter(self):
        script = """
            import time, torch, bilens
            gate, up, down = torch.randn(4096, 512), torch.randn(4096, 512), torch.randn(512, 4096)
            print("begun", flush=True)
            times = 0
            while times < 2:
                try:
                    bilens.decompose(gate, up, down, k=20)
                    time.sleep(10)
                except KeyboardInterrupt:
                    times += 1
            print(times, bilens.decompose(torch.eye(3), torch.eye(3), torch.eye(3), k=1).eigenvalues.tolist())
        """
        process = begin(textwrap.dedent(script))
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)  # while the call ends
        process.send_signal(signal.SIGINT)
        try:
            rest, _ = process.communicate(timeout=12)
        except subprocess.TimeoutExpired:  # both came before Python looked: they are one to it
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=60)
        self.assertEqual((process.returncode, rest), (0, "2 [[1.0], [1.0], [1.0]]\n"))

    def test_nothing_half_written(self):
        with tempfile.TemporaryDirectory(prefix="bilens-stop-") as folder:
            script = LONG.format(method="eigen", more="out='out'")
            rest, _, _ = self.interrupt(script, folder=folder)
            self.assertTrue(rest.startswith("interrupted\n"), rest)
            self.assertFalse((pathlib.Path(folder) / "out/decomposition.json").exists())
            with self.assertRaises(bilens.InputError):
                bilens.load(pathlib.Path(folder) / "out")


class Shown(unittest.TestCase):
    def tearDown(self):
        bilens.set_progress(None)

    def test_a_bar_of_tqdms_protocol(self):
        bars = []

        class Bar:
            def __init__(self, total, desc, unit):
                self.total, self.label, self.done, self.closed = total, desc, 0, False
                bars.append(self)

            def update(self, count):
                self.done += count

            def set_postfix_str(self, text):
                pass

            def close(self):
                self.closed = True

        bilens.set_progress(Bar)
        gate, matrices = layer(d_in=200, d_hidden=400, d_out=300)
        bilens.decompose(gate, **matrices, k=3, threads=1, solver="dense")
        self.assertTrue(bars)
        self.assertEqual((bars[0].label, bars[0].total), ("decompose", 300))
        self.assertTrue(all(bar.closed and 0 < bar.done <= bar.total for bar in bars))

    def test_a_bar_that_fails_does_not_stop_the_work(self):
        def broken(**_):
            raise RuntimeError("no bar")

        bilens.set_progress(broken)
        gate, matrices = layer(d_in=200, d_hidden=400, d_out=300)
        hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
        try:
            found = bilens.decompose(gate, **matrices, k=3, threads=1, solver="dense")
        finally:
            sys.unraisablehook = hook
        self.assertEqual(found.eigenvalues.shape[0], 300)

    def test_ctrl_c_while_something_is_shown_stops_the_work(self):
        def interrupted(**_):
            raise KeyboardInterrupt

        bilens.set_progress(interrupted)
        gate, matrices = layer(d_in=200, d_hidden=400, d_out=300)
        with self.assertRaises(KeyboardInterrupt):
            bilens.decompose(gate, **matrices, k=3, threads=1, solver="dense")

        class Handler(logging.Handler):
            def emit(self, record):
                raise KeyboardInterrupt

        log, handler = logging.getLogger("bilens"), Handler()
        log.addHandler(handler)
        level, log.level = log.level, logging.INFO
        try:
            gate, matrices = layer()
            with self.assertRaises(KeyboardInterrupt):  # behind which no more is asked for
                bilens.decompose(gate, **matrices, k=100)
        finally:
            log.removeHandler(handler)
            log.level = level

    def test_the_log_is_pythons(self):
        gate, matrices = layer()
        with self.assertLogs("bilens", logging.INFO) as logged:
            bilens.decompose(gate, **matrices, k=100)
        self.assertIn("k = 100 is clipped to the dimension, 12", logged.output[0])


class LeftAlone(unittest.TestCase):
    def test_threads_and_modes(self):
        before = torch.get_num_threads()
        gate, matrices = layer()
        bilens.decompose(gate, **matrices, k=2, threads=before + 1)
        self.assertEqual(torch.get_num_threads(), before)
        with self.assertRaises(bilens.Error):
            bilens.decompose(gate, **matrices, k=2, threads=before + 1, directions=torch.ones(1, 3))
        self.assertEqual(torch.get_num_threads(), before)
        handler = signal.getsignal(signal.SIGINT)
        self.assertIs(handler, signal.default_int_handler)

    def test_two_threads_at_once(self):
        gate, matrices = layer(d_in=60, d_hidden=90, d_out=20)
        expected = bilens.decompose(gate, **matrices, k=5, threads=1).eigenvalues
        failures = []

        def work():
            for _ in range(20):
                found = bilens.decompose(gate, **matrices, k=5, threads=1).eigenvalues
                if not torch.equal(found, expected):
                    failures.append(found)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_other_threads_run_meanwhile(self):
        gate, matrices = layer(d_in=300, d_hidden=600, d_out=200)
        ticks = []
        done = threading.Event()

        def tick():
            while not done.is_set():
                ticks.append(time.monotonic())
                time.sleep(0.005)

        thread = threading.Thread(target=tick)
        thread.start()
        begin = time.monotonic()
        bilens.decompose(gate, **matrices, k=5, solver="dense", threads=1)
        end = time.monotonic()
        done.set()
        thread.join()
        during = [t for t in ticks if begin < t < end]
        self.assertGreater(len(during), (end - begin) / 0.005 / 20)

    def test_memory_does_not_grow(self):
        gate, matrices = layer(d_in=4, d_hidden=4, d_out=2)

        def resident():
            gc.collect()
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        def call(count):
            for _ in range(count):
                bilens.decompose(gate, **matrices, k=2, threads=1)

        call(1000)
        before = resident()
        call(10_000)
        self.assertLess(resident() - before, 8 << 20)  # 0.8 kB a call

    def test_weights_are_not_copied(self):
        """What the library solves with is its own; the tensors that it is given are read where they are."""
        done = in_a_process("""
            import resource, torch
            from bilens._models import named, stored
            matrices = {"gate_proj.weight": torch.randn(4096, 8192), "up_proj.weight": torch.randn(8192, 4096).T}
            def peak():
                return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            before = peak()
            kept = [stored(matrices), stored({name: matrix.numpy() for name, matrix in matrices.items()})]
            assert all(a.data_ptr() == b.data_ptr() for (_, a), b in zip(named(matrices.items()), matrices.values()))
            print(peak() - before)
        """)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertLess(int(done.stdout), 100)  # MB, of 256; a copy of one matrix is 128

    def test_a_fork(self):
        done = in_a_process("""
            import os, torch, bilens
            def work():
                one = torch.eye(4)
                return bilens.decompose(one, one, one, k=1, threads=1).eigenvalues.sum().item()
            assert work() == 4
            child = os.fork()
            if child == 0:
                os._exit(0 if work() == 4 else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert work() == 4
        """)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_killed_kernel_leaves_no_lock(self):
        with tempfile.TemporaryDirectory(prefix="bilens-kill-") as folder:
            script = textwrap.dedent(LONG.format(method="eigen", more="out='out'"))
            process = begin(script, folder)
            time.sleep(3)
            process.kill()
            process.communicate()
            gate, matrices = layer()
            out = pathlib.Path(folder) / "out"
            found = bilens.decompose(gate, **matrices, k=2, out=out, overwrite=True)
            self.assertEqual(found.eigenvalues.shape[1], 2)


if __name__ == "__main__":
    unittest.main()
