#!/usr/bin/python3
"""A second agency, written from proto/PROTOCOL.md alone ("Writing an agency"): one CSV file in, its
winners out. It shares no code with agency/, and so shows whether the page is enough and whether
both make the same bytes. With --lose K it does not send every K-th batch the first time: it has to
find them missing by rounds and POLL. The last line on stderr is JSON: what was lost and repaired.
It reads files whose quoted fields have no line breaks, and keeps everything in memory.
"""
import argparse
import json
import random
import sys
import time

import zmq

import wire
from wire import ADMITTED, BATCH, BYE, FINISHED, HELLO, MARK, POLL, REFUSED, RESULT, WINNERS
from wire import DIGESTS, DIGEST_BYTES, FIELDS, fail, members, pack

BUSY_MS = 20  # between POLLs while batches are on their way


class Agency:
    def __init__(self, options):
        self.options, self.draw, self.id = options, options.draw, options.id
        self.incarnation, self.round, self.is_marked = time.time_ns(), 1, False
        self.attempt, self.unanswered, self.published, self.terms = 0, 0, None, None
        self.plan = None
        # seq → round of its last sending; what was tried at least once, lost on purpose, sent again
        self.sent, self.tried, self.durable, self.lost, self.repaired = {}, set(), set(), [], set()
        self.counts = {"polls": 0, "cut": 0, "pages": 0, "redials": 0}
        self.context, self.sockets = zmq.Context(), []
        self.dial()

    def dial(self):
        for socket in self.sockets:
            socket.close(linger=0)
        host, _, port = self.options.broker.partition(":")
        self.topic = f"winners/{self.draw}/{self.id}/".encode()
        self.sockets = [self.context.socket(kind) for kind in (zmq.REQ, zmq.PUSH, zmq.SUB)]
        self.rendezvous, self.bets, self.winners = self.sockets
        self.rendezvous.setsockopt(zmq.REQ_RELAXED, 1)
        self.rendezvous.setsockopt(zmq.REQ_CORRELATE, 1)
        self.bets.setsockopt(zmq.IMMEDIATE, 1)
        self.winners.setsockopt(zmq.SUBSCRIBE, self.topic)
        for offset, socket in enumerate(self.sockets):
            socket.setsockopt(zmq.LINGER, 1000)
            socket.setsockopt(zmq.MAXMSGSIZE, 1 << 20)
            socket.connect(f"tcp://{host}:{int(port or 5555) + offset}")

    def header(self, kind, *fields):
        return pack([kind, 1, self.draw, self.id, *fields])

    def read(self, frames):
        return wire.read_reply(frames, self.draw, self.id)

    def ask_once(self, kind, *fields):
        """One try: the answer, or None within RETRY_MS."""
        self.rendezvous.send(self.header(kind, *fields))
        until = time.monotonic() + wire.RETRY_MS / 1000
        while (left := until - time.monotonic()) > 0 and self.rendezvous.poll(left * 1000):
            answer = self.read(self.rendezvous.recv_multipart())
            if answer:
                return answer
        return None

    def ask(self, kind, *fields):
        """Sends a request until it is answered (section 12.9). Most of REFUSED ends the program."""
        while True:
            answer = self.ask_once(kind, *fields)
            if answer:
                self.unanswered = 0
                return self.refused(kind, answer[1]) if answer[0] == REFUSED else answer
            self.unanswered += 1
            if self.unanswered >= self.options.retries:
                fail(69, "the broker does not answer")
            if self.unanswered % wire.UNANSWERED_REDIAL == 0:
                self.counts["redials"] += 1
                self.dial()
                if kind != HELLO:
                    self.hello(0)

    def refused(self, kind, reply):
        reason = reply["reason"] if reply["reason"] < len(wire.REASONS) else 0
        text = f"refused: {wire.REASONS[reason]}"
        if wire.REASONS[reason] == "SUPERSEDED" and kind == HELLO and not self.attempt:
            self.incarnation = reply["number"] + 1
            return None
        if wire.REASONS[reason] == "NOT_OPEN" and kind == HELLO:
            return None
        if wire.REASONS[reason] == "DECLARATION":
            text += f", the first batch that differs is {self.differing()}"
        if wire.REASONS[reason] in ("EXCLUDED", "VOID"):
            self.say_bye()
        details = "".join(f", {key} {reply[key]}" for key in FIELDS[REFUSED][2:])
        fail(wire.EXIT_CODES[reason], text + details)

    def say_bye(self):
        """A courtesy, whatever comes."""
        any(self.ask_once(BYE) for _ in range(wire.UNANSWERED_REDIAL))

    def differing(self):
        seq, total = 0, 1
        while seq < total:
            _, page, body = self.ask(DIGESTS, self.attempt, seq)
            is_page = page["upto"] > seq and len(body) <= wire.PAGE_BYTES_MAX
            total = page["total"] if is_page else 0
            for at in range(0, len(body) if is_page else 0, DIGEST_BYTES):
                if seq >= len(self.digests) or body[at:at + DIGEST_BYTES] != self.digests[seq]:
                    return seq
                seq += 1
        return seq

    def hello(self, start):
        pause, plan = wire.WAIT_MS_MIN, (self.options.batch_bets, self.options.batch_bytes, False)
        while (answer := self.ask(HELLO, self.incarnation, self.attempt, *plan, start)) is None:
            self.wait(pause)
            pause = min(2 * pause, wire.WAIT_MS_MAX)
        self.attempt = answer[1]["attempt"]
        terms = [answer[1][key] for key in ("commitment", "range_first", "range_last")]
        if self.terms not in (None, terms):  # [M-70]
            fail(76, "the broker has changed the commitment to its seed or the range of its number")
        self.terms = terms
        plan = [answer[1][key] for key in FIELDS[ADMITTED][2:5]]
        if self.plan not in (None, plan):
            fail(76, "the broker has changed the plan of the attempt")
        self.plan = plan
        self.take_durable(answer[1])
        return answer[1] if answer[1]["upto"] == wire.ALL_IS_SAID else self.hello(answer[1]["upto"])

    def take_durable(self, reply):
        """What a reply says from `from` to `upto` replaces what was known there."""
        outside = {seq for seq in self.durable if not reply["from"] <= seq < reply["upto"]}
        told = {seq for seq in members(reply["durable"]) if reply["from"] <= seq < reply["upto"]}
        self.durable = outside | told
        for seq in told:
            self.sent.setdefault(seq, 1)
            self.tried.add(seq)

    def send(self, window):
        """Sends what is unsent or missing while the window has room, at least one batch."""
        weight = [len(body) + wire.WEIGHT_EXTRA_BYTES for body in self.source.bodies]
        away = [seq for seq in self.sent if seq not in self.durable and seq < len(weight)]
        outstanding = sum(weight[seq] for seq in away)
        for seq in (seq for seq in range(len(weight)) if seq not in self.sent):
            if outstanding and outstanding + weight[seq] > window:
                return
            if self.options.lose and seq not in self.tried and (seq + 1) % self.options.lose == 0:
                self.lost.append(seq)
            elif self.bets.poll(wire.RETRY_MS, zmq.POLLOUT):
                self.bets.send_multipart([
                    self.header(BATCH, self.attempt, seq, len(self.source.batches[seq]),
                                self.digests[seq]), self.source.bodies[seq]])
                self.repaired |= {seq} & set(self.lost)
            else:
                return
            self.sent[seq] = self.round + self.is_marked
            self.tried.add(seq)
            outstanding += weight[seq]

    def wait(self, ms):
        """Waits, with jitter, for a publication of ours at most."""
        until = time.monotonic() + random.uniform(0.5, 1) * ms / 1000
        while (left := until - time.monotonic()) > 0 and self.winners.poll(left * 1000):
            topic, *frames = self.winners.recv_multipart()
            answer = self.read(frames) if topic == self.topic and len(frames) == 2 else None
            if answer and answer[0] == RESULT:
                self.published = answer
                return

    def take_part(self, admitted):
        """Sends and asks until the result is there: rounds, missing, window (section 12)."""
        may_send, window, start, pause = not admitted["is_finished"], admitted["window"], 0, BUSY_MS
        root, bets = wire.tree_head(self.digests), sum(map(len, self.source.batches))
        declaration = [True, len(self.digests), bets, self.source.rejected, root]
        while not self.published:
            if may_send:
                self.send(window)
            if self.bets.poll(0, zmq.POLLOUT):
                self.bets.send(self.header(MARK, self.attempt, self.incarnation, self.round))
                self.is_marked = True
            is_whole = admitted["is_finished"] or len(self.tried) >= len(self.digests)
            kind, reply, body = self.ask(POLL, self.incarnation, self.attempt, self.round, start, *(
                declaration if is_whole else [False, 0, 0, 0, bytes(DIGEST_BYTES)]))
            if kind == RESULT:
                self.published = kind, reply, body
                return
            before, may_send, window = len(self.durable), True, reply["window"]
            self.take_durable(reply)
            there = self.durable | members(reply["held"])
            missing = [seq for seq, sent_round in self.sent.items()  # [M-63]
                       if sent_round <= reply["round_seen"] and seq not in there
                       and reply["from"] <= seq < reply["upto"]]
            for seq in missing:
                del self.sent[seq]
            start = 0 if reply["upto"] == wire.ALL_IS_SAID else reply["upto"]
            self.counts["polls"] += 1
            self.counts["cut"] += start > 0
            if reply["round_seen"] >= self.round:
                self.round, self.is_marked = self.round + 1, False
            is_busy = missing or len(self.durable) != before or start
            longest = wire.WAIT_MS_MAX if kind == FINISHED else wire.WAIT_MS_MIN
            pause = BUSY_MS if is_busy else min(max(2 * pause, longest // 15), longest)
            self.wait(pause)

    def fetch(self):
        """All pages of the result, checked as section 8 says; the winning rows."""
        rows, first, place = [], None, (-1, -1)
        while True:
            kind, page, body = self.published or self.ask(WINNERS, len(rows))
            self.published = None
            if kind != RESULT:
                self.wait(wire.WAIT_MS_MIN)
                continue
            winners, first = wire.unpack_all(body), first or page
            self.counts["pages"] += 1
            same = all(page[key] == first[key] for key in ("number", "root", "seed", "total"))
            if len(body) > wire.PAGE_BYTES_MAX:  # [M-72]
                fail(76, "a page of the result is larger than a page may be")
            if not same or (page["from"], page["upto"]) != (len(rows), len(rows) + len(winners)):
                fail(76, "the pages of the result do not fit together")
            for seq, row, bet in winners:
                batch = self.source.batches[seq] if seq < len(self.digests) else []
                if (seq, row) <= place or row >= len(batch) or batch[row][1] != bet or \
                        bet[4] != page["number"]:
                    fail(76, f"winner {len(rows)} of the result is not a winning row of the file")
                rows.append(batch[row][0])
                place = seq, row
            if len(rows) >= page["total"] or not winners:
                break
        told = wire.sha256(page["seed"]) if page["seed"] else bytes(DIGEST_BYTES)
        if told != self.terms[0] or len(rows) != page["total"]:
            fail(76, "the seed is not the one that was committed to, or winners are missing")
        drawn = [page["seed"], page["root"], *self.terms[1:]]
        if page["seed"] and wire.derive_number(*drawn) != page["number"]:  # [M-69]
            fail(76, "the number does not follow from seed and root in the draw's range")
        return rows

    def run(self):
        text = wire.read_file(self.options.input)
        admitted = self.hello(0)
        self.source = wire.Source(text, *self.plan)
        self.digests = self.source.digests(self.draw, self.id)
        if admitted["phase"] != wire.PUBLISHED:
            self.take_part(admitted)
        rows = self.fetch()
        wire.write_rows(self.options.output, rows)
        self.say_bye()
        print(json.dumps({"batches": len(self.digests), "winners": len(rows), "lost": self.lost,
                          "repaired": sorted(self.repaired), **self.counts}), file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description="an agency written from PROTOCOL.md")
    for name, kind, default in [("broker", str, "localhost"), ("draw", int, 1), ("id", int, None),
                                ("input", str, None), ("output", str, None), ("lose", int, 0),
                                ("batch-bets", int, 1 << 17), ("batch-bytes", int, 65536),
                                ("retries", int, 30)]:
        parser.add_argument(f"--{name}", type=kind, default=default, required=default is None)
    try:
        options = parser.parse_args()
    except (argparse.ArgumentError, SystemExit) as error:
        raise SystemExit(0 if getattr(error, "code", 64) == 0 else 64) from None
    Agency(options).run()


if __name__ == "__main__":
    main()
