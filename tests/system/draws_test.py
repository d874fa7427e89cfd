#!/usr/bin/python3
"""Several draws one after another on one journal; numbers that were drawn, checked by a computation
of their own from the files, the seed and the commitment; results of draws that are long over.
"""
import os
import struct
import unittest

import wire
from case import SystemCase
from cluster import Cluster, sample
from observer import Observer

AGENCIES = 2
PLAN = (100, 65536, False)
RANGE_FIRST, RANGE_LAST = 0, 99  # narrow, so that there are winners


def derive_root(draw, paths):
    """Sections 6.3 and 11.2, from nothing but the agencies' files."""
    leaves = []
    for agency, path in enumerate(paths, 1):
        source = wire.Source(wire.read_file(path), *PLAN)
        digests = source.digests(draw, agency)
        bets = sum(len(batch) for batch in source.batches)
        leaves.append(wire.sha256(b"\0", struct.pack(">IIQQ", agency, len(digests), bets, 0),
                                  wire.tree_head(digests)))
    return wire.tree_head(leaves)


def derive_number(result):
    """Section 11.3."""
    return wire.derive_number(result["seed"], result["root"], RANGE_FIRST, RANGE_LAST)


class Draws(SystemCase):
    @classmethod
    def setUpClass(cls):
        cls.paths = {draw: sample(AGENCIES, 6000, seed=draw,
                                  number_range=f"{RANGE_FIRST}-{RANGE_LAST}")
                     for draw in (1, 2, 3)}

    def setUp(self):
        self.commitments, self.results = {}, {}

    def start(self, cluster, draw, number, **options):
        return cluster.agency(number, self.paths[draw][number - 1], draw=draw,
                              output=cluster.path(f"draw-{draw}-winners-{number}.csv"),
                              batch_bets=PLAN[0], **options)

    def output(self, cluster, draw, number):
        with open(cluster.path(f"draw-{draw}-winners-{number}.csv"), "rb") as file:
            return file.read()

    def expect_output(self, cluster, draw, number, winning):
        rows = [raw for batch in
                wire.Source(wire.read_file(self.paths[draw][number - 1]), *PLAN).batches
                for raw, bet in batch if bet[4] == winning]
        self.assertGreater(len(rows), 0)
        self.assertEqual(self.output(cluster, draw, number), b"".join(r + b"\n" for r in rows))

    def run_draw(self, cluster, broker, draw):
        """A whole draw, and what was told before and after it."""
        broker.wait_line(f"sorteo .* draw: {draw} .* phase: OPEN")
        with Observer(cluster, draw) as observer:
            kind, admitted = observer.hello(1, *PLAN[:2])
            self.assertEqual((kind, admitted["phase"]), (wire.ADMITTED, 1))
            self.assertEqual((admitted["range_first"], admitted["range_last"]),
                             (RANGE_FIRST, RANGE_LAST))
            self.commitments[draw] = admitted["commitment"]
            agencies = [self.start(cluster, draw, i) for i in range(1, AGENCIES + 1)]
            for agency in agencies:
                self.expect_exit(agency, 0)
            # The last draw's broker may be gone by now: the agencies have said BYE.
        self.results[draw] = broker.wait_line(
            f"sorteo .* success .* draw: {draw} .* number: (\\d+)").group(1)
        for i in range(1, AGENCIES + 1):
            self.expect_output(cluster, draw, i, int(self.results[draw]))

    def check_result(self, draw, result):
        """What anybody can check who has the files: root, seed and number; the commitment was told
        before the first bet [M-60]."""
        self.assertEqual(result["root"], derive_root(draw, self.paths[draw]))
        self.assertEqual(wire.sha256(result["seed"]), self.commitments[draw])
        self.assertEqual(result["number"], derive_number(result))
        self.assertEqual(str(result["number"]), self.results[draw])

    def test_three_draws_then_the_end(self):
        """Agencies of the third draw wait from the beginning for it to open."""
        with Cluster(agencies=AGENCIES, draws=3, linger=600, winning_number="random",
                     number_range=f"{RANGE_FIRST}-{RANGE_LAST}") as cluster:
            broker, workers = self.start_draw(cluster)
            early = self.start(cluster, 3, 1)
            early.wait_line("waiting_for: the broker at .* to open draw 3")
            self.run_draw(cluster, broker, 1)
            self.run_draw(cluster, broker, 2)
            late = self.start(cluster, 3, 2)
            for agency in (early, late):
                self.expect_exit(agency, 0)
            self.expect_exit(broker, 0, "reason: the last draw is over")
            self.stop(workers, 0)
            drawn = broker.wait_line(r"sorteo .* success .* draw: 3 .* number: (\d+)").group(1)
            for i in (1, 2):
                self.expect_output(cluster, 3, i, int(drawn))

    def test_draws_without_end_and_their_check(self):
        """Workers restart between the draws, the broker after the second one."""
        with Cluster(agencies=AGENCIES, draws=0, winning_number="random",
                     number_range=f"{RANGE_FIRST}-{RANGE_LAST}") as cluster:
            broker, workers = self.start_draw(cluster)
            self.run_draw(cluster, broker, 1)
            self.stop(workers, 0)
            workers = cluster.workers(2)
            self.run_draw(cluster, broker, 2)
            self.stop(workers, 0)
            self.stop(broker, 0)
            broker, workers = self.start_draw(cluster)
            with Observer(cluster, 3) as observer:
                self.assertEqual(observer.hello(1, *PLAN[:2])[0], wire.ADMITTED)
            agencies = [self.start(cluster, 3, i) for i in range(1, AGENCIES + 1)]
            for agency in agencies:
                self.expect_exit(agency, 0)
            with Observer(cluster) as observer:
                for draw in (1, 2):
                    self.check_result(draw, observer.winners(1, draw)[0])
                third = observer.winners(1, 3)[0]
            self.assertEqual(third["number"], derive_number(third))
            self.assertEqual(third["root"], derive_root(3, self.paths[3]))
            self.expect_old_result_again(cluster)
            self.expect_seeds_differ(third)
            self.stop(broker, 0)
            self.stop(workers, 0)

    def expect_old_result_again(self, cluster):
        """Draw 1 is over since long: an agency that has lost its output gets the same bytes."""
        before = self.output(cluster, 1, 2)
        os.remove(cluster.path("draw-1-winners-2.csv"))
        self.expect_exit(self.start(cluster, 1, 2), 0)
        self.assertEqual(self.output(cluster, 1, 2), before)

    def expect_seeds_differ(self, third):
        commitments = {*self.commitments.values(), wire.sha256(third["seed"])}
        self.assertEqual(len(commitments), 3)


if __name__ == "__main__":
    unittest.main()
