"""Each program dies at each of its crash points, before and after each durable step, in a draw of a
million bets; started again the draw goes on and everybody has the right winners. A point that is
not listed below dies in a draw without anything special; one that is not reached fails.
"""
import os
import signal
import unittest

from fault import AGENCIES, BETS, Cluster, Draw, FaultCase, fast, million, points, scan
from case import NUMBER
from cluster import BIN, sample
from disk import Disk

# At which pass, where it is not the first.
PASS = {"batches": 3, "stored": 3, "plan": 2, "declaration": 2, "store": 2,
        "broker.before_send": 20, "broker.after_send": 20}
FAST = {"worker.after_commit.batches", "worker.before_commit.seal", "worker.before_send.sealed",
        "worker.before_send.counted", "worker.after_rename.birth",
        "broker.after_commit.declaration", "broker.after_commit.sealed",
        "broker.before_commit.published",
        "agency.before_rename.output", "agency.after_sync.folder", "agency.after_commit.rejects"}
DRAWS = 10  # with 8 kept: the first is forgotten
BAD_ROW = b"x,y,1,1990-13-01,1\n"


class CrashPoints(FaultCase):
    def at(self, point):
        """The point with the pass at which it ends its program."""
        passes = PASS.get(point, PASS.get(point.split(".")[-1], 1))
        return f"{point}:{passes}"

    def die(self, name, point, **options):
        """Starts a program that is to die, or will have died, at a point."""
        with self.draw.cluster.changed(crash=self.at(point)):
            return self.draw.start(name, **options)

    def in_plain_draw(self, victim, point):
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            self.draw = Draw(cluster)
            for name in self.draw.names():
                if name == victim:
                    self.die(name, point)
                else:
                    self.draw.start(name)
            self.expect_crash(self.draw[victim], point)
            self.draw.start(victim)
            self.expect_right_end()

    def with_its_last_word(self, victim, point):
        """Its winners are on the disk. Whether the broker has heard so nobody knows: it leaves
        then, or after its linger."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER, linger=1) as cluster:
            self.draw = draw = Draw(cluster)
            self.die(victim, point)
            draw.start_all(victim)
            self.expect_crash(draw[victim], point)
            for name in ("agency 2", "agency 3", "broker"):
                self.expect_exit(draw[name], 0)
            self.expect_right_winners()

    def with_a_bad_row(self, victim, point):
        """The first agency lists a bad row, and dies around the list."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            paths = million()
            with open(paths[0], "rb") as file, open(cluster.path("bad.csv"), "wb") as bad:
                text = file.read()
                bad.write(text + BAD_ROW)
            row = text.count(b"\n") + 1
            self.draw = Draw(cluster, [cluster.path("bad.csv"), *paths[1:]],
                             agency={"bad_rows": "skip"})
            self.draw.start_all(victim)
            self.expect_crash(self.die(victim, point), point)
            self.draw.start(victim)
            self.expect_right_end()
            with open(cluster.path("winners-1.csv.rejects.csv"), encoding="ascii") as file:
                self.assertRegex(file.read(), f'\\A{row},"[^\n]*\n\\Z')

    def in_a_draw_that_is_void(self, victim, point):
        """The third agency never comes. The first stands still until all stores know, so that the
        broker does not leave before; and that stays while both look for it."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER, barrier_timeout=1,
                     linger=30) as cluster:
            self.draw = draw = Draw(cluster)
            for name in draw.names("broker") + draw.names("worker"):
                if name == victim:
                    self.die(name, point)
                else:
                    draw.start(name)
            first, second = draw.start("agency 1"), draw.start("agency 2")
            first.wait_line("hello .* success")
            first.signal(signal.SIGSTOP)
            self.expect_crash(draw[victim], point)
            draw.start(victim)
            if victim == "worker 0" and point.startswith("worker.before"):
                draw[victim].wait_line("action: void .* draw: 1")
            self.expect_exit(second, 75, "refused: the draw is void")
            first.signal(signal.SIGCONT)
            self.expect_exit(first, 75, "refused: the draw is void")
            self.expect_exit(draw["broker"], 0)
            self.assertEqual([], [name for name in os.listdir(cluster.folder) if "winners" in name])

    def in_ten_draws(self, victim, point):
        """The first has a million bets, and is forgotten when the ninth is over."""
        path = sample(1, BETS, winning_number=NUMBER)[0]
        with Cluster(agencies=1, winning_number=NUMBER, draws=DRAWS) as cluster:
            self.draw = draw = Draw(cluster, [path])
            draw.start("broker").wait_line("action: listen")
            self.die(victim, point)
            draw.start("worker 1")
            few = sample(1, 500, winning_number=NUMBER)[0]
            for number in range(1, DRAWS + 1):
                source = path if number == 1 else few
                if number == DRAWS - 1:
                    self.expect_crash(draw[victim], point)
                    is_done = point == "worker.after_commit.forgotten"
                    draw.start(victim).wait_line("action: registro .* success" if is_done else
                                                 "action: forget .* draw: 1")
                self.expect_exit(draw.start("agency 1", draw=number, source=source), 0)
                self.assertEqual(cluster.output(1), scan(source))
            self.expect_exit(draw["broker"], 0)

    def with_a_question_that_dies(self, victim, point):
        """A worker dies before it answers its question; the broker dies around dropping that."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            self.draw = draw = Draw(cluster)
            self.die(victim, point)
            self.die("worker 0", "worker.before_send.counted")
            draw.start_all(victim, "worker 0")
            self.expect_exit(draw["worker 0"], 137)
            self.expect_crash(draw[victim], point)
            draw.start(victim)
            draw.start("worker 0")
            self.expect_right_end()

    def with_a_lost_journal(self, victim, point):
        """It is lost when the draw is sealed and its workers stand still."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            self.draw = draw = Draw(cluster)
            with cluster.changed(stand="worker.after_send.sealed:1"):
                draw.start("worker 0")
            draw.start_all("worker 0")
            self.wait_stopped(draw["worker 0"])
            draw.kill("broker")
            for name in os.listdir(cluster.path("broker")):
                os.remove(cluster.path("broker", name))
            draw["worker 0"].signal(signal.SIGCONT)
            self.expect_crash(self.die(victim, point, recover=2), point)
            draw.start(victim, recover=2).wait_line("recuperacion .* success .* phase: SEALED")
            self.expect_right_end()

    def with_many_winners(self, victim, point):
        """A tenth of all bets wins: more than the journal takes without a checkpoint."""
        paths = sample(AGENCIES, BETS,
                       number_range="7570-7579")
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            self.draw = Draw(cluster, paths)
            self.die(victim, point)
            self.draw.start_all(victim)
            self.expect_crash(self.draw[victim], point)
            self.draw.start(victim)
            self.expect_right_end()

    def on_a_full_disk(self, victim, point):
        """The disk of the only store is too small. When it tries again it makes the commit that
        lets freed pages be used, and dies around it; then there is room."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster, \
                Disk(cluster.path("store-0"), mib=36) as disk:
            self.draw = draw = Draw(cluster, stores=1)
            with cluster.changed(before=disk.inside, crash=self.at(point)):
                draw.start(victim)
            draw.start_all(victim)
            self.expect_crash(draw[victim], point)
            disk.grow(200)
            with cluster.changed(before=disk.inside):
                draw.start(victim)
            self.expect_right_end()


