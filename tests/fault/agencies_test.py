"""What happens to an agency: kill -9 in the middle and at the barrier, started again as it was,
with another way of cutting, with an edited file; it stands still; it never finishes.
"""
import os
import signal

from case import NUMBER
from fault import AGENCIES, SLOWLY, Cluster, FaultCase, fast
from phases import HeldDraw

EDITED_ROW = 1000  # in batch 5 of 200


class Agencies(FaultCase):
    def hold(self, cluster, phase, **roles):
        self.draw = HeldDraw(cluster, phase, **roles).hold(self)
        return self.draw

    def edited(self, cluster):
        """The first agency's file with one row changed."""
        path = cluster.path("edited.csv")
        with open(self.draw.paths[0], "rb") as file, open(path, "wb") as out:
            for row, line in enumerate(file):
                out.write(b"X" + line if row == EDITED_ROW else line)
        return path

    @fast
    def test_killed_and_started_with_another_cut(self):
        """The plan in force is the first one's."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            draw = self.hold(cluster, "sending")
            draw.kill("agency 1")
            again = draw.start("agency 1", batch_bets=137)
            told = again.wait_line(r"hello .* batch_bets: (\d+) .* durable_batches: (\d+)")
            self.assertEqual(int(told.group(1)), SLOWLY["agency"]["batch_bets"])
            self.assertGreaterEqual(int(told.group(2)),
                                    sum(agency == 1 for agency, _ in draw.known_before))
            self.expect_right_end()

    def test_killed_at_the_barrier_and_started_with_another_cut(self):
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            draw = self.hold(cluster, "barrier")
            draw.kill("agency 1")
            draw.start("agency 1", batch_bets=137).wait_line("hello .* success")
            draw.let_go()
            self.expect_right_end()

    def test_killed_and_started_with_an_edited_file(self):
        """Refused by the batch's name; as another attempt the edited file is what counts."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            draw = self.hold(cluster, "sending")
            draw.kill("agency 1")
            path = self.edited(cluster)
            refused = draw.start("agency 1", source=path)
            self.expect_exit(refused, 65, rf"batch 5 \(lines 1001-1200 of {path}\)")
            draw.start("agency 1", source=path, start_over=True)
            draw.paths = [path, *draw.paths[1:]]
            self.expect_right_end()

    def test_killed_at_the_barrier_and_started_with_an_edited_file(self):
        """It has finished: the file that it declared stays."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            draw = self.hold(cluster, "barrier", agency={"batch_bets": 200})
            draw.kill("agency 1")
            path = self.edited(cluster)
            self.expect_exit(draw.start("agency 1", source=path), 65,
                             rf"batch 5 \(lines 1001-1200 of {path}\)")
            self.expect_exit(draw.start("agency 1", source=path, start_over=True), 65,
                             "refused: this agency has finished")
            draw.start("agency 1")
            draw.let_go()
            self.expect_right_end()

    def stand_still(self, phase):
        """For three leases, told by a worker that is given up after as many."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER, store_grace=6) as cluster:
            draw = self.hold(cluster, phase)
            draw["agency 1"].signal(signal.SIGSTOP)
            draw["worker 0"].signal(signal.SIGSTOP)
            draw["broker"].wait_line("registro .* fail .* given up")
            draw["worker 0"].signal(signal.SIGCONT)
            draw["agency 1"].signal(signal.SIGCONT)
            draw.let_go()
            self.expect_right_end()

    def test_stands_still_while_it_sends(self):
        self.stand_still("sending")

    def test_stands_still_at_the_barrier(self):
        self.stand_still("barrier")

    def test_never_finishes_and_the_draw_is_made_without_it(self):
        for when in ("before", "after"):
            with self.subTest(when), Cluster(
                    agencies=AGENCIES, winning_number=NUMBER, barrier_timeout=3,
                    on_timeout="draw", linger=600) as cluster:
                slow = self.decide(cluster, f"broker.{when}_commit.decision:1")
                self.expect_exit(self.draw["agency 2"], 0)
                slow.signal(signal.SIGCONT)
                self.expect_exit(slow, 75, "refused: the draw was made without this agency")
                self.draw["agency 1"].signal(signal.SIGCONT)
                self.expect_exit(self.draw["agency 1"], 0)
                self.draw.paths = self.draw.paths[:2]
                self.expect_right_end()
                self.assertNotIn("winners-3.csv", os.listdir(cluster.folder))

    def test_never_finishes_and_the_draw_is_void(self):
        for when in ("before", "after"):
            with self.subTest(when), Cluster(
                    agencies=AGENCIES, winning_number=NUMBER, barrier_timeout=3,
                    on_timeout="void", linger=600) as cluster:
                slow = self.decide(cluster, f"broker.{when}_commit.decision:1")
                self.expect_exit(self.draw["agency 2"], 75, "refused: the draw is void")
                for agency in (slow, self.draw["agency 1"]):
                    agency.signal(signal.SIGCONT)
                    self.expect_exit(agency, 75, "refused: the draw is void")
                self.assertEqual([], [name for name in os.listdir(cluster.folder)
                                      if "winners" in name])

    def test_killed_as_it_hears_that_the_draw_is_void(self):
        """Whether it has heard so nobody knows: the broker stays until it says BYE."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER, barrier_timeout=3,
                     on_timeout="void", linger=600) as cluster:
            self.draw = draw = HeldDraw(cluster, "barrier")
            draw.begin("agency 1", "agency 2", "agency 3")
            slow = draw.start("agency 3", batch_bets=1)
            slow.wait_line("hello .* success")
            slow.signal(signal.SIGSTOP)
            with cluster.changed(crash="agency.before_send.bye:1"):
                draw.start("agency 1")
            draw.start("agency 2")
            self.expect_crash(draw["agency 1"], "agency.before_send.bye")
            slow.signal(signal.SIGCONT)
            for agency in (draw["agency 2"], slow):
                self.expect_exit(agency, 75, "refused: the draw is void")
            self.expect_exit(draw.start("agency 1"), 75, "refused: the draw is void")
            self.expect_exit(draw["broker"], 0)

    def decide(self, cluster, point):
        """The third agency stands still; the broker dies around its decision, and is started
        again. The first stands still too, so that the broker stays until all were told."""
        self.draw = draw = HeldDraw(cluster, "barrier")
        with cluster.changed(crash=point):
            draw.start("broker").wait_line("action: listen")
        for name in draw.names("worker"):
            draw.start(name)
        slow = draw.start("agency 3", batch_bets=1)
        slow.wait_line("hello .* success")
        slow.signal(signal.SIGSTOP)
        draw.start("agency 1").wait_line("apuesta_enviada .* success")
        draw.start("agency 2").wait_line("apuesta_enviada .* success")
        self.expect_crash(draw["broker"], point.split(":")[0])
        draw["agency 1"].signal(signal.SIGSTOP)
        draw.start("broker")
        return slow
