"""A real inference server on loopback TCP: one queue, one worker, a .tflite network, batches.

Started by `validation.wire` as a process of its own; prints the port it listens on.
"""

from __future__ import annotations

import argparse
import queue
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.runners.tflite_host import runtime

REQUEST = struct.Struct("!QI")  # number, payload bytes
REPLY = struct.Struct("!QIddI")  # number, payload bytes, queued s, busy s of the batch before, size
WARM_UPS = 5


class LoadedBatches:
    """A network at batch sizes 1 to `max_batch`; one interpreter per size, one thread."""

    def __init__(self, paths: list[Path]) -> None:
        _, interpreter = runtime()
        self._interpreters: list[Any] = []
        for path in paths:
            made = interpreter(model_path=str(path), num_threads=1)
            made.allocate_tensors()
            self._interpreters.append(made)
        for size in range(1, len(paths) + 1):
            for _ in range(WARM_UPS):
                self.run([b"warm up"] * size)

    def run(self, payloads: list[bytes]) -> bytes:
        """Run one batch; the pictures' content comes from the payloads."""
        made = self._interpreters[len(payloads) - 1]
        details = made.get_input_details()[0]
        data = np.zeros(details["shape"], dtype=details["dtype"])
        for place, payload in enumerate(payloads):
            data[place] = (payload[0] if payload else 0) / 255.0
        made.set_tensor(details["index"], data)
        made.invoke()
        answer = made.get_tensor(made.get_output_details()[0]["index"])
        return bytes(answer.astype(np.float32).tobytes()[:1000])


def receive(connection: socket.socket, size: int) -> bytes:
    """Read exactly `size` bytes; raises ConnectionError when the other side is gone."""
    parts = []
    while size:
        part = connection.recv(min(size, 1 << 20))
        if not part:
            raise ConnectionError("connection closed")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def collect(waiting: queue.Queue[Any], max_batch: int, timeout_s: float) -> list[Any]:
    """Take the oldest request and those that join it before it has waited `timeout_s`."""
    batch = [waiting.get()]
    patience = batch[0][2] + timeout_s
    while len(batch) < max_batch:
        left = patience - time.perf_counter()
        try:
            batch.append(waiting.get(timeout=left) if left > 0 else waiting.get_nowait())
        except queue.Empty:
            break
    return batch


def work(
    waiting: queue.Queue[Any],
    network: LoadedBatches,
    connection: socket.socket,
    max_batch: int,
    timeout_s: float,
) -> None:
    """Serve batches for ever.

    Busy is the time from taking a batch to being free for the next, sending included; a reply
    cannot know its own and carries that of the batch before.
    """
    busy_s = 0.0
    while True:
        batch = collect(waiting, max_batch, timeout_s)
        started = time.perf_counter()
        answer = network.run([payload for _, payload, _ in batch])
        replies = [
            REPLY.pack(number, len(answer), started - arrived, busy_s, len(batch)) + answer
            for number, _, arrived in batch
        ]
        try:
            connection.sendall(b"".join(replies))
            busy_s = time.perf_counter() - started
        except OSError:
            return


def serve(paths: list[Path], max_batch: int, timeout_s: float) -> None:
    """Listen on a free loopback port, print it, and serve one connection to its end."""
    network = LoadedBatches(paths)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    waiting: queue.Queue[Any] = queue.Queue()
    arguments = (waiting, network, connection, max_batch, timeout_s)
    threading.Thread(target=work, args=arguments, daemon=True).start()
    try:
        while True:
            number, size = REQUEST.unpack(receive(connection, REQUEST.size))
            payload = receive(connection, size)
            waiting.put((number, payload, time.perf_counter()))
    except ConnectionError:
        return


def main() -> None:
    """Parse and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--max-batch", type=int, default=1)
    parser.add_argument("--timeout-ms", type=float, default=0.0)
    parser.add_argument("networks", type=Path, nargs="+", help="one .tflite per batch size")
    options = parser.parse_args()
    serve(options.networks, options.max_batch, options.timeout_ms / 1000)


if __name__ == "__main__":
    main()
