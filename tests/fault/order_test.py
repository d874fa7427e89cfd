"""What is told is durable before it is told, by the system calls of real programs: a worker's
STORED after the commit that has its batches, SEALED after the seal's; the broker's FINISHED after
the sync of the journal that has the declaration, SEAL (and all else that names the root) after the
seal's. A worker that acknowledges too early, and programs without their syncs, are caught.
"""
import contextlib
import os
import re
import sqlite3

import trace_calls
import wire
from case import NUMBER
from fault import AGENCIES, Cluster, Draw, FaultCase, fast, needs_strace

STORED_ITEM = re.compile(rb"\x93(?:[\x00-\x7f]|\xcc.|\xcd..|\xce.{4})(?:[\x00-\x7f]|\xcc.|\xcd..)"
                         rb"\xc4\x20(.{32})", re.S)
STORED, SEALED = b"\x2b\x01\x01", b"\x2e\x01\x01"  # kind, version, draw


@needs_strace
class Order(FaultCase):
    def trace(self, name, breaks=None):
        """The trace of one program through a whole draw, and the roots: of each agency's
        declaration, and of the draw."""
        with contextlib.ExitStack() as stack:
            cluster = stack.enter_context(Cluster(agencies=AGENCIES, winning_number=NUMBER))
            self.draw = draw = Draw(cluster)
            traced = cluster.path("trace")
            broken = {"break_": breaks} if breaks else {}
            with cluster.changed(before=trace_calls.before(traced), **broken):
                draw.start(name)
            draw.start_all(name)
            self.expect_right_end()
            self.addCleanup(os.remove, f"{cluster.folder}.trace")
            os.rename(traced, f"{cluster.folder}.trace")
            path = cluster.path("broker/journal.sqlite")
            with contextlib.closing(sqlite3.connect(path)) as journal:
                roots = dict(journal.execute("SELECT agency, root FROM declarations"))
                root, = journal.execute("SELECT root FROM draws").fetchone()
            return f"{cluster.folder}.trace", roots, root

    def too_early_of_worker(self, path, root):
        """(batches and seals told, those of them that were not durable)"""
        told, early = set(), set()
        for pages, sent in trace_calls.sends_of_worker(path):
            digests = STORED_ITEM.findall(sent) if STORED in sent else []
            digests += [root] if SEALED in sent and root in sent else []
            early |= {digest for digest in digests if not pages.have(digest)}
            told.update(digests)
        return told, early

    def too_early_of_broker(self, path, roots, root):
        told, early = set(), set()
        for pages, sent in trace_calls.sends_of_broker(path):
            heads = [roots[agency] for agency in roots if
                     bytes([0x9f, wire.FINISHED, 1, 1, agency]) in sent]
            heads += [root] if root in sent else []
            early |= {head for head in heads if not pages.have(head)}
            told.update(heads)
        return told, early

    @fast
    def test_worker(self):
        path, _, root = self.trace("worker 0")
        told, early = self.too_early_of_worker(path, root)
        self.assertTrue(root in told and len(told) > 20, f"{len(told)} told")
        self.assertEqual(len(early), 0, f"of {len(told)} told")

    @fast
    def test_broker(self):
        path, roots, root = self.trace("broker")
        told, early = self.too_early_of_broker(path, roots, root)
        self.assertEqual(told, {root, *roots.values()})
        self.assertEqual(len(early), 0)

    def test_worker_that_tells_before_its_commit_is_caught(self):
        path, _, root = self.trace("worker 0", "early")
        told, early = self.too_early_of_worker(path, root)
        self.assertGreater(len(early), len(told) // 2)

    def test_worker_that_does_not_sync_is_caught(self):
        path, _, root = self.trace("worker 0", "unsynced")
        told, early = self.too_early_of_worker(path, root)
        self.assertTrue(early == told != set(), f"{len(early)} of {len(told)}")

    def test_broker_that_does_not_sync_is_caught(self):
        path, roots, root = self.trace("broker", "unsynced")
        told, early = self.too_early_of_broker(path, roots, root)
        self.assertEqual(early, told)
