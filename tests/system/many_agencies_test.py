#!/usr/bin/python3
"""Twelve agencies at once, each with its own winners: also on the wire, where agency 1 must not
hear what is for 10, 11 and 12.
"""
import datetime
import unittest

import msgpack

import wire
from case import NUMBER, SystemCase
from cluster import Cluster, sample, scan
from observer import Observer

AGENCIES = 12


def topic(agency):
    return b"winners/1/%d/" % agency


def told(heard):
    """[(topic, kind, agency, winners)…] of what was published."""
    for topic, header, body in heard:
        kind, _, _, agency = msgpack.unpackb(header)[:4]
        yield topic, kind, agency, wire.unpack_all(body)


class ManyAgencies(SystemCase):
    def test_each_hears_its_own_winners_alone(self):
        paths = sample(AGENCIES, 24000, winning_number=NUMBER)
        with Cluster(agencies=AGENCIES, winning_number=NUMBER, linger=600) as cluster:
            broker, workers = self.start_draw(cluster)
            with Observer(cluster) as observer:
                narrow = [observer.subscribe(topic(i)) for i in range(1, AGENCIES + 1)]
                wide = observer.subscribe(b"winners/1/1")
                agencies = [cluster.agency(i, path) for i, path in enumerate(paths, 1)]
                for agency in agencies:
                    self.expect_exit(agency, 0)
                self.expect_exit(broker, 0)
                self.stop(workers, 0)
                self.expect_winners(cluster, paths)
                for i, path in enumerate(paths, 1):
                    self.check_narrow(i, path, list(told(narrow[i - 1].heard_until_end())))
                self.check_wide(list(told(wide.heard_until_end())))

    def check_narrow(self, agency, path, heard):
        """One message, with this agency's rows."""
        self.assertEqual([published[:3] for published in heard],
                         [(topic(agency), wire.RESULT, agency)])
        rows = scan(path, NUMBER).splitlines()
        self.assertGreater(len(rows), 0)
        today = datetime.date.today()
        self.assertEqual([bet for _, _, bet in heard[0][3]],
                         [wire.read_bet(row, today) for row in rows])

    def check_wide(self, heard):
        """The control: without the slash others are heard. Not all of them: a slow subscriber is
        dropped beyond what the broker's socket keeps for one agency."""
        agencies = {agency for _, _, agency, _ in heard}
        self.assertGreater(len(agencies), 1)
        self.assertLessEqual(agencies, {1, 10, 11, 12})


if __name__ == "__main__":
    unittest.main()
