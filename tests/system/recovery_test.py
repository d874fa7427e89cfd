#!/usr/bin/python3
"""What is lost for good: the broker's journal, while the draw is open, sealed and published, and a
store, before and after the seal. A draw that a store has sealed keeps root and number, one that
none has is void, and what only a lost store held is sent again.
"""
import contextlib
import os
import re
import shutil
import signal
import sqlite3
import unittest

import wire
from case import NUMBER, SystemCase
from cluster import Cluster, sample, scan
from observer import Observer

AT_THE_BARRIER = "consulta_ganadores .* in_progress .* finished: 1 of 2"
VOID = "refused: the draw is void"
BATCH_BETS = 100


class Lost(SystemCase):
    def cluster_of_two(self, **options):
        """Two agencies, and two stores, each of a process of its own."""
        self.cluster = self.enterContext(Cluster(agencies=2, linger=600, **options))
        self.broker = self.cluster.broker()
        self.broker.wait_line("action: listen")
        self.stores = [self.cluster.workers(1, f"store-{i}") for i in range(2)]
        self.broker.wait_line("registro .* success .* stores: 2$")

    def agency(self, number, **options):
        return self.cluster.agency(number, self.paths[number - 1], batch_bets=BATCH_BETS,
                                   **options)

    def waiting_agency(self):
        """It sends a few batches at a time: all at once they would go to the store whose credit
        comes first."""
        agency = self.agency(1, in_flight_batches=4)
        agency.wait_line(AT_THE_BARRIER)
        return agency

    def empty_agency(self):
        open(self.cluster.path("empty.csv"), "wb").close()
        return self.cluster.agency(2, self.cluster.path("empty.csv"))

    def lose_store(self, which):
        """It held something, and is gone with all that it held."""
        self.stores[which].kill()
        self.assertRegex(self.stores[which].log(), "apuesta_almacenada .* success .* cantidad: ")
        shutil.rmtree(self.cluster.path(f"store-{which}"))
        self.broker.wait_line("registro .* fail .* given up after its grace; what only it held is "
                              "asked of the agencies again")

    def expect_end(self, agencies, stores, number=NUMBER):
        for agency in agencies:
            self.expect_exit(agency, 0)
        self.expect_exit(self.broker, 0)
        for store in stores:
            self.stop(store, 0)
        self.assertEqual(self.cluster.output(1), scan(self.paths[0], number))
        self.assertGreater(len(self.cluster.output(1)), 0)


