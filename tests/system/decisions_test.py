#!/usr/bin/python3
"""What the operator decides: that a draw is void (--void), which agencies are waited for
(--roster), and with how many a draw is made whose barrier has timed out (--quorum). Each is told to
everybody and is not asked twice: not after a restart, and not in another draw of the same id.
"""
import os
import signal
import unittest

from case import NUMBER, SystemCase
from cluster import Cluster, sample

AT_THE_BARRIER = "consulta_ganadores .* in_progress .* waiting_for"
VOID = "refused: the draw is void"


class Decisions(SystemCase):
    @classmethod
    def setUpClass(cls):
        cls.paths = sample(3, 60000, winning_number=NUMBER)

    def cluster_of(self, agencies, **options):
        return Cluster(**{"agencies": agencies, "winning_number": NUMBER, "linger": 600, **options})

    def agency(self, number, **options):
        return self.cluster.agency(number, self.paths[number - 1], **options)

    def waiting_agency(self, number, **options):
        agency = self.agency(number, **options)
        agency.wait_line(AT_THE_BARRIER)
        return agency

    def empty_agency(self, number):
        open(self.cluster.path("empty.csv"), "wb").close()
        return self.cluster.agency(number, self.cluster.path("empty.csv"))

    def expect_no_winners(self):
        self.assertEqual([], [name for name in os.listdir(self.cluster.folder)
                              if "winners" in name])

    # -- void --

    def expect_void_for_ever(self, broker, first, *others):
        """Everybody is told, and whoever comes after a restart without --void; the id is used. The
        first agency stands still until another one was told, so that the broker does not leave."""
        broker.wait_line("sorteo .* fail .* draw: 1 .* decision: void, by the operator")
        broker.wait_line("sorteo .* fail .* draw: 1 .* phase: VOID")
        for agency in (*others, self.agency(3)):
            self.expect_exit(agency, 75, VOID)
        first.signal(signal.SIGCONT)
        self.expect_exit(first, 75, VOID)
        self.stop(broker, 0)
        broker = self.cluster.broker()
        broker.wait_line("sorteo .* draw: 1 .* decision: void .* waiting_for: a store")
        broker.wait_line("sorteo .* fail .* draw: 1 .* phase: VOID")
        self.expect_exit(self.agency(1), 75, VOID)
        self.stop(broker, 0)
        self.expect_no_winners()

    def test_void_while_open(self):
        """The next draw opens, and takes the same bets."""
        with self.cluster_of(2) as self.cluster:
            broker, workers = self.start_draw(self.cluster)
            first = self.waiting_agency(1)
            first.signal(signal.SIGSTOP)
            self.stop(broker, 0)
            self.expect_void_for_ever(self.cluster.broker(void=1), first)
            broker = self.cluster.broker(draws=2)
            for agency in [self.agency(i, draw=2) for i in (1, 2)]:
                self.expect_exit(agency, 0)
            self.expect_exit(broker, 0)
            self.stop(workers, 0)
            self.expect_winners(self.cluster, self.paths[:2])

    def test_void_while_sealed(self):
        """Held by a worker that stands still: it records the void in place of the seal."""
        with self.cluster_of(2) as self.cluster:
            broker, workers = self.start_draw(self.cluster, 1)
            first = self.waiting_agency(1)
            workers.signal(signal.SIGSTOP)
            second = self.empty_agency(2)
            broker.wait_line("action: sellado .* success")
            first.signal(signal.SIGSTOP)
            self.stop(broker, 0)
            workers.signal(signal.SIGCONT)
            self.expect_void_for_ever(self.cluster.broker(void=1), first, second)
            self.assertRegex(workers.log(), "action: void .* draw: 1")
            self.stop(workers, 0)

    def test_void_of_a_draw_that_was_published_or_never_opened(self):
        with self.cluster_of(2) as self.cluster:
            broker, workers = self.start_draw(self.cluster)
            first = self.waiting_agency(1)
            self.stop(broker, 0)
            self.expect_exit(self.cluster.broker(void=2), 78,
                             "cannot void draw 2: it has not opened; leave --void out to go on")
            broker = self.cluster.broker()
            for agency in (first, self.agency(2)):
                self.expect_exit(agency, 0)
            self.expect_exit(broker, 0)
            self.expect_exit(self.cluster.broker(void=1), 78,
                             "cannot void draw 1: it is over; leave --void out to go on")
            self.stop(workers, 0)
            self.expect_winners(self.cluster, self.paths[:2])

    def test_void_without_a_journal(self):
        """Most likely --data is wrong: no folder is left in its place."""
        with self.cluster_of(1) as self.cluster:
            self.expect_exit(self.cluster.broker(void=3), 78,
                             f"cannot void draw 3: there is no journal in "
                             f"'{self.cluster.path('broker')}', so it has not opened; check --data")
            self.assertFalse(os.path.exists(self.cluster.path("broker")))

    # -- the barrier's timeout --

    def test_a_quorum_that_is_there(self):
        """Two of three have finished. The first stands still until the third was told, so that the
        broker does not leave before."""
        with self.cluster_of(3, barrier_timeout=3, on_timeout="draw", quorum=2) as self.cluster:
            broker, workers = self.start_draw(self.cluster)
            slow = self.agency(3, batch_bets=1)
            slow.wait_line("hello .* success")
            slow.signal(signal.SIGSTOP)
            finished = [self.waiting_agency(1), self.waiting_agency(2)]
            finished[0].signal(signal.SIGSTOP)
            broker.wait_line("barrier: timeout .* decision: draw with those .* "
                             "finished: 2 of 3 .* missing: 3$")
            slow.signal(signal.SIGCONT)
            self.expect_exit(slow, 75, "refused: the draw was made without this agency")
            finished[0].signal(signal.SIGCONT)
            for agency in finished:
                self.expect_exit(agency, 0)
            self.expect_exit(broker, 0, "action: sellado .* success .* agencies: 2 ")
            self.stop(workers, 0)
            self.expect_winners(self.cluster, self.paths[:2])

    def test_a_quorum_that_is_not_there(self):
        """One of three has finished: the draw is void for it, too."""
        with self.cluster_of(3, barrier_timeout=3, on_timeout="draw", quorum=2) as self.cluster:
            broker, workers = self.start_draw(self.cluster)
            slow = self.agency(3, batch_bets=1)
            slow.wait_line("hello .* success")
            slow.signal(signal.SIGSTOP)
            first = self.waiting_agency(1)
            broker.wait_line("sorteo .* fail .* barrier: timeout .* decision: void .* "
                             "finished: 1 of 3 .* missing: 3$")
            self.expect_exit(first, 75, VOID)
            slow.signal(signal.SIGCONT)
            self.expect_exit(slow, 75, VOID)
            self.expect_exit(broker, 0, "sorteo .* fail .* draw: 1 .* phase: VOID")
            self.assertNotIn("action: sellado", broker.log())
            self.stop(workers, 0)
            self.expect_no_winners()

    # -- the roster --

    def test_all_of_a_roster_are_waited_for(self):
        """By name, though they have never come; another roster at a restart is refused."""
        with self.cluster_of(None, roster="1,3,2") as self.cluster:
            broker, workers = self.start_draw(self.cluster)
            agencies = [self.waiting_agency(1), self.waiting_agency(2)]
            agencies[1].wait_line("finished: 2 of 3 .* waiting_for: agencies 3$")
            self.stop(broker, 0)
            for roster in ("1-2", "1-4", "1,2,4"):
                self.expect_exit(self.cluster.broker(roster=roster), 78,
                                 "draw 1 was opened with another --roster")
            broker = self.cluster.broker()
            broker.wait_line("sorteo .* draw: 1 .* agencies: 3 .* roster: given .* finished: 2$")
            agencies.append(self.agency(3))
            for agency in agencies:
                self.expect_exit(agency, 0)
            self.expect_exit(broker, 0)
            self.stop(workers, 0)
            self.expect_winners(self.cluster, self.paths)


if __name__ == "__main__":
    unittest.main()
