#!/usr/bin/python3
"""The second agency, written from the protocol's page alone, beside four of ours: it does not send
every third batch at first, finds by rounds and POLL what is missing, and repairs it.
"""
import json
import unittest

from case import NUMBER, SystemCase
from cluster import Cluster, real_inputs, scan

LOSE, BATCH_BETS, PYTHON = 3, 100, 2  # agency 2 is the Python one


class PythonAgency(SystemCase):
    def test_loses_and_repairs_beside_four_others(self):
        paths, _ = real_inputs()
        with Cluster(agencies=5, winning_number=NUMBER, linger=600) as cluster:
            broker, workers = self.start_draw(cluster)
            agencies = []
            for number, path in enumerate(paths, 1):
                start = cluster.python_agency if number == PYTHON else cluster.agency
                lose = {"lose": LOSE} if number == PYTHON else {}
                agencies.append(start(number, path, batch_bets=BATCH_BETS, **lose))
            for agency in agencies:
                self.expect_exit(agency, 0)
            self.expect_exit(broker, 0)
            self.stop(workers, 0)
            self.expect_winners(cluster, paths)
            self.check_report(json.loads(agencies[PYTHON - 1].log().splitlines()[-1]),
                              paths[PYTHON - 1])

    def check_report(self, report, path):
        with open(path, "rb") as file:
            batches = -(-sum(1 for _ in file) // BATCH_BETS)
        self.assertEqual(report["batches"], batches)
        self.assertEqual(report["winners"], scan(path, NUMBER).count(b"\n"))
        self.assertEqual(report["lost"], list(range(LOSE - 1, batches, LOSE)))
        self.assertGreater(len(report["lost"]), 0)
        self.assertEqual(report["repaired"], report["lost"])


if __name__ == "__main__":
    unittest.main()
