#!/usr/bin/python3
"""SIGTERM and SIGINT to each program in each phase in which it can be held: it ends within 5 s with
the right code (broker and worker 0, an agency without its winners 75) and leaves nothing behind.
Started again in order, the draw goes on and everybody gets his winners.
"""
import contextlib
import os
import re
import signal
import socket
import sqlite3
import subprocess
import unittest

import wire
from case import NUMBER, SystemCase
from cluster import DEADLINE_S, Cluster, sample
from fake_dispatch import Batch
from observer import Observer

PIPE_BYTES = 65536  # what a pipe takes without a reader
AT_THE_BARRIER = r"consulta_ganadores .* in_progress .* finished: 1 of 2"
SENDING = "apuesta_enviada .* in_progress"
WAITING_FOR_JOURNAL = "action: journal .* in_progress .* waiting_for: another process"


@contextlib.contextmanager
def journal_held(cluster):
    """This process is inside a transaction of the broker's journal."""
    path = cluster.path("broker", "journal.sqlite")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


def each_signal(phase):
    """Makes a test of a phase: once for each of the two signals."""
    def test(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number.name), Cluster(agencies=2, winning_number=NUMBER,
                                                    linger=600) as cluster:
                phase(self, cluster, number)
    return test


class Stop(SystemCase):
    @classmethod
    def setUpClass(cls):
        cls.paths = sample(2, 40000, winning_number=NUMBER)

    def agency(self, cluster, number, **options):
        return cluster.agency(number, self.paths[number - 1], **options)

    def listen(self, cluster, offset):
        """Answers once a program has connected: somebody listens who never says anything."""
        listener = socket.create_server(("127.0.0.1", cluster.port + offset))
        listener.settimeout(DEADLINE_S)
        self.addCleanup(listener.close)
        return listener

    def expect_files(self, cluster, *names):
        self.assertEqual(sorted(os.listdir(cluster.folder)), sorted(names))

    def expect_right_end(self, cluster, broker, workers, agencies):
        for agency in agencies:
            self.expect_exit(agency, 0)
        self.expect_winners(cluster, self.paths)
        self.expect_exit(broker, 0)
        self.stop(workers, 0)
        self.expect_files(cluster, "broker", "workers", "winners-1.csv", "winners-2.csv")
        self.assertEqual(os.listdir(cluster.path("broker")), ["journal.sqlite"])

    # -- an agency --

    @each_signal
    def test_agency_that_nobody_answers(self, cluster, number):
        listener = self.listen(cluster, 0)
        agency = self.agency(cluster, 1)
        connection, _ = listener.accept()
        self.stop(agency, 75, number)
        connection.close()
        self.expect_files(cluster)
        listener.close()
        broker, workers = self.start_draw(cluster)
        agencies = [self.agency(cluster, 1), self.agency(cluster, 2)]
        self.expect_right_end(cluster, broker, workers, agencies)

    @each_signal
    def test_agency_that_reads_a_pipe(self, cluster, number):
        broker, workers = self.start_draw(cluster)
        with open(self.paths[0], "rb") as file:
            text = file.read()
        self.assertGreater(len(text), 4 * PIPE_BYTES)
        agency = cluster.agency(1, "-", stdin=subprocess.PIPE)
        agency.popen.stdin.write(text[:4 * PIPE_BYTES])  # returns once most of it was read
        agency.popen.stdin.flush()
        self.stop(agency, 75, number)
        agency.popen.stdin.close()
        self.expect_files(cluster, "broker", "workers")
        agencies = [self.agency(cluster, 1), self.agency(cluster, 2)]
        self.expect_right_end(cluster, broker, workers, agencies)

    @each_signal
    def test_agency_that_sends(self, cluster, number):
        broker = cluster.broker()
        agency = self.agency(cluster, 1)
        agency.wait_line(SENDING)
        self.stop(agency, 75, number)
        self.expect_files(cluster, "broker")
        workers = cluster.workers(2)
        agencies = [self.agency(cluster, 1), self.agency(cluster, 2)]
        self.expect_right_end(cluster, broker, workers, agencies)

    @each_signal
    def test_agency_at_the_barrier(self, cluster, number):
        broker, workers = self.start_draw(cluster)
        agency = self.agency(cluster, 1)
        agency.wait_line(AT_THE_BARRIER)
        self.stop(agency, 75, number)
        self.expect_files(cluster, "broker", "workers")
        agencies = [self.agency(cluster, 1), self.agency(cluster, 2)]
        self.expect_right_end(cluster, broker, workers, agencies)

    # -- the broker --

    @each_signal
    def test_broker_with_nobody_there(self, cluster, number):
        broker = cluster.broker()
        broker.wait_line("action: listen")
        self.stop(broker, 0, number)
        self.assertEqual(os.listdir(cluster.path("broker")), ["journal.sqlite"])
        broker, workers = self.start_draw(cluster)
        agencies = [self.agency(cluster, 1), self.agency(cluster, 2)]
        self.expect_right_end(cluster, broker, workers, agencies)

    @each_signal
    def test_broker_full_of_batches(self, cluster, number):
        broker = cluster.broker(memory=1)
        agencies = [self.agency(cluster, i, batch_bets=10) for i in (1, 2)]
        for agency in agencies:
            agency.wait_line(SENDING)
        self.stop(broker, 0, number)
        self.assertEqual(os.listdir(cluster.path("broker")), ["journal.sqlite"])
        broker, workers = self.start_draw(cluster)
        self.expect_right_end(cluster, broker, workers, agencies)

    @each_signal
    def test_broker_at_the_barrier(self, cluster, number):
        broker, workers = self.start_draw(cluster)
        agencies = [self.agency(cluster, 1)]
        agencies[0].wait_line(AT_THE_BARRIER)
        self.stop(broker, 0, number)
        self.assertRegex(broker.log(), "interrupted by a signal .* hint: .* started again")
        broker = cluster.broker()
        agencies.append(self.agency(cluster, 2))
        self.expect_right_end(cluster, broker, workers, agencies)

    @each_signal
    def test_broker_that_has_sealed(self, cluster, number):
        """Held by a worker that stands still, with everything of this draw in its store."""
        broker, workers = self.start_draw(cluster, 1)
        agencies = [self.agency(cluster, 1)]
        agencies[0].wait_line(AT_THE_BARRIER)
        workers.signal(signal.SIGSTOP)
        open(cluster.path("empty.csv"), "wb").close()
        agencies.append(cluster.agency(2, cluster.path("empty.csv")))
        broker.wait_line("action: sellado .* success")
        self.stop(broker, 0, number)
        workers.signal(signal.SIGCONT)
        broker = cluster.broker()
        for agency in agencies:
            self.expect_exit(agency, 0)
        self.expect_winners(cluster, self.paths[:1])
        self.assertEqual(cluster.output(2), b"")
        self.expect_exit(broker, 0)
        self.stop(workers, 0)

    @each_signal
    def test_broker_that_has_published(self, cluster, number):
        """Held by an agency that stands still and so does not say BYE."""
        broker, workers = self.start_draw(cluster)
        first = self.agency(cluster, 1)
        first.wait_line(AT_THE_BARRIER)
        first.signal(signal.SIGSTOP)
        second = self.agency(cluster, 2)
        self.expect_exit(second, 0)
        self.stop(broker, 0, number)
        broker = cluster.broker()
        broker.wait_line("action: listen")
        first.signal(signal.SIGCONT)
        self.expect_exit(first, 0)
        self.expect_winners(cluster, self.paths)
        self.stop(broker, 0)
        self.stop(workers, 0)

    @each_signal
    def test_broker_that_waits_for_its_journal_at_the_start(self, cluster, number):
        broker = cluster.broker()
        broker.wait_line("action: listen")
        self.stop(broker, 0)
        with journal_held(cluster):
            broker = cluster.broker()
            broker.wait_line(WAITING_FOR_JOURNAL)
            self.stop(broker, 0, number)
            self.assertIn(f"told to end while process {os.getpid()} was inside", broker.log())
        broker, workers = self.start_draw(cluster)
        agencies = [self.agency(cluster, 1), self.agency(cluster, 2)]
        self.expect_right_end(cluster, broker, workers, agencies)

    @each_signal
    def test_broker_that_waits_for_its_journal_in_a_turn(self, cluster, number):
        """The plan of the first HELLO cannot be journaled: nobody is told of it."""
        broker, workers = self.start_draw(cluster)
        with journal_held(cluster):
            agencies = [self.agency(cluster, 1)]
            broker.wait_line(WAITING_FOR_JOURNAL)
            self.stop(broker, 0, number)
            self.assertNotIn("hello | result: success", agencies[0].log())
            self.assertNotIn("action: agencia", broker.log())
        broker = cluster.broker()
        agencies.append(self.agency(cluster, 2))
        self.expect_right_end(cluster, broker, workers, agencies)

    # -- a worker, alone and as one of two under a parent --

    @each_signal
    def test_worker_that_nobody_answers(self, cluster, number):
        for count in (1, 2):
            listener = self.listen(cluster, 3)
            workers = cluster.workers(count)
            connections = [listener.accept()[0] for _ in range(count)]
            self.stop(workers, 0, number)
            for connection in [*connections, listener]:
                connection.close()

    @each_signal
    def test_worker_without_work(self, cluster, number):
        for count in (1, 2):
            broker, workers = self.start_draw(cluster, count)
            self.stop(workers, 0, number)
            self.stop(broker, 0)

    @each_signal
    def test_worker_that_stores(self, cluster, number):
        """In the middle of a group commit, which waits a second for more. The test itself sends the
        batches, and behind them one to each worker that it has to reject: once it has said so,
        those before it are in its group. All weigh the same, so the workers get them in turn."""
        broker, workers = self.start_draw(cluster, 2, commit_ms=1000, commit_bytes=8 << 20)
        workers.wait_line("registro .* success", skip=1)
        bets = [["Ana", "Paz", str(row), "1999-03-17", NUMBER] for row in range(100)]
        good = [Batch(1, seq, bets) for seq in range(20)]
        bad = [Batch(agency, 99, bets, digest=b"d" * 32) for agency in (1, 2)]
        with Observer(cluster) as observer:
            for agency in (1, 2):
                self.assertEqual(observer.hello(agency)[0], wire.ADMITTED)
            observer.push(*([batch.header(), batch.body] for batch in good + bad))
            for agency in (1, 2):
                workers.wait_line(f"apuesta_recibida .* fail .* agency: {agency} .* seq: 99 ")
        self.stop(workers, 0, number)
        said = re.findall(r"action: (stop \| result: in_progress|apuesta_almacenada.*)",
                          workers.log())
        stored = "apuesta_almacenada | result: success | cantidad: 1000 | batches: 10"
        self.assertEqual(sorted(said), sorted(2 * [stored, "stop | result: in_progress"]))
        self.assertEqual(said[0], "stop | result: in_progress")
        workers = cluster.workers(2)
        with Observer(cluster) as observer:
            known = observer.wait_known([1], lambda known: len(known) == len(good))
        self.assertEqual(known, {(1, batch.seq): batch.digest for batch in good})
        agencies = [self.agency(cluster, i, start_over=True) for i in (1, 2)]
        self.expect_right_end(cluster, broker, workers, agencies)

    @each_signal
    def test_worker_whose_group_is_told(self, cluster, number):
        """As from a terminal: the parent and its workers get the signal, each for itself."""
        broker, workers = self.start_draw(cluster)
        agencies = [self.agency(cluster, 1)]
        agencies[0].wait_line(AT_THE_BARRIER)
        self.stop(workers, 0, number, os.killpg)
        workers = cluster.workers(2)
        agencies.append(self.agency(cluster, 2))
        self.expect_right_end(cluster, broker, workers, agencies)


if __name__ == "__main__":
    unittest.main()
