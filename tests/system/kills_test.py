#!/usr/bin/python3
"""kill -9 in the middle of a million bets, of each program and of all at once, and after
publishing. The middle is shown: when the process died some batches were durable and others not.
Afterwards everything that was durable still is, and the winners are those of a plain scan.
"""
import os
import signal
import unittest

from case import NUMBER, SystemCase
from cluster import Cluster, sample, scan
from observer import Observer

AGENCIES, BETS = 3, 1000000
# Small batches and a sync for each few of them: the middle takes a second or two, not a tenth.
BATCH_BETS, COMMIT_BYTES = 200, 65536
ENOUGH = 200  # batches, of 5,000, that are durable when the kill comes


class Kills(SystemCase):
    @classmethod
    def setUpClass(cls):
        cls.paths = sample(AGENCIES, BETS)
        cls.batches = 0
        for path in cls.paths:
            with open(path, "rb") as file:
                bets = sum(1 for _ in file)
            cls.batches += -(-bets // BATCH_BETS)

    def begin(self, cluster, watched=range(1, AGENCIES + 1)):
        """Everything is started, and the agencies that are watched have reached their middle: what
        the ledger knows there."""
        self.cluster = cluster
        self.broker = cluster.broker()
        self.broker.wait_line("action: listen")
        self.workers = [self.worker(0), self.worker(1)]
        self.broker.wait_line("registro .* success .* stores: 2$")
        self.agencies = [self.agency(i) for i in range(1, AGENCIES + 1)]
        with Observer(cluster) as observer:
            return observer.wait_known(watched, lambda known: len(known) >= ENOUGH)

    def worker(self, which):
        return self.cluster.workers(1, f"store-{which}", commit_bytes=COMMIT_BYTES)

    def agency(self, number):
        return self.cluster.agency(number, self.paths[number - 1], batch_bets=BATCH_BETS)

    def expect_middle(self, known):
        """Some batches were durable, not all; the barrier held."""
        self.assertGreaterEqual(len(known), ENOUGH)
        self.assertLess(len(known), self.batches)
        self.assertNotIn("action: sellado", self.broker.log())

    def signal_agencies(self, number):
        for agency in self.agencies:
            agency.signal(number)

    def expect_all_still_known(self, known):
        """A durable acknowledgement outlives every kill: as soon as both stores are back, the
        ledger has the same digests. No agency runs meanwhile that could send them again."""
        with Observer(self.cluster) as observer:
            now = observer.wait_known(range(1, AGENCIES + 1), lambda now: True)
        self.assertEqual([batch for batch in known if now.get(batch) != known[batch]], [])

    def expect_right_end(self):
        for agency in self.agencies:
            self.expect_exit(agency, 0)
        self.expect_exit(self.broker, 0)
        for worker in self.workers:
            self.stop(worker, 0)
        self.assertRegex(self.broker.log(), f"action: sorteo .* success .* bets: {BETS} ")
        self.expect_winners(self.cluster, self.paths)
        self.assertGreater(sum(scan(path, NUMBER).count(b"\n") for path in self.paths), 0)

    def test_agency(self):
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            self.begin(cluster, [1])
            self.agencies[0].kill()
            with Observer(cluster) as observer:
                known = observer.known(1)
            self.assertNotIn("agency: 1 | cantidad", self.broker.log())
            self.agencies[0] = self.agency(1)
            durable = self.agencies[0].wait_line(r"hello .* durable_batches: (\d+)").group(1)
            batches = self.agencies[0].wait_line(
                r"apuesta_enviada .* success .* batches: (\d+)").group(1)
            # The new process does not send again what the old one had sent.
            self.assertGreaterEqual(int(durable), len(known))
            self.assertGreaterEqual(int(durable), ENOUGH)
            self.assertLess(int(durable), int(batches))
            self.expect_right_end()

    def test_worker(self):
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            known = self.begin(cluster)
            self.workers[0].kill()
            self.signal_agencies(signal.SIGSTOP)
            self.expect_middle(known)
            self.workers[0] = self.worker(0)
            self.broker.wait_line("registro .* success .* opening: 2 ")
            self.expect_all_still_known(known)
            self.signal_agencies(signal.SIGCONT)
            self.expect_right_end()

    def test_broker(self):
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            known = self.begin(cluster)
            self.broker.kill()
            self.signal_agencies(signal.SIGSTOP)
            self.expect_middle(known)
            self.broker = cluster.broker()
            self.broker.wait_line("registro .* success .* stores: 2$")
            self.expect_all_still_known(known)
            self.signal_agencies(signal.SIGCONT)
            self.expect_right_end()

    def test_everything_at_once(self):
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            known = self.begin(cluster)
            everything = [self.broker, *self.workers, *self.agencies]
            for process in everything:
                process.signal(signal.SIGKILL)
            for process in everything:
                process.kill()
            self.expect_middle(known)
            self.assertEqual([], [name for name in os.listdir(cluster.folder) if "winners" in name])
            self.broker = cluster.broker()
            self.workers = [self.worker(0), self.worker(1)]
            self.broker.wait_line("registro .* success .* stores: 2$")
            self.expect_all_still_known(known)
            self.agencies = [self.agency(i) for i in range(1, AGENCIES + 1)]
            self.expect_right_end()

    def test_broker_after_publishing(self):
        """The result stays: whoever asks the broker's successor, without any worker, gets it."""
        paths = sample(12, 24000, winning_number=NUMBER)[:2]
        with Cluster(agencies=2, linger=600) as cluster:
            broker, workers = self.start_draw(cluster)
            first = cluster.agency(1, paths[0])
            first.wait_line("consulta_ganadores .* in_progress .* finished: 1 of 2")
            first.signal(signal.SIGSTOP)  # so that it does not say BYE
            self.expect_exit(cluster.agency(2, paths[1]), 0)
            drawn = int(broker.wait_line(r"sorteo .* success .* number: (\d+)").group(1))
            with Observer(cluster) as observer:
                told = [observer.winners(agency) for agency in (1, 2)]
            broker.kill()
            first.kill()
            self.stop(workers, 0)
            os.remove(cluster.path("winners-2.csv"))
            broker = cluster.broker()
            broker.wait_line("action: listen")
            with Observer(cluster) as observer:
                self.assertEqual([observer.winners(agency) for agency in (1, 2)], told)
            for agency, path in enumerate(paths, 1):
                self.expect_exit(cluster.agency(agency, path), 0)
            self.stop(broker, 0)
            self.expect_winners(cluster, paths, drawn)


if __name__ == "__main__":
    unittest.main()
