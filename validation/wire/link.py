"""A link shaped in user space: a TCP relay that paces bytes to a bandwidth and delays them.

Started by `validation.wire` as a process of its own; prints the port it listens on.
"""

from __future__ import annotations

import argparse
import queue
import socket
import threading
import time

CHUNK_BYTES = 4096


def read_paced(
    source: socket.socket,
    due: queue.Queue[tuple[float, bytes]],
    bits_per_s: float,
    delay_s: float,
) -> None:
    """Give every chunk the time at which its last bit would come out of the link."""
    free = 0.0
    while True:
        try:
            chunk = source.recv(CHUNK_BYTES)
        except OSError:
            chunk = b""
        free = max(free, time.perf_counter()) + 8 * len(chunk) / bits_per_s
        due.put((free + delay_s, chunk))
        if not chunk:
            return


def write_due(target: socket.socket, due: queue.Queue[tuple[float, bytes]]) -> None:
    """Send every chunk when it is due; an empty one ends the direction."""
    while True:
        when, chunk = due.get()
        left = when - time.perf_counter()
        if left > 0:
            time.sleep(left)
        try:
            if not chunk:
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(chunk)
        except OSError:
            return


def relay(server_port: int, up_bps: float, down_bps: float, delay_s: float) -> None:
    """Listen on a free loopback port, print it, and relay one connection both ways."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        client, _ = listener.accept()
    server = socket.create_connection(("127.0.0.1", server_port))
    threads = []
    for end in (client, server):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for source, target, bits_per_s in ((client, server, up_bps), (server, client, down_bps)):
        due: queue.Queue[tuple[float, bytes]] = queue.Queue()
        threads.append(threading.Thread(target=read_paced, args=(source, due, bits_per_s, delay_s)))
        threads.append(threading.Thread(target=write_due, args=(target, due)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    """Parse and relay."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--server-port", type=int, required=True)
    parser.add_argument("--uplink-mbps", type=float, required=True)
    parser.add_argument("--downlink-mbps", type=float, required=True)
    parser.add_argument("--rtt-ms", type=float, required=True)
    options = parser.parse_args()
    relay(
        options.server_port,
        1e6 * options.uplink_mbps,
        1e6 * options.downlink_mbps,
        options.rtt_ms / 2000,
    )


if __name__ == "__main__":
    main()
