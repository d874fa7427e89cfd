"""The broker's data directory is lost, in each phase. A broker that is started without it ends with
78; --recover goes on with the root and number that a store has sealed, or makes the draw void.
There is never a second number.
"""
import os
import shutil
import signal

from fault import AGENCIES, STORES, Cluster, FaultCase, fast
from phases import HeldDraw


class JournalLost(FaultCase):
    def lose(self, draw):
        """Kills the broker and takes its folder away; a new one refuses to go on. Answers what was
        sealed."""
        draw.kill("broker")
        sealed = draw.sealed_with()
        shutil.rmtree(draw.cluster.path("broker"))
        if draw.stander is not None and draw.stander.name.startswith("worker"):
            draw.stander.signal(signal.SIGCONT)
        self.expect_exit(draw.start("broker"), 78, "this journal is lost, older than the stores")
        return sealed

    def expect_void(self, phase):
        with Cluster(agencies=AGENCIES, linger=60) as cluster:
            self.draw = draw = HeldDraw(cluster, phase).hold(self)
            self.lose(draw)
            broker = draw.start("broker", recover=STORES)
            broker.wait_line("sorteo .* fail .* phase: VOID")
            # One that asked the broker without a journal was told that it knows no attempt of it.
            for name in draw.there("agency"):
                self.expect_exit(draw[name], 75, "refused: the draw is void|attempt 0")
            self.stop_all()
            self.assertEqual([], [name for name in os.listdir(cluster.folder) if "winners" in name])

    def stop_all(self):
        draw = self.draw
        if draw["broker"].runs():
            draw["broker"].signal(signal.SIGTERM)
        self.expect_exit(draw["broker"], 0)
        for name in draw.there("worker"):
            self.stop(draw[name], 0)

    @fast
    def test_while_sending(self):
        self.expect_void("sending")

    def test_at_the_barrier(self):
        self.expect_void("barrier")

    def test_sealed(self):
        """One store has recorded the seal: that is enough for ever."""
        with Cluster(agencies=AGENCIES) as cluster:
            self.draw = draw = HeldDraw(cluster, "sealed").hold(self)
            sealed = self.lose(draw)
            draw.start("broker", recover=STORES).wait_line("recuperacion .* success .* SEALED")
            self.end_with(sealed)

    def test_counting(self):
        with Cluster(agencies=AGENCIES) as cluster:
            self.draw = draw = HeldDraw(cluster, "counting").hold(self)
            sealed = self.lose(draw)
            draw.start("broker", recover=STORES).wait_line("recuperacion .* success .* SEALED")
            self.end_with(sealed)

    @fast
    def test_published(self):
        """Who has his winners already gets the same again."""
        with Cluster(agencies=AGENCIES) as cluster:
            self.draw = draw = HeldDraw(cluster, "published").hold(self)
            for name in ("agency 2", "agency 3"):
                self.expect_exit(draw[name], 0)
            sealed = self.lose(draw)
            draw.start("broker", recover=STORES).wait_line("recuperacion .* success .* SEALED")
            os.remove(cluster.path("winners-2.csv"))
            draw.start("agency 2")
            draw.start("agency 3")
            draw.let_go()
            self.end_with(sealed)

    def end_with(self, sealed):
        draw = self.draw
        for name in draw.names("agency"):
            self.expect_exit(draw[name], 0)
        self.expect_exit(draw["broker"], 0)
        self.assertEqual(draw.sealed_with(), sealed)
        self.expect_right_end(sealed[1])
