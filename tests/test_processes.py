"""Worker processes end when the process that started them has ended, however it ended."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from multiprocessing import get_context
from pathlib import Path

import pytest

from perfmodel.processes import end_with_parent

ROOT = Path(__file__).resolve().parent.parent

START_WORKERS = """
import socket
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from perfmodel.processes import end_with_parent

PORT = int(sys.argv[1])
HELD = []


def call(_: int) -> None:
    HELD.append(socket.create_connection(("127.0.0.1", PORT)))
    HELD[-1].sendall(b"!")
    time.sleep(0.3)  # so that the other worker takes the other call


if __name__ == "__main__":
    pool = ProcessPoolExecutor(2, get_context("spawn"), initializer=end_with_parent)
    list(pool.map(call, range(2)))
    print("idle", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_idle_workers_end_with_a_killed_parent(tmp_path: Path, how: signal.Signals) -> None:
    script = tmp_path / "start.py"
    script.write_text(START_WORKERS)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        port = server.getsockname()[1]
        with subprocess.Popen(
            [sys.executable, str(script), str(port)],
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
        ) as parent:
            workers = [server.accept()[0] for _ in range(2)]
            assert parent.stdout is not None
            assert parent.stdout.readline() == b"idle\n"
            parent.send_signal(how)
            for worker in workers:
                worker.settimeout(60)
                assert worker.recv(1) == b"!"
                # a socket is at its end when the process that held its other end is gone
                assert worker.recv(1) == b""
                worker.close()


def test_a_worker_that_has_done_its_work_ends_while_its_parent_lives() -> None:
    worker = get_context("spawn").Process(target=end_with_parent, daemon=True)
    worker.start()
    worker.join(60)
    assert worker.exitcode == 0


def test_a_process_that_nobody_started_goes_on() -> None:
    before = threading.active_count()
    end_with_parent()
    assert threading.active_count() == before
