"""Looks at a running broker from outside, by raw messages of proto/PROTOCOL.md: what the ledger
knows, what a request is answered, what is published. It is no agency: it leaves no trace but for
hello(), which opens an attempt as any agency's does, and push().
"""
import time

import zmq
from zmq.utils.monitor import recv_monitor_message

import wire
from cluster import DEADLINE_S

NONE = bytes(wire.DIGEST_BYTES)


class Observer:
    def __init__(self, cluster, draw=1):
        self.port, self.draw = cluster.port, draw
        self.context = zmq.Context()
        self.requests = self.context.socket(zmq.REQ)
        self.requests.setsockopt(zmq.REQ_RELAXED, 1)
        self.requests.setsockopt(zmq.REQ_CORRELATE, 1)
        self.requests.connect(f"tcp://127.0.0.1:{self.port}")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.context.destroy(linger=0)

    def ask(self, kind, agency, *fields, draw=None):
        """(kind, fields, body) of the reply; asks again while there is none."""
        draw = self.draw if draw is None else draw
        until = time.monotonic() + DEADLINE_S
        while time.monotonic() < until:
            self.requests.send(wire.pack([kind, 1, draw, agency, *fields]))
            if self.requests.poll(wire.RETRY_MS):
                reply = wire.read_reply(self.requests.recv_multipart(), draw, agency)
                assert reply is not None, "a reply that cannot be read"
                return reply
        raise AssertionError(f"no reply to a request of kind {kind}")

    def hello(self, agency, bets_max=131072, bytes_max=65536):
        """What an agency that asks first is told: kind and fields."""
        return self.ask(wire.HELLO, agency, 1, 0, bets_max, bytes_max, False, 0)[:2]

    def push(self, *messages):
        """Messages on bets, in this order; they leave while the observer is there."""
        bets = self.context.socket(zmq.PUSH)
        bets.setsockopt(zmq.IMMEDIATE, 1)
        bets.connect(f"tcp://127.0.0.1:{self.port + 1}")
        for frames in messages:
            bets.send_multipart(frames)

    def known(self, agency, attempt=1):
        """The ledger's digests of an agency: {seq: digest}. Empty before it has said HELLO."""
        digests, start, total = {}, 0, 1
        while start < total:
            kind, page, body = self.ask(wire.DIGESTS, agency, attempt, start)
            if kind == wire.REFUSED:
                return {}
            for seq in range(page["from"], page["upto"]):
                at = wire.DIGEST_BYTES * (seq - page["from"])
                digests[seq] = body[at:at + wire.DIGEST_BYTES]
            total, start = page["total"], max(page["upto"], start + 1)
        return {seq: digest for seq, digest in digests.items() if digest != NONE}

    def wait_known(self, agencies, is_enough):
        """Asks until what the ledger knows of these agencies, {(agency, seq): digest}, is enough;
        each time once the broker has turned."""
        until = time.monotonic() + DEADLINE_S
        while time.monotonic() < until:
            known = {(agency, seq): digest for agency in agencies
                     for seq, digest in self.known(agency).items()}
            if is_enough(known):
                return known
        raise AssertionError(f"the ledger knows {len(known)} batches: not enough")

    def winners(self, agency, draw=None):
        """The whole result of an agency: the first page's fields, and its winners."""
        winners, first, total = [], None, 1
        while len(winners) < total:
            kind, page, body = self.ask(wire.WINNERS, agency, len(winners), draw=draw)
            assert kind == wire.RESULT, f"no result: {kind} {page}"
            first, total = first or page, page["total"]
            winners += wire.unpack_all(body)
        return first, winners

    def subscribe(self, topic):
        return Subscription(self.context, self.port, topic)


class Subscription:
    """A raw SUB. When it exists its connection stands, with the subscription on its way."""

    def __init__(self, context, port, topic):
        self.socket = context.socket(zmq.SUB)
        self.socket.setsockopt(zmq.SUBSCRIBE, topic)
        self.monitor = self.socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        self.socket.connect(f"tcp://127.0.0.1:{port + 2}")
        self._wait(zmq.EVENT_HANDSHAKE_SUCCEEDED)

    def _wait(self, event):
        assert self.monitor.poll(DEADLINE_S * 1000), "nothing happens on the subscription"
        assert recv_monitor_message(self.monitor)["event"] == event

    def heard_until_end(self):
        """Everything that it heard until the broker closed the connection: all there ever was."""
        self._wait(zmq.EVENT_DISCONNECTED)
        heard = []
        while self.socket.poll(0):
            heard.append(self.socket.recv_multipart())
        return heard
