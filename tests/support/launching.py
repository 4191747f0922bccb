"""Starts bilens as a launcher does: several processes, each told its rank by the environment."""

import os
import random
import signal
import socket
import sys

from bilens_cli import start

LONGEST = 120  # seconds for a launch to end; what is waited for here takes a few
VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def variables(rank, count, port):
    return dict(zip(VARIABLES, map(str, (rank, count, count, "127.0.0.1", port))))


class Launch:
    """Processes that run one command together. `flags_of` adds arguments to single ranks, `options_of` options of
    Popen."""

    def __init__(self, count, *command, case, port=None, flags_of=None, options_of=None):
        port = port or free_port()
        ranks = list(range(count))
        random.Random(0).shuffle(ranks)  # they come in any order
        started = {
            rank: start(
                *command,
                *(flags_of or {}).get(rank, ()),
                env=variables(rank, count, port),
                **(options_of or {}).get(rank, {}),
            )
            for rank in ranks
        }
        self.processes = [started[rank] for rank in range(count)]
        for process in self.processes:
            case.addCleanup(end, process)

    def signal(self, rank, number=signal.SIGKILL):
        self.processes[rank].send_signal(number)

    def ended(self):
        """[(exit code, stdout, stderr)] of all, when the last has ended."""
        found = []
        for process in self.processes:
            stdout, stderr = process.communicate(timeout=LONGEST)
            found.append((process.returncode, stdout, stderr))
        return found


def end(process):
    """Of a process that a test may have left, stopped or killed."""
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def torchrun(count, *command):
    """Arguments that start bilens by torchrun, on a port of its own."""
    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--no-python",
        f"--nproc-per-node={count}",
    ] + [str(word) for word in command]
