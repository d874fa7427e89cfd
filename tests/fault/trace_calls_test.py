"""That a trace is read as it is meant: what is durable at each send, by traces written by hand,
with calls of two threads that overlap, and with one step too few. No real program shows these.
"""
import os
import tempfile
import unittest

import trace_calls
from fault import fast

WAL, STORE, OUTPUT = "/d/journal.sqlite-wal", "/d/data.mdb", "/d/winners.csv"
SEND = r'2 sendto(9<\x73>, "\x62", 1, 0, NULL, 0) = 1'
BEGINS, ENDS = "1 fdatasync(4<{}> <unfinished ...>", "1 <... fdatasync resumed>) = 0"
SYNC = "1 fdatasync(4<{}>) = 0"


def hexed(text):
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def write(text, descriptor=4, size=3, place=8192, path="{}"):
    return f'1 pwrite64({descriptor}<{path}>, "{hexed(text)}", {size}, {place}) = {size}'


def meta(descriptor):
    return write("m", descriptor, trace_calls.META_BYTES, trace_calls.META_PLACES[0])


class TraceCalls(unittest.TestCase):
    def trace(self, path, *lines):
        with tempfile.NamedTemporaryFile("w", suffix=".trace", delete=False) as file:
            file.write("".join(line.format(hexed(path)) + "\n" for line in lines))
        self.addCleanup(os.remove, file.name)
        return file.name

    def expect_durable(self, sends, durable):
        self.assertEqual([pages.have(b"row") for pages, _ in sends], durable)

    @fast
    def test_journal_is_durable_where_its_sync_has_returned(self):
        self.expect_durable(trace_calls.sends_of_broker(self.trace(
            WAL, write("row"), SEND, BEGINS, SEND, ENDS, SEND)), [False, False, True])

    @fast
    def test_store_is_durable_with_the_meta_page_that_follows_a_sync(self):
        self.expect_durable(trace_calls.sends_of_worker(self.trace(
            STORE, write("row"), SEND, BEGINS, SEND, ENDS, SEND,
            meta(5).replace(") = 120", " <unfinished ...>"), SEND,
            "1 <... pwrite64 resumed>) = 120", SEND)), [False, False, False, False, True])

    @fast
    def test_store_is_not_durable_without_a_sync_or_by_a_meta_page_that_is_not_synced(self):
        self.expect_durable(trace_calls.sends_of_worker(self.trace(
            STORE, write("row"), meta(5), SEND, SYNC, meta(4), SEND)), [False, False])

    @fast
    def test_winners_that_are_written_after_their_sync_are_not_synced(self):
        steps = trace_calls.steps_of_agency(self.trace(
            OUTPUT + ".tmp", write("r").replace("pwrite64", "write"), SYNC,
            write("ow").replace("pwrite64", "write"),
            f'1 rename("{hexed(OUTPUT)}.tmp", "{hexed(OUTPUT)}") = 0', SEND), OUTPUT, b"row", b"b")
        self.assertEqual(steps, ["whole", "named"])
