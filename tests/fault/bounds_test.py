"""Bounds that are promised, measured and printed: the broker's memory with 500 agencies and every
worker stopped; how long a recovery takes; how soon a paused worker is left out; SIGTERM in each
phase of a draw.
"""
import os
import resource
import signal
import subprocess
import sys
import time

from case import NUMBER
from cluster import STOP_S
from fault import AGENCIES, BETS, Cluster, Draw, FaultCase, fast
from phases import PHASES, HeldDraw

FLOOD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "flood.py")
CROWD = 500
DESCRIPTORS = 4 * CROWD + 1200
LEASE_S = 3
RECOVERY_S = 1 + BETS / 1000000


class Bounds(FaultCase):
    # -- the broker's memory --

    def flood(self, name, mib_max, *arguments):
        """The most that a broker has resident while a crowd pushes and no worker reads."""
        if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < DESCRIPTORS:
            self.skipTest(f"needs {DESCRIPTORS} descriptors")
        with Cluster(agencies=CROWD) as cluster:
            self.draw = draw = Draw(cluster)
            draw.start("broker").wait_line("action: listen")
            for worker in draw.names("worker"):
                draw.start(worker)
            draw["broker"].wait_line("registro .* success .* stores: 2$")
            for worker in draw.names("worker"):
                draw[worker].signal(signal.SIGSTOP)
            crowd = cluster.start("flood", [sys.executable, FLOOD],
                                  [cluster.port, CROWD, *arguments], stdin=subprocess.PIPE)
            left = crowd.wait_line("full: (.*)").group(1)
            draw["broker"].wait_line("registro .* fail .* silent for a lease .* stores: 0")
            mib = draw["broker"].memory_peak_kib() / 1024
            crowd.popen.stdin.close()
            print(f"       broker, {name}: {mib:.0f} MiB of {mib_max} ({left})")
            self.assertLess(mib, mib_max)

    def test_memory_at_the_default_batch(self):
        self.flood("500 agencies, 64 KiB", 128, 1000, 65000)

    def test_memory_with_batches_of_one_bet(self):
        self.flood("500 agencies, batches of one bet", 128, 1000, 1)

    def test_memory_when_the_window_is_ignored(self):
        self.flood("500 agencies that ignore the window", 192, 1000, 65000, "ignore")

    # -- time --

    @fast
    def test_recovery_of_a_worker(self):
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            self.draw = draw = HeldDraw(cluster, "barrier").hold(self)
            draw.kill("worker 0")
            began_at = time.monotonic()
            draw.start("worker 0").wait_line("registro .* success")
            self.tell("a worker's recovery", time.monotonic() - began_at, RECOVERY_S)
            draw.let_go()
            self.expect_right_end()

    @fast
    def test_recovery_of_the_broker(self):
        """Its own start, and both inventories."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            self.draw = draw = HeldDraw(cluster, "barrier").hold(self)
            draw.kill("broker")
            began_at = time.monotonic()
            draw.start("broker").wait_line("registro .* success .* stores: 2$")
            self.tell("the broker's recovery", time.monotonic() - began_at, RECOVERY_S)
            draw.let_go()
            self.expect_right_end()

    def test_paused_worker_is_left_out(self):
        """What was in flight to it is stored elsewhere, and everything sealed, within three leases,
        whatever the grace."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            self.draw = draw = HeldDraw(cluster, "sending").hold(self)
            draw["worker 0"].signal(signal.SIGSTOP)
            began_at = time.monotonic()
            draw["broker"].wait_line("action: sellado")
            self.tell("a paused worker, until the seal", time.monotonic() - began_at, 3 * LEASE_S)
            draw["worker 0"].signal(signal.SIGCONT)
            self.expect_right_end()

    def tell(self, what, seconds, most):
        print(f"       {what}: {seconds:.2f} s of {most:.0f}")
        self.assertLess(seconds, most)

    def test_sigterm_in_each_phase(self):
        """The others stand still or go on meanwhile."""
        for phase in PHASES:
            for name, code in (("broker", 0), ("worker 1", 0), ("agency 2", 75)):
                with self.subTest(phase=phase, name=name), \
                        Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
                    self.draw = draw = HeldDraw(cluster, phase).hold(self)
                    if phase == "published" and name == "agency 2":
                        continue  # it has its winners and may have ended
                    draw[name].signal(signal.SIGTERM)
                    self.expect_exit(draw[name], code, deadline_s=STOP_S)
                    draw.start(name)
                    draw.let_go()
                    self.expect_right_end()
