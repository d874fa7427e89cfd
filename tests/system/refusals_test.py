#!/usr/bin/python3
"""What is refused, and what the user is told: the exit code and the reason. Each time the others go
on, and end with the right winners.
"""
import os
import signal
import socket
import unittest

from case import NUMBER, SystemCase
from cluster import Cluster, sample
from observer import Observer

AT_THE_BARRIER = "consulta_ganadores .* in_progress .* waiting_for"
BATCH_BETS = 100


class Refusals(SystemCase):
    @classmethod
    def setUpClass(cls):
        cls.paths = sample(3, 60000, winning_number=NUMBER)

    def cluster_of(self, agencies, **options):
        return Cluster(**{"agencies": agencies, "winning_number": NUMBER, "linger": 600, **options})

    def agency(self, number, **options):
        source = options.pop("source", self.paths[(number - 1) % 3])
        return self.cluster.agency(number, source, batch_bets=BATCH_BETS, **options)

    def waiting_agency(self, number, **options):
        agency = self.agency(number, **options)
        agency.wait_line(AT_THE_BARRIER)
        return agency

    def expect_end(self, broker, workers, *agencies):
        for agency in agencies:
            self.expect_exit(agency, 0)
        self.expect_exit(broker, 0)
        self.stop(workers, 0)

    def copy(self, number, row=None, change=lambda raw: raw):
        """A copy of an agency's file in which one row was changed."""
        with open(self.paths[number - 1], "rb") as file:
            rows = file.readlines()
        if row is not None:
            rows[row] = change(rows[row])
        path = self.cluster.path("bets.csv")
        with open(path, "wb") as file:
            file.writelines(rows)
        return path, rows

    # -- who may take part, and who comes too late --

    def test_the_older_of_two_processes_ends(self):
        with self.cluster_of(2) as self.cluster:
            broker, workers = self.start_draw(self.cluster)
            older = self.waiting_agency(1)
            newer = self.waiting_agency(1)
            self.expect_exit(older, 75, "refused: a newer process of this agency has taken over")
            self.expect_end(broker, workers, newer, self.agency(2))
            self.expect_winners(self.cluster, self.paths[:2])

    def test_roster(self):
        with self.cluster_of(None, roster="1-2") as self.cluster:
            broker, workers = self.start_draw(self.cluster)
            self.expect_exit(self.agency(3), 78, "refused: this agency is not on the draw's roster")
            self.expect_end(broker, workers, self.agency(1), self.agency(2))
            self.expect_winners(self.cluster, self.paths[:2])

    def test_late_agency(self):
        """It comes once the draw is sealed, which a worker that stands still holds, and again once
        it is published, which an agency holds that stands still before its BYE."""
        with self.cluster_of(2) as self.cluster:
            broker, workers = self.start_draw(self.cluster, 1)
            first = self.waiting_agency(1)
            workers.signal(signal.SIGSTOP)
            open(self.cluster.path("empty.csv"), "wb").close()
            empty = self.agency(2, source=self.cluster.path("empty.csv"))
            broker.wait_line("action: sellado .* success")
            self.expect_exit(self.agency(3), 65, "refused: the draw takes no more bets")
            first.signal(signal.SIGSTOP)
            workers.signal(signal.SIGCONT)
            self.expect_exit(empty, 0)
            self.expect_exit(self.agency(3), 65, "refused: the draw takes no more bets")
            first.signal(signal.SIGCONT)
            self.expect_end(broker, workers, first)
            self.expect_winners(self.cluster, self.paths[:1])

    def test_unknown_draw(self):
        with self.cluster_of(1) as self.cluster:
            broker, workers = self.start_draw(self.cluster)
            self.expect_exit(self.agency(1, draw=2), 65,
                             "refused: the broker does not know this draw")
            self.expect_end(broker, workers, self.agency(1))

    # -- a file that is another one --

    def test_edited_file_before_it_finished(self):
        """Its batches are stored, its last row was bad: mended, and with another row edited."""
        with self.cluster_of(1) as self.cluster:
            broker, workers = self.start_draw(self.cluster)
            path, rows = self.copy(1, -1, lambda raw: b"bad\n")
            self.expect_exit(self.agency(1, source=path), 65, f"{path}:{len(rows)}: ")
            with Observer(self.cluster) as observer:
                observer.wait_known([1], lambda known: (1, 5) in known)
            path, rows = self.copy(1, 5 * BATCH_BETS, lambda raw: b"X" + raw)
            self.expect_exit(self.agency(1, source=path), 65,
                             rf"batch 5 \(lines 501-600 of {path}\)")
            again = self.agency(1, source=path, start_over=True)
            self.expect_end(broker, workers, again)
            self.expect_winners(self.cluster, [path])

    def test_edited_file_after_it_finished(self):
        """What was declared stays: not even --start-over changes it."""
        with self.cluster_of(2) as self.cluster:
            broker, workers = self.start_draw(self.cluster)
            path, rows = self.copy(1)
            self.stop(self.waiting_agency(1, source=path), 75)
            self.copy(1, 5 * BATCH_BETS, lambda raw: b"X" + raw)
            self.expect_exit(self.agency(1, source=path), 65,
                             rf"batch 5 \(lines 501-600 of {path}\) differs .* hint: this agency "
                             "has finished with another file")
            self.expect_exit(self.agency(1, source=path, start_over=True), 65,
                             "refused: this agency has finished and cannot start over")
            self.copy(1)
            self.expect_end(broker, workers, self.agency(1, source=path), self.agency(2))
            self.expect_winners(self.cluster, self.paths[:2])

    # -- the broker's options and the barrier's time --

    def test_broker_with_other_flags(self):
        with self.cluster_of(2) as self.cluster:
            broker, workers = self.start_draw(self.cluster)
            agency = self.waiting_agency(1)
            self.stop(broker, 0)
            for flags, named in [({"winning_number": 1}, "winning-number"),
                                 ({"agencies": 3}, "agencies"),
                                 ({"number_range": "0-99999"}, "number-range"),
                                 ({"barrier_timeout": 600}, "barrier-timeout")]:
                with self.subTest(named):
                    self.expect_exit(self.cluster.broker(**flags), 78,
                                     f"draw 1 was opened with another --{named}")
            broker = self.cluster.broker()
            self.expect_end(broker, workers, agency, self.agency(2))
            self.expect_winners(self.cluster, self.paths[:2])

    def test_barrier_timeout_void(self):
        """Who takes part is told, and who comes afterwards; nobody gets winners. The first one
        stands still meanwhile, so that the broker does not leave before."""
        with self.cluster_of(3, barrier_timeout=1) as self.cluster:
            broker, workers = self.start_draw(self.cluster)
            agencies = [self.agency(1), self.agency(2)]
            agencies[0].wait_line("hello .* success")
            agencies[0].signal(signal.SIGSTOP)
            broker.wait_line("sorteo .* fail .* draw: 1 .* decision: void")
            broker.wait_line("sorteo .* fail .* draw: 1 .* phase: VOID")
            agencies.append(self.agency(3))
            for agency in agencies[1:]:
                self.expect_exit(agency, 75, "refused: the draw is void")
            agencies[0].signal(signal.SIGCONT)
            self.expect_exit(agencies[0], 75, "refused: the draw is void")
            self.stop(broker, 0)
            self.stop(workers, 0)
            self.assertEqual(sorted(os.listdir(self.cluster.folder)), ["broker", "workers"])

    def test_barrier_timeout_draw(self):
        """Agency 2 stands still in the middle of its file until it is decided without it; agency 1
        stands still until 2 was told, twice, so that the broker does not leave before."""
        with self.cluster_of(2, barrier_timeout=3, on_timeout="draw") as self.cluster:
            broker, workers = self.start_draw(self.cluster)
            slow = self.cluster.agency(2, self.paths[1], batch_bets=1)
            slow.wait_line("hello .* success")
            slow.signal(signal.SIGSTOP)
            first = self.waiting_agency(1)
            first.signal(signal.SIGSTOP)
            broker.wait_line("barrier: timeout .* decision: draw with those that finished")
            slow.signal(signal.SIGCONT)
            self.expect_exit(slow, 75, "refused: the draw was made without this agency")
            self.expect_exit(self.agency(2), 75, "refused: the draw was made without this agency")
            first.signal(signal.SIGCONT)
            self.expect_end(broker, workers, first)
            self.assertNotIn("agency: 2 | cantidad", broker.log())
            self.expect_winners(self.cluster, self.paths[:1])
            self.assertNotIn("winners-2.csv", os.listdir(self.cluster.folder))

    # -- what is not there, and what is taken --

    def test_no_broker(self):
        with self.cluster_of(1) as self.cluster:
            self.expect_exit(self.agency(1, connect_timeout=1), 69,
                             "no answer from the broker at 127.0.0.1.* within 1 s")

    def test_port_taken(self):
        with self.cluster_of(1) as self.cluster:
            for offset in range(4):
                with self.subTest(offset=offset), socket.create_server(
                        ("127.0.0.1", self.cluster.port + offset)):
                    self.expect_exit(self.cluster.broker(), 75,
                                     f":{self.cluster.port + offset}: Address already in use; end "
                                     "what .* --port")

    def test_address_of_another_machine(self):
        with self.cluster_of(1) as self.cluster:
            self.expect_exit(self.cluster.broker(bind="192.0.2.1", insecure=True), 78,
                             f"cannot bind 192.0.2.1:{self.cluster.port}: Cannot assign requested "
                             r"address; --bind takes an address of this machine, or \* for all")

    def test_journal_taken_over(self):
        """A second broker on one journal takes over; the first one ends at its next decision, which
        was never made: its log says nothing of it."""
        with self.cluster_of(2) as self.cluster, self.cluster_of(2) as other:
            broker, workers = self.start_draw(self.cluster)
            second = other.broker(data=self.cluster.path("broker"))
            second.wait_line("action: listen")
            self.agency(1)
            self.expect_exit(broker, 78)
            self.assertNotIn("action: agencia", broker.log())
            self.stop(second, 0)
            self.stop(workers, 0)

    def test_files(self):
        with self.cluster_of(1) as self.cluster:
            path = self.cluster.path
            for code, options, reason in [
                    (66, {"source": path("no.csv")}, "cannot open '.*no.csv': No such file"),
                    (66, {"source": path()}, "cannot open '.*': Is a directory"),
                    (73, {"output": path("no", "w.csv")}, "cannot create '.*w.csv': No such file"),
                    (73, {"output": path()}, "cannot create ")]:
                with self.subTest(code=code, **options):
                    self.expect_exit(self.agency(1, **options), code, reason)

    def test_usage(self):
        with self.cluster_of(1) as self.cluster:
            for program, arguments, reason in [
                    ("sorteo-broker", ["--agencies", "1", "--lottery"], "--lottery"),
                    ("sorteo-broker", [], "--agencies"),
                    ("sorteo-broker", ["--agencies", "0"], "agencies"),
                    ("sorteo-broker", ["--agencies", "1", "--bind", "0.0.0.0"], "--insecure"),
                    ("sorteo-worker", ["--lottery"], "--lottery"),
                    ("sorteo-worker", ["--workers", "many"], "workers"),
                    ("sorteo-agency", ["--lottery"], "--lottery"),
                    ("sorteo-agency", ["--id", "1"], "--input"),
                    ("sorteo-agency", ["--bad-rows", "keep"], "bad-rows"),
                    ("sorteo", ["lottery"], "lottery")]:
                with self.subTest(program=program, arguments=arguments):
                    self.expect_exit(self.cluster.start(program, program, arguments), 64, reason)
            for program in ("sorteo-broker", "sorteo-worker", "sorteo-agency", "sorteo"):
                with self.subTest(program=program):
                    self.expect_exit(self.cluster.start(program, program, ["--help"]), 0, "Usage")
            self.assertEqual(os.listdir(self.cluster.folder), [])


if __name__ == "__main__":
    unittest.main()