class OtherFlavours(unittest.TestCase):
    @fast
    def test_have_no_points(self):
        for program in VICTIMS:
            with open(os.path.join(BIN, program), "rb") as file:
                text = file.read()
            for word in (b"_commit.", b"SORTEO_CRASH", b"SORTEO_BREAK"):
                self.assertFalse(word in text, f"{program} has {word.decode()}")


SCENES = {"bye": CrashPoints.with_its_last_word, "rejects": CrashPoints.with_a_bad_row,
          "void": CrashPoints.in_a_draw_that_is_void,
          "decision": CrashPoints.in_a_draw_that_is_void, "deletion": CrashPoints.in_ten_draws,
          "forgotten": CrashPoints.in_ten_draws, "dropped": CrashPoints.with_a_question_that_dies,
          "recovered": CrashPoints.with_a_lost_journal,
          "after_checkpoint": CrashPoints.with_many_winners,
          "before_checkpoint": CrashPoints.with_many_winners, "aging": CrashPoints.on_a_full_disk}
VICTIMS = {"sorteo-broker": "broker", "sorteo-worker": "worker 0", "sorteo-agency": "agency 1"}


def test_of(victim, point):
    scene = SCENES.get(point.split(".")[-1], CrashPoints.in_plain_draw)
    test = lambda self: scene(self, victim, point)
    if point in FAST:
        fast(test)
    return test


POINTS = {point: victim for program, victim in VICTIMS.items() for point in points(program)}
for point, victim in POINTS.items():
    setattr(CrashPoints, f"test_{point.replace('.', '_')}", test_of(victim, point))
assert FAST <= set(POINTS), "a point that make check should pass is called otherwise"
