"""A broker for one agency that keeps everything in memory and misbehaves as it is told to: what
sorteo-agency does with losses, refusals and wrong results, one at a time. Of proto/PROTOCOL.md it
has the agency's half.
"""
import struct
import threading

import msgpack
import zmq

import wire
from wire import (ADMITTED, BATCH, BYE, DIGESTS, DIGEST_PAGE, FINISHED, HELLO, MARK, NOT_YET, OK,
                  POLL, REFUSED, RESULT, WAIT, WINNERS)

OPEN, SEALED, PUBLISHED = 1, 2, 3
NONE, ROOT = bytes(wire.DIGEST_BYTES), b"\7" * wire.DIGEST_BYTES


def ranges(seqs):
    flat = []
    for seq in sorted(seqs):
        if flat and flat[-2] + flat[-1] == seq:
            flat[-1] += 1
        else:
            flat += [seq, 1]
    return flat


def changes_its_range(kind, _, broker):
    """For `answers`: once the agency has finished no POLL is answered, so that it says HELLO again,
    and is told another range [M-70]."""
    if broker.declaration and kind == HELLO:
        broker.range = 0, 10000
    return "silence" if broker.declaration and kind == POLL else None


class FakeBroker:
    """Serves from a thread of its own until stop(). `rules` are attributes that a test sets:

    loses(seq, nth)      true: the nth copy of a batch (from 0) is lost on its way
    answers(kind, fields, broker)
                         a reply (kind, fields, body or None) in place of the usual one;
                         "silence": none at all; None: the usual one
    spoils(winners)      changes the winners of the result
    """

    def __init__(self, port, draw=1, agency=1, number=7574):
        self.port, self.draw, self.agency, self.number = port, draw, agency, number
        self.seed, self.commitment = b"", NONE
        self.range = 0, 9999
        self.loses = lambda seq, nth: False
        self.answers = lambda kind, fields, broker: None
        self.spoils = lambda winners: winners
        self.window = 1 << 20
        self.plan, self.attempt, self.incarnation = None, 0, 0
        self.durable, self.copies, self.round_seen = {}, {}, 0
        self.declaration, self.phase = None, OPEN
        self.requests, self.failure, self.page_winners = [], None, 100
        self.subscriptions = []  # as they arrived, b"\1" in front
        self.arrived = threading.Condition()
        self.context = zmq.Context()
        self.ending = False
        self.to_publish = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.ready = threading.Event()

    def start(self):
        self.thread.start()
        assert self.ready.wait(10), "the fake broker does not start"
        return self

    def stop(self):
        self.ending = True
        if self.thread.ident:
            self.thread.join(10)
        self.context.destroy(linger=0)
        if self.failure:
            raise AssertionError(self.failure)

    def wait_for(self, condition, deadline_s=30):
        """Until condition(self) holds, looked at after each message."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: condition(self) or self.failure, deadline_s), \
                f"the agency did not come so far: {self.requests[-5:]}"
        assert not self.failure, self.failure

    def draw_from(self, seed):
        """The number follows from this seed, and is no longer a given one."""
        self.seed, self.commitment = seed, wire.sha256(seed)
        self.number = wire.derive_number(seed, ROOT, *self.range)

    def publish(self):
        self.phase, self.to_publish = PUBLISHED, True

    def count(self, kind):
        return sum(1 for seen, _ in self.requests if seen == kind)

    # -- the thread --

    def _run(self):
        sockets = [self.context.socket(kind) for kind in (zmq.ROUTER, zmq.PULL, zmq.XPUB)]
        for offset, socket in enumerate(sockets):
            socket.setsockopt(zmq.LINGER, 0)
            socket.bind(f"tcp://127.0.0.1:{self.port + offset}")
        rendezvous, bets, winners = sockets
        poller = zmq.Poller()
        poller.register(rendezvous, zmq.POLLIN)
        poller.register(bets, zmq.POLLIN)
        poller.register(winners, zmq.POLLIN)
        self.ready.set()
        try:
            while not self.ending:
                events = dict(poller.poll(5))
                if winners in events:
                    self.subscriptions.append(winners.recv())
                if bets in events:
                    self._take(bets.recv_multipart())
                if rendezvous in events:
                    self._answer(rendezvous)
                if self.to_publish:
                    self.to_publish = False
                    header, body = self._result(0)
                    winners.send_multipart(
                        [f"winners/{self.draw}/{self.agency}/".encode(), header, body])
                with self.arrived:
                    self.arrived.notify_all()
        except Exception as error:  # pylint: disable=broad-except
            self.failure = f"{type(error).__name__}: {error}"
            with self.arrived:
                self.arrived.notify_all()
        for socket in sockets:
            socket.close(linger=0)

    def _take(self, frames):
        values = msgpack.unpackb(frames[0], raw=False)
        assert wire.pack(values) == frames[0], "not in shortest form"
        kind, version, draw, agency, attempt, *fields = values
        assert (version, draw, agency) == (1, self.draw, self.agency), values
        if attempt != self.attempt:
            return
        if kind == MARK:
            assert len(fields) == 2 and len(frames) == 1
            self.round_seen = max(self.round_seen, fields[1])
            return
        assert kind == BATCH and len(frames) == 2, values
        seq, count, digest = fields
        nth = self.copies.get(seq, 0)
        self.copies[seq] = nth + 1
        body = frames[1]
        assert len(msgpack.unpackb(body, raw=False)) == count <= self.plan[0]
        assert len(body) <= self.plan[1]
        assert digest == wire.sha256(
            b"\0", struct.pack(">4I", draw, agency, seq, count), body), "digest"
        if not self.loses(seq, nth):
            self.durable[seq] = (count, digest, body)

    def _answer(self, rendezvous):
        frames = rendezvous.recv_multipart()
        cut = frames.index(b"") + 1
        values = msgpack.unpackb(frames[cut], raw=False)
        assert wire.pack(values) == frames[cut] and len(frames) == cut + 1
        kind, version, draw, agency, *fields = values
        assert (version, draw, agency) == (1, self.draw, self.agency), values
        self.requests.append((kind, fields))
        reply = self.answers(kind, fields, self) or self._usual(kind, fields)
        if reply == "silence":
            return
        kind, fields, body = reply
        header = wire.pack([kind, 1, self.draw, self.agency, *fields])
        rendezvous.send_multipart(frames[:cut] + [header] + ([] if body is None else [body]))

    def _usual(self, kind, fields):
        if kind == HELLO:
            return self._hello(*fields)
        if kind == POLL:
            return self._poll(*fields)
        if kind == WINNERS:
            if self.phase != PUBLISHED:
                return NOT_YET, [self.phase], None
            header, body = self._result(fields[0])
            return RESULT, msgpack.unpackb(header, raw=False)[4:], body
        if kind == DIGESTS:
            total = max(self.durable, default=-1) + 1
            body = b"".join(self.durable[seq][1] if seq in self.durable else NONE
                            for seq in range(fields[1], total))
            return DIGEST_PAGE, [self.attempt, fields[1], total, total], body
        assert kind == BYE and not fields
        return OK, [], None

    def _hello(self, incarnation, attempt, bets_max, bytes_max, skips, start):
        if incarnation != self.incarnation:
            self.incarnation, self.round_seen = incarnation, 0
        if self.attempt == 0 or attempt == self.attempt + 1:
            self.attempt, self.durable = self.attempt + 1, {}
            self.plan = (bets_max, bytes_max, skips)
        return ADMITTED, [self.attempt, *self.plan, start, wire.ALL_IS_SAID,
                          ranges(seq for seq in self.durable if seq >= start), self.window, 1 << 20,
                          1 << 19, 1 << 20, self.phase, self.commitment, *self.range,
                          self.declaration is not None], None

    def _poll(self, incarnation, attempt, newest, start, has_declaration, *declaration):
        assert incarnation == self.incarnation and attempt == self.attempt and newest >= 1
        if self.phase == PUBLISHED:
            header, body = self._result(0)
            return RESULT, msgpack.unpackb(header, raw=False)[4:], body
        if has_declaration and len(self.durable) == declaration[0]:
            digests = [self.durable[seq][1] for seq in range(declaration[0])]
            bets = sum(self.durable[seq][0] for seq in self.durable)
            if wire.tree_head(digests) != declaration[3] or bets != declaration[1]:
                return REFUSED, [wire.REASONS.index("DECLARATION"), 0, 0, 0, self.attempt], None
            self.declaration = declaration
        kind = FINISHED if has_declaration and self.declaration else WAIT
        return kind, [self.attempt, self.round_seen, start, wire.ALL_IS_SAID, ranges(self.durable),
                      [], self.window, self.phase, int(self.declaration is not None), 2,
                      [2] if self.declaration else [1, 2]], None

    def _result(self, start):
        bodies = [(seq, msgpack.unpackb(self.durable[seq][2])) for seq in sorted(self.durable)]
        won = self.spoils([[seq, row, bet] for seq, body in bodies
                           for row, bet in enumerate(body) if bet[4] == self.number])
        page = won[start:start + self.page_winners]
        header = wire.pack([RESULT, 1, self.draw, self.agency, self.number, ROOT, self.seed,
                            start, start + len(page), len(won)])
        return header, b"".join(wire.pack(winner) for winner in page)
