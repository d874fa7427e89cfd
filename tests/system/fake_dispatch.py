"""The broker's half of dispatch (proto/PROTOCOL.md, section 9) for one worker: it says what a test
tells it to, one message at a time, in the test's own thread.
"""
import socket
import struct
import threading
import time

import zmq

import wire
from wire import pack, sha256, tree_head, unpack_all

(REGISTER, INVENTORY, CREDIT, STORED, REJECTED, RETURNED, SEALED, FOUND, COUNTED, PONG, FENCED,
 MANIFEST_PART) = range(40, 52)
(WELCOME, DISMISSED, WHO, PING, FORWARD, SEAL, SEAL_VOID, COUNT, FORGET, MANIFEST) = range(60, 70)
BATCH = wire.BATCH
CHUNK_BYTES_MAX, FRAME_BYTES_MAX, LEASE_MS = 262144, 1048576, 60000
DEADLINE_S = 20


class Batch:
    """A batch of draw 1; `body` in place of what its bets pack to, `digest` of the true one."""

    def __init__(self, agency, seq, bets, body=None, digest=None, count=None, draw=1):
        self.draw, self.agency, self.attempt, self.seq, self.bets = draw, agency, 1, seq, bets
        self.count = len(bets) if count is None else count
        self.body = pack(bets) if body is None else body
        self.digest = digest or sha256(
            b"\0", struct.pack(">4I", draw, agency, seq, self.count), self.body)

    def header(self):
        return pack([BATCH, 1, self.draw, self.agency, self.attempt, self.seq, self.count,
                     self.digest])

    def item(self):
        return [0, self.draw, self.agency, self.attempt, self.seq, self.count, self.digest]


class Manifest:
    """The packed manifest of these batches (section 11) with a given number."""

    def __init__(self, batches, number, draw=1):
        entries, leaves = [], []
        for agency in sorted({batch.agency for batch in batches}):
            own = sorted((b for b in batches if b.agency == agency), key=lambda b: b.seq)
            digests, counts = [b.digest for b in own], [b.count for b in own]
            root = tree_head(digests)
            leaves.append(sha256(b"\0", struct.pack(">IIQQ", agency, len(own), sum(counts), 0),
                                 root))
            entries.append([agency, 1, 131072, 65536, False, len(own), sum(counts), 0, root,
                            b"".join(digests), counts])
        self.root, self.number, self.draw = tree_head(leaves), number, draw
        head = [1, draw, 0, 9999, True, number, bytes(32), self.root, number, len(entries)]
        self.packed = b"".join(pack(part) for part in (head, *entries))


class Gate:
    """A port whose connections are taken and stay silent, as a paused broker's, until they are let
    through to another port, in the order in which they came."""

    def __init__(self, port, target):
        self.listener, self.target = socket.create_server(("127.0.0.1", port)), target
        self.listener.settimeout(DEADLINE_S)
        self.ends = []

    def wait_for_connection(self):
        self.ends.append(self.listener.accept()[0])

    def open(self):
        for held in list(self.ends):
            onward = socket.create_connection(("127.0.0.1", self.target))
            self.ends.append(onward)
            for source, sink in ((held, onward), (onward, held)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pass_on(source, sink):
        try:
            while received := source.recv(65536):
                sink.sendall(received)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # one of the two ends has gone

    def close(self):
        for end in (self.listener, *self.ends):
            end.close()


class FakeDispatch:
    def __init__(self, port, epoch=(1, b"e" * 16)):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, 0)  # a ROUTER drops above it
        self.socket.bind(f"tcp://127.0.0.1:{port + 3}")
        self.peer, self.epoch = None, epoch

    def close(self):
        self.context.destroy(linger=0)

    def send(self, kind, *fields, frames=(), draw=0, epoch=None):
        header = pack([kind, 1, draw, *(epoch or self.epoch), *fields])
        self.send_raw(header, *frames)

    def send_raw(self, *frames):
        self.socket.send_multipart([self.peer, *frames])

    def receive(self, *also_skipped):
        """(kind, draw, fields, body) of what comes next, but PONG and CREDIT."""
        until = time.monotonic() + DEADLINE_S
        while True:
            left = until - time.monotonic()
            assert left > 0 and self.socket.poll(left * 1000), "the worker says nothing"
            self.peer, *frames = self.socket.recv_multipart()
            (kind, version, draw, *fields), = unpack_all(frames[0])
            assert version == 1 and pack([kind, version, draw, *fields]) == frames[0], frames
            if kind not in (PONG, CREDIT, *also_skipped):
                return kind, draw, fields, frames[1] if len(frames) > 1 else None

    def expect(self, kind, *also_skipped):
        """(draw, fields, body) of a message that has to be of this kind."""
        got = self.receive(*also_skipped)
        assert got[0] == kind, f"{got} instead of kind {kind}"
        return got[1:]

    def take_inventory(self):
        """Every item up to the last chunk; each chunk is answered by PING."""
        items, is_last = [], False
        while not is_last:
            _, (_, is_last, count), body = self.expect(INVENTORY)
            items += unpack_all(body)
            assert count == len(unpack_all(body)) and len(body) <= CHUNK_BYTES_MAX
            self.send(PING)
        return items

    def welcome(self):
        """(the fields of REGISTER, the items of the inventory); the worker is welcome then."""
        _, registration, _ = self.expect(REGISTER)
        items = self.take_inventory()
        self.send(WELCOME, LEASE_MS, FRAME_BYTES_MAX)
        return registration, items

    def forward(self, batch, is_declared=False, **how):
        self.send(FORWARD, is_declared, frames=(batch.header(), batch.body), draw=batch.draw, **how)

    def expect_stored(self, *batches):
        """STORED for these batches of one agency, in as many messages as it likes."""
        items = []
        while len(items) < len(batches):
            draw, (agency, attempt, count), body = self.expect(STORED)
            assert (draw, agency, attempt) == (batches[0].draw, batches[0].agency, 1)
            assert count == len(unpack_all(body))
            items += unpack_all(body)
        assert sorted(items) == [[b.seq, b.count, b.digest] for b in batches], items

    def seal(self, manifest, **how):
        parts = range(0, len(manifest.packed), CHUNK_BYTES_MAX)
        for part, start in enumerate(parts):
            self.send(SEAL, part, len(parts), len(manifest.packed), manifest.root,
                      frames=(manifest.packed[start:start + CHUNK_BYTES_MAX],), draw=manifest.draw,
                      **how)
