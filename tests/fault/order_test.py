"""What is told is durable before it is told, by the system calls of real programs: a worker's
STORED and SEALED after its commit; each decision of the broker's after the sync of the journal that
has its row; an agency's BYE after its winners file is on disk under its name. Programs that tell
too early, and programs without their syncs, are caught.
"""
import contextlib
import os
import re
import sqlite3

import trace_calls
import wire
from case import NUMBER
from cluster import sample
from fault import AGENCIES, BETS, STORES, Cluster, Draw, FaultCase, fast, needs_strace
from phases import LAST
from trace_calls import row

STORED_ITEM = re.compile(rb"\x93(?:[\x00-\x7f]|\xcc.|\xcd..|\xce.{4})(?:[\x00-\x7f]|\xcc.|\xcd..)"
                         rb"\xc4\x20(.{32})", re.S)
STORED, SEALED = b"\x2b\x01\x01", b"\x2e\x01\x01"  # kind, version, draw
WELCOME, SEAL_VOID = b"\x97\x3c\x01\x00", b"\x95\x42\x01\x01"  # an array in front of that
IN_A_REPLY = rb"\x01\x00[\x00\x01]."  # the envelope's empty frame, the flags and size of the next
PHASE_SEALED, PHASE_PUBLISHED, PHASE_VOID = 2, 3, 4  # as the journal has them
AGENCY_IDS = range(1, AGENCIES + 1)


def each(kind, ids):
    return {f"{kind} {of}" for of in ids}


ALL_TOLD = {"root"}.union(each("WELCOME", range(STORES)), *(
    each(kind, AGENCY_IDS) for kind in ("ADMITTED", "FINISHED", "published", "RESULT")))


class Journal:
    """The rows on which rests what a broker tells, as they stand in its journal at the end."""

    def __init__(self, path):
        with contextlib.closing(sqlite3.connect(path)) as journal:
            def read(sql):
                return journal.execute(sql).fetchall()
            self.stores = [row(None, *id) for id in read("SELECT id FROM stores ORDER BY place")]
            self.epoch, = read("SELECT number, id FROM epoch")
            self.plans = {plan[1]: row(None, *plan) for plan in read(
                "SELECT draw, agency, attempt, bets_max, bytes_max, skips_bad_rows, wall_ms"
                " FROM plans WHERE attempt = 1")}
            self.roots = dict(read("SELECT agency, root FROM declarations"))
            self.results = {result[1]: row(*result) for result in read("SELECT * FROM results")}
            (_, self.phase, *self.terms), = read("SELECT * FROM draws")
            self.root, self.number = self.terms[-2:]

    def draw(self, phase):
        """The draw's row while it has this phase: the change of phase writes it anew."""
        return row(None, phase, *self.terms)

    def promises(self):
        """(what is told, the bytes that tell it, the rows that are durable by then)"""
        def told(name, head, rows, begin=b""):
            return name, re.compile(begin + re.escape(head), re.S), rows
        for agency, plan in self.plans.items():
            yield told(f"ADMITTED {agency}", bytes([0xdc, 0, 20, wire.ADMITTED, 1, 1, agency, 1]),
                       [plan])
            if self.phase == PHASE_VOID:
                refused = [0x99, wire.REFUSED, 1, 1, agency, wire.REASONS.index("VOID")]
                yield told(f"VOID {agency}", bytes(refused), [self.draw(PHASE_VOID)])
        for agency, root in self.roots.items():  # the whole row runs over several pages
            yield told(f"FINISHED {agency}", bytes([0x9f, wire.FINISHED, 1, 1, agency]), [root])
        for agency, result in self.results.items():
            rows = [self.draw(PHASE_PUBLISHED), result]
            head = bytes([0x9a, wire.RESULT, 1, 1, agency]) + wire.pack(self.number)
            head += wire.pack(self.root) + wire.pack(b"")  # there is no seed
            yield told(f"published {agency}", b"winners/1/%d/" % agency, rows)
            yield told(f"RESULT {agency}", head + b"\x00", rows, IN_A_REPLY)
            name, tells, rows = told(f"WINNERS {agency}", head, rows, IN_A_REPLY)
            yield name, re.compile(tells.pattern + rb"[^\x00]", re.S), rows  # from the second page
        if self.phase == PHASE_VOID:
            yield told("SEAL_VOID", SEAL_VOID, [self.draw(PHASE_VOID)])
        else:
            yield told("root", self.root, [self.draw(PHASE_SEALED)])
        yield told("WELCOME", WELCOME + b"".join(map(wire.pack, self.epoch)),
                   [row(None, *self.epoch)])