class Journal(Lost):
    @classmethod
    def setUpClass(cls):
        # A narrow range, so that there are winners of whatever number is drawn.
        cls.paths = sample(2, 6000, seed=1, number_range="0-99")

    def lose_journal(self):
        """A broker that is started as before says what to do, and goes no further."""
        self.broker.kill()
        shutil.rmtree(self.cluster.path("broker"))
        self.expect_exit(self.cluster.broker(), 78, "lost, older than the stores, or not theirs; "
                                                    "start with their journal .* --recover N")

    def rot_journal(self):
        """One number in one row is another one: no form of the file is wrong, and still it is
        noticed."""
        self.broker.kill()
        folder = self.cluster.path("broker")
        path = os.path.join(folder, "journal.sqlite")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as journal:
            journal.execute("UPDATE draws SET number = number - 1")
        self.expect_exit(self.cluster.broker(), 74, "another program has changed it: its rows "
                                                    ".* move its folder .* --recover N")
        shutil.move(folder, self.cluster.path("damaged"))

    def test_while_the_draw_is_open(self):
        """It is made void, since agencies may have been told what nobody knows any more; the next
        draw opens."""
        self.cluster_of_two(draws=2, winning_number=7, number_range="0-99")
        first = self.waiting_agency()
        self.lose_journal()
        self.broker = self.cluster.broker(recover=2)
        self.broker.wait_line("sorteo .* fail .* draw: 1 .* decision: void, no store has its seal")
        self.broker.wait_line("recuperacion .* success .* draw: 1 ")
        self.expect_exit(first, 75, VOID)
        self.expect_exit(self.agency(2), 75, VOID)
        self.expect_end([self.agency(i, draw=2) for i in (1, 2)], self.stores, 7)
        self.assertNotRegex(self.broker.log(), "sorteo .* success .* draw: 1 .* number")

    def test_result_of_an_older_draw(self):
        """It is lost with the journal: the broker's log and the agency that asks say so. Started
        like that once more the broker recovers nothing, and says that, too."""
        self.cluster_of_two(draws=2, winning_number=7, number_range="0-99")
        for agency in [self.agency(i) for i in (1, 2)]:
            self.expect_exit(agency, 0)
        waiting = self.agency(1, draw=2)
        waiting.wait_line(AT_THE_BARRIER)
        self.lose_journal()
        self.broker = self.cluster.broker(recover=2)
        self.broker.wait_line("recuperacion .* success .* draw: 2 .* before 2 .* is lost")
        self.expect_exit(waiting, 75, VOID)
        self.expect_exit(self.agency(1), 65, "does not know this draw .* hint: check --draw; if "
                                             "that draw is over, its result is lost .*--recover")
        self.stop(self.broker, 0)
        self.broker = self.cluster.broker(recover=2)
        self.broker.wait_line("recuperacion .* success .* draw: 2 .* the journal was not lost.* "
                              "nothing was recovered")
        self.stop(self.broker, 0)
        for store in self.stores:
            self.stop(store, 0)

    def test_while_the_draw_is_sealed(self):
        """Held by a store that stands still. The journal has rotted, what is said to do is done.
        Until both stores are there nothing is answered, then the draw has the number that was
        sealed, though it was random."""
        self.cluster_of_two(number_range="0-99")
        agencies = [self.waiting_agency()]
        self.stores[0].signal(signal.SIGSTOP)
        agencies.append(self.empty_agency())
        sealed = self.stores[1].wait_line(r"sellado .* success .* number: (\d+)").group(1)
        self.rot_journal()
        self.broker = self.cluster.broker(recover=2)
        self.broker.wait_line("registro .* success .* stores: 1$")
        with Observer(self.cluster) as observer:
            kind, reply = observer.hello(1)
            self.assertEqual((kind, reply.get("reason")),
                             (wire.REFUSED, wire.REASONS.index("NOT_OPEN")))
        self.stores[0].signal(signal.SIGCONT)
        self.broker.wait_line("recuperacion .* success .* draw: 1 .* phase: SEALED")
        drawn = self.broker.wait_line(r"sorteo .* success .* draw: 1 .* number: (\d+)").group(1)
        self.assertEqual(drawn, sealed)
        self.expect_end(agencies, self.stores, int(drawn))

    def test_after_the_draw_was_published(self):
        """Held by an agency that stands still, so that the broker does not leave. What is counted
        again is what was told before, to the byte; nobody else gets in."""
        self.cluster_of_two(number_range="0-99")
        first = self.waiting_agency()
        first.signal(signal.SIGSTOP)
        self.expect_exit(self.agency(2), 0)
        drawn = self.broker.wait_line(r"sorteo .* success .* number: (\d+)").group(1)
        with Observer(self.cluster) as observer:
            told = [observer.winners(agency) for agency in (1, 2)]
        self.lose_journal()
        self.broker = self.cluster.broker(recover=2)
        self.broker.wait_line("recuperacion .* success .* draw: 1 .* phase: SEALED")
        self.broker.wait_line(f"sorteo .* success .* draw: 1 .* number: {drawn} ")
        with Observer(self.cluster) as observer:
            self.assertEqual([observer.winners(agency) for agency in (1, 2)], told)
        self.expect_exit(self.cluster.agency(3, self.paths[0]), 65, "takes no more bets")
        before = self.cluster.output(2)
        os.remove(self.cluster.path("winners-2.csv"))
        first.signal(signal.SIGCONT)
        self.expect_end([first, self.agency(2)], self.stores, int(drawn))
        self.assertEqual(self.cluster.output(2), before)


class Store(Lost):
    @classmethod
    def setUpClass(cls):
        cls.paths = sample(2, 40000, winning_number=NUMBER)

    def batches_read_back(self):
        """What the other store had of the draw when it first sealed it."""
        return int(self.stores[1].wait_line(r"read_back .* success .* batches: (\d+)").group(1))

    def batches_sent(self, agency):
        return int(re.search(r"apuesta_enviada .* success .* batches: (\d+)",
                             agency.log()).group(1))

    def test_before_the_seal(self):
        self.cluster_of_two(winning_number=NUMBER, store_grace=1)
        agencies = [self.waiting_agency()]
        self.lose_store(0)
        agencies.append(self.agency(2))
        self.expect_end(agencies, self.stores[1:])
        self.assertEqual(self.batches_read_back(), sum(map(self.batches_sent, agencies)))
        self.expect_winners(self.cluster, self.paths)

    def test_after_the_seal(self):
        """It stands still before it can be asked to count."""
        self.cluster_of_two(winning_number=NUMBER, store_grace=1)
        agencies = [self.waiting_agency()]
        self.stores[0].signal(signal.SIGSTOP)
        agencies.append(self.empty_agency())
        self.broker.wait_line("action: sellado .* success")
        self.assertLess(self.batches_read_back(), self.batches_sent(agencies[0]))
        self.lose_store(0)
        self.expect_end(agencies, self.stores[1:])


class Copied(SystemCase):
    def test_what_the_hint_says_of_a_copied_store_holds(self):
        """The copy was opened once more than what it was made of, which is dismissed until it has
        been opened more often."""
        with Cluster(agencies=1) as cluster:
            broker = cluster.broker()
            broker.wait_line("action: listen")
            original = cluster.workers(1, "original")
            broker.wait_line("registro .* success .* stores: 1$")
            shutil.copytree(cluster.path("original"), cluster.path("copy"))
            copy = cluster.workers(1, "copy")
            copy.wait_line("registro .* success")
            hint = ("this store is a copy.* hint: keep one of the two: end the other and start "
                    "this one again, once more .* or move this folder away")
            self.expect_exit(original, 78, hint)
            self.stop(copy, 0)
            self.expect_exit(cluster.workers(1, "original"), 78, hint)
            cluster.workers(1, "original").wait_line("registro .* success")


if __name__ == "__main__":
    unittest.main()
