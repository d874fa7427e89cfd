#!/usr/bin/python3
"""The five real files: the known winners of 7574, and the same bytes however many workers there are
and however the bets are cut into batches. Every program ends with 0, the broker by its agencies'
BYE, long before its linger.
"""
import re
import unittest

from case import NUMBER, SystemCase
from cluster import Cluster, real_inputs, scan

BETS, WINNERS = 78697, [2, 3, 3, 2, 0]
LINGER_S = 600


def numbers(pattern, log):
    return [int(found) for found in re.findall(pattern, log)]


class RealDraw(SystemCase):
    @classmethod
    def setUpClass(cls):
        cls.paths, cls.are_real = real_inputs()

    def draw(self, stores, batch_bets, is_spread=False):
        """A whole draw; batch_bets is a value for each agency, None: the default."""
        with Cluster(agencies=5, winning_number=NUMBER, linger=LINGER_S) as cluster:
            broker, workers = self.start_draw(cluster, stores)
            agencies = [cluster.agency(agency, path, batch_bets=bets) for agency, (path, bets)
                        in enumerate(zip(self.paths, batch_bets), 1)]
            for agency in agencies:
                self.expect_exit(agency, 0)
            self.expect_exit(broker, 0, "action: exit .* reason: the last draw is over")
            self.stop(workers, 0)
            self.expect_winners(cluster, self.paths)
            self.check_logs(broker.log(), workers.log(), stores, is_spread)

    def check_logs(self, broker, workers, stores, is_spread):
        self.assertEqual(sum(numbers(r"apuesta_recibida .* cantidad: (\d+)", broker)), BETS)
        self.assertEqual(numbers(r"action: sorteo .* success .* bets: (\d+)", broker), [BETS])
        batches = numbers(r"action: read_back .* batches: (\d+)", workers)
        self.assertEqual(len(batches), stores)
        if is_spread:
            self.assertGreater(min(batches), 0, "a store got nothing of so many batches")

    def test_the_plain_scan_finds_the_known_winners(self):
        counts = [scan(path, NUMBER).count(b"\n") for path in self.paths]
        if self.are_real:
            self.assertEqual(counts, WINNERS)
        else:
            self.assertGreater(sum(counts), 0)

    def test_1_worker(self):
        self.draw(1, [None] * 5)

    def test_2_workers(self):
        self.draw(2, [None] * 5)

    def test_4_workers(self):
        self.draw(4, [None] * 5)

    def test_batches_of_1_bet(self):
        self.draw(2, [1] * 5, is_spread=True)

    def test_batches_of_7_bets(self):
        self.draw(2, [7] * 5, is_spread=True)

    def test_batches_of_100_bets(self):
        self.draw(2, [100] * 5, is_spread=True)

    def test_batches_of_another_size_for_each_agency(self):
        self.draw(2, [1, 7, 100, 1000, None])


if __name__ == "__main__":
    unittest.main()
