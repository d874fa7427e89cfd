#!/usr/bin/python3
"""The agency's memory does not grow with its file: the most that it has had resident at the
barrier, everything read, sent and acknowledged, of 10 thousand rows and of 10 million.
"""
import os
import unittest

from case import NUMBER, SystemCase
from cluster import Cluster, sample

FEW, MANY = 10000, 10000000
# The few do not touch all 64 payloads of the pool, 4 MiB (README of agency/); the tables grow by 61
# bytes for each batch of 64 KiB, 400 KB in all.
PEAK_KIB_MAX, GROWTH_KIB_MAX = 32768, 8192


def winners(path):
    """As scan(), for a file that is too large to look at each line."""
    with open(path, "rb") as file:
        text = b"\n" + file.read()
    rows, at = [], -1
    while (at := text.find(b",%d\n" % NUMBER, at + 1)) >= 0:
        rows.append(text[text.rfind(b"\n", 0, at) + 1:text.index(b"\n", at) + 1])
    return b"".join(rows)


class Memory(SystemCase):
    def peak_kib(self, bets):
        path, = sample(1, bets)
        self.addCleanup(os.rmdir, os.path.dirname(path))
        self.addCleanup(os.remove, path)
        with Cluster(agencies=2, winning_number=NUMBER, linger=600) as cluster:
            broker, workers = self.start_draw(cluster)
            agency = cluster.agency(1, path)
            agency.wait_line("consulta_ganadores .* in_progress .* finished: 1 of 2")
            peak_kib = agency.memory_peak_kib()
            open(cluster.path("empty.csv"), "wb").close()
            for process in (agency, cluster.agency(2, cluster.path("empty.csv")), broker):
                self.expect_exit(process, 0)
            self.stop(workers, 0)
            self.assertEqual(cluster.output(1), winners(path))
            self.assertRegex(broker.log(), f"apuesta_recibida .* cantidad: {bets} ")
        return peak_kib

    def test_the_agency_does_not_grow_with_its_file(self):
        few, many = self.peak_kib(FEW), self.peak_kib(MANY)
        print(f"       agency's peak: {few} KiB of {FEW} rows, {many} KiB of {MANY}")
        self.assertLess(many, PEAK_KIB_MAX)
        self.assertLess(many - few, GROWTH_KIB_MAX)


if __name__ == "__main__":
    unittest.main()