@needs_strace
class Order(FaultCase):
    @contextlib.contextmanager
    def traced(self, cluster, breaks=None, calls=trace_calls.CALLS):
        """What is started inside is traced into the file that is handed out. It is whole when the
        cluster has been left: the tracer ends after its program."""
        path = f"{cluster.folder}.trace"
        self.addCleanup(os.remove, path)
        broken = {"break_": breaks} if breaks else {}
        with cluster.changed(before=trace_calls.before(path, calls), **broken):
            yield path

    # -- a worker --

    def trace_worker(self, breaks=None):
        """(batches and seals told, those of them that were not durable, the draw's root)"""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            self.draw = draw = Draw(cluster)
            with self.traced(cluster, breaks) as path:
                draw.start("worker 0")
            draw.start_all("worker 0")
            self.expect_right_end()
            root = Journal(cluster.path("broker/journal.sqlite")).root
        told, early = set(), set()
        for pages, sent in trace_calls.sends_of_worker(path):
            digests = STORED_ITEM.findall(sent) if STORED in sent else []
            digests += [root] if SEALED in sent and root in sent else []
            early |= {digest for digest in digests if not pages.have(digest)}
            told.update(digests)
        return told, early, root

    @fast
    def test_worker(self):
        told, early, root = self.trace_worker()
        self.assertTrue(root in told and len(told) > 20, f"{len(told)} told")
        self.assertEqual(len(early), 0, f"of {len(told)} told")

    def test_worker_that_tells_before_its_commit_is_caught(self):
        told, early, _ = self.trace_worker("early")
        self.assertGreater(len(early), len(told) // 2)

    def test_worker_that_does_not_sync_is_caught(self):
        told, early, _ = self.trace_worker("unsynced")
        self.assertTrue(early == told != set(), f"{len(early)} of {len(told)}")

    # -- the broker --

    def trace_broker(self, breaks=None, paths=None, number=NUMBER, knows_stores=False, **broker):
        """(what was told, what of it was told before it was durable) by a broker in a whole draw,
        or in one that is void where it has a timeout: then the last agency does not come."""
        with Cluster(agencies=AGENCIES, winning_number=number, **broker) as cluster:
            self.draw = draw = Draw(cluster, paths)
            absent = [LAST] if "barrier_timeout" in broker else []
            if knows_stores:
                draw.begin(*draw.names("agency"))
                self.stop(draw["broker"], 0)
            with self.traced(cluster, breaks) as path:
                draw.start("broker")
            for nth, name in enumerate(draw.names("worker")):
                if not knows_stores:
                    draw.start(name)  # one after the other: the journal has them in this order
                draw["broker"].wait_line("registro .* success", skip=nth)
            draw.start_all("broker", *draw.names("worker"), *absent)
            if absent:
                for name in ("agency 1", "agency 2"):
                    self.expect_exit(draw[name], 75, "refused: the draw is void")
                self.expect_exit(draw["broker"], 0)
            else:
                self.expect_right_end(number)
            journal = Journal(cluster.path("broker/journal.sqlite"))
        return self.told_by_broker(path, journal, [] if knows_stores else journal.stores)

    def told_by_broker(self, path, journal, stores):
        """in: stores: rows, in the order in which their stores were made welcome."""
        told, early, promises, welcomes = set(), set(), list(journal.promises()), 0
        for pages, sent in trace_calls.sends_of_broker(path):
            for name, tells, rows in promises:
                if not tells.search(sent):
                    continue
                if name == "WELCOME":
                    name = f"WELCOME {welcomes}"
                    welcomes += 1
                    rows = rows + stores[:welcomes]
                told.add(name)
                if not all(pages.have(row) for row in rows):
                    early.add(name)
        return told, early

    def expect_in_order(self, told, early, expected):
        self.assertLessEqual(expected, told)
        self.assertEqual(early, set())

    def expect_caught(self, early, kinds):
        """Of each kind at least one: the next turn may sync what this one has told before ZeroMQ's
        thread has sent it."""
        self.assertLessEqual(kinds, {name.split()[0] for name in early})

    def many_winners(self):
        """More for each agency than a page takes."""
        return {"paths": sample(AGENCIES, BETS, number_range="0-99"), "number": 42,
                "number_range": "0-99"}

    @fast
    def test_broker(self):
        self.expect_in_order(*self.trace_broker(), ALL_TOLD)

    def test_broker_with_pages_of_winners(self):
        self.expect_in_order(*self.trace_broker(**self.many_winners()),
                             ALL_TOLD | each("WINNERS", AGENCY_IDS))

    def test_broker_that_is_back(self):
        """It knows its stores: nothing but its epoch is journaled before it makes them welcome."""
        self.expect_in_order(*self.trace_broker(knows_stores=True), ALL_TOLD)

    def test_broker_that_makes_the_draw_void(self):
        self.expect_in_order(*self.trace_broker(barrier_timeout=3),
                             {"SEAL_VOID"} | each("VOID", (1, 2)) | each("ADMITTED", (1, 2)))

    def test_broker_that_tells_before_its_commit_is_caught(self):
        _, early = self.trace_broker("early", **self.many_winners())
        self.expect_caught(early, {"WELCOME", "ADMITTED", "FINISHED", "root", "published",
                                   "RESULT", "WINNERS"})

    def test_broker_that_tells_its_epoch_before_its_commit_is_caught(self):
        _, early = self.trace_broker("early", knows_stores=True)
        self.expect_caught(early, {"WELCOME"})

    def test_broker_that_tells_a_void_before_its_commit_is_caught(self):
        _, early = self.trace_broker("early", barrier_timeout=3)
        self.expect_caught(early, {"SEAL_VOID", "VOID"})

    def test_broker_that_does_not_sync_is_caught(self):
        told, early = self.trace_broker("unsynced")
        self.assertLessEqual(ALL_TOLD, told)
        self.assertEqual(early, told)

    # -- an agency --

    def trace_agency(self, breaks=None):
        """What had been done with its winners file when it said BYE."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            self.draw = draw = Draw(cluster)
            with self.traced(cluster, breaks, trace_calls.CALLS_OF_AGENCY) as path:
                draw.start("agency 1")
            draw.start_all("agency 1")
            self.expect_right_end()
            output, winners = cluster.path("winners-1.csv"), cluster.output(1)
        self.assertTrue(winners)
        bye = bytes([0x94, wire.BYE, 1, 1, 1])
        return trace_calls.steps_of_agency(path, output, winners, bye)

    def test_agency(self):
        self.assertEqual(self.trace_agency(), ["whole", "synced", "named", "folder synced"])

    def test_agency_that_does_not_sync_is_caught(self):
        self.assertEqual(self.trace_agency("unsynced"), ["whole", "named"])
