#!/usr/bin/python3
"""flood PORT AGENCIES BATCHES BYTES [ignore]: so many agencies in one process, each with three
sockets of its own, push batches of so many bytes at a broker none of whose workers reads. Each
keeps to the window that it is told, or with `ignore` to none. Prints `full` once nothing moves any
more, then waits until its input ends.
"""
import os
import resource
import struct
import sys
import time

import zmq

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))

import wire  # noqa: E402

QUIET_S = 2.0  # in which no socket took anything: everything is full


def bet(number):
    return ["Ana", "Paz", str(10000000 + number % 30000000), "1990-01-01", number % 10000]


def body_of(size):
    """A body of about so many bytes, and its bets."""
    one = len(wire.pack(bet(0)))
    count = max(1, (size - 5) // one)
    return wire.pack([bet(i) for i in range(count)]), count


class Agency:
    def __init__(self, context, number, port, incarnation):
        self.number, self.incarnation = number, incarnation
        self.rendezvous = context.socket(zmq.REQ)
        self.rendezvous.connect(f"tcp://127.0.0.1:{port}")
        self.bets = context.socket(zmq.PUSH)
        self.bets.setsockopt(zmq.SNDHWM, 1)
        self.bets.setsockopt(zmq.IMMEDIATE, 1)
        self.bets.connect(f"tcp://127.0.0.1:{port + 1}")
        self.winners = context.socket(zmq.SUB)
        self.winners.setsockopt(zmq.SUBSCRIBE, f"winners/1/{number}/".encode())
        self.winners.connect(f"tcp://127.0.0.1:{port + 2}")
        self.seq, self.sent_bytes, self.window = 0, 0, 0

    def hello(self):
        self.rendezvous.send(wire.pack([wire.HELLO, 1, 1, self.number, self.incarnation, 0,
                                        131072, 65536, False, 0]))
        reply = wire.read_reply(self.rendezvous.recv_multipart(), 1, self.number)
        assert reply is not None and reply[0] == wire.ADMITTED, reply
        self.window = reply[1]["window"]

    def push(self, body, count, batches_max, ignores):
        """True when a batch has left."""
        weight = len(body) + wire.WEIGHT_EXTRA_BYTES
        if self.seq >= batches_max:
            return False
        if not ignores and self.seq > 0 and self.sent_bytes + weight > self.window:
            return False
        digest = wire.sha256(b"\0", struct.pack(">4I", 1, self.number, self.seq, count), body)
        header = wire.pack([wire.BATCH, 1, 1, self.number, 1, self.seq, count, digest])
        try:
            self.bets.send_multipart([header, body], zmq.NOBLOCK)
        except zmq.Again:
            return False
        self.seq += 1
        self.sent_bytes += weight
        return True


def main():
    port, agencies, batches, size = map(int, sys.argv[1:5])
    ignores = "ignore" in sys.argv[5:]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 4 * agencies)
    context.set(zmq.BLOCKY, False)
    body, count = body_of(size)
    every = [Agency(context, number, port, 1) for number in range(agencies)]
    for agency in every:
        agency.hello()
    moved_at = time.monotonic()
    while time.monotonic() - moved_at < QUIET_S:
        for agency in every:
            if agency.push(body, count, batches, ignores):
                moved_at = time.monotonic()
        zmq.select([], [agency.bets for agency in every[:1]], [], 0.01)
    print(f"full: {sum(agency.seq for agency in every)} batches have left", flush=True)
    sys.stdin.read()
    context.destroy(linger=0)


if __name__ == "__main__":
    main()
