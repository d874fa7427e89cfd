"""Everything goes through a proxy (proxy.py) that cuts, half-opens, resets, delays, and passes
bytes on in pieces of 1 to 10: every draw completes with the right winners.
"""
import contextlib

from case import NUMBER
from cluster import free_ports
from fault import AGENCIES, Cluster, Draw, FaultCase
from phases import HeldDraw
from proxy import Proxy


class Link(FaultCase):
    @contextlib.contextmanager
    def linked(self, phase=None, **broker):
        """A draw, held in a phase or not begun, whose agencies and workers dial the proxy."""
        hidden = free_ports()
        with Cluster(agencies=AGENCIES, winning_number=NUMBER, **broker) as cluster, \
                Proxy(cluster.port, ("127.0.0.1", hidden)) as self.proxy:
            roles = {"broker": {"port": hidden}}
            self.draw = HeldDraw(cluster, phase, **roles) if phase else Draw(cluster, **roles)
            if phase:
                self.draw.hold(self)
            yield self.draw

    def complete(self):
        self.draw.let_go()
        self.expect_right_end()
        self.assertGreater(self.proxy.connections, 0)

    def cut(self, phase):
        """Until agencies and workers have given up on their connections."""
        with self.linked(phase) as draw:
            self.proxy.cut()
            draw["worker 1"].wait_line("the broker is silent")
            self.proxy.heal()
            self.complete()

    def test_cut_while_sending(self):
        self.cut("sending")

    def test_cut_at_the_barrier(self):
        self.cut("barrier")

    def test_cut_when_sealed(self):
        self.cut("sealed")

    def test_cut_while_counting(self):
        self.cut("counting")

    def test_cut_when_published(self):
        self.cut("published")

    def half_open(self, phase):
        with self.linked(phase):
            before = self.proxy.connections
            self.proxy.half_open()
            self.complete()
            self.assertGreater(self.proxy.connections, before)

    def test_half_open_while_sending(self):
        self.half_open("sending")

    def test_half_open_at_the_barrier(self):
        self.half_open("barrier")

    def test_half_open_when_sealed(self):
        self.half_open("sealed")

    def test_half_open_while_counting(self):
        self.half_open("counting")

    def disturbed(self, **how):
        with self.linked(linger=30) as draw:
            self.proxy.disturb(**how)
            draw.start_all()
            self.expect_right_end()

    def test_pieces_of_1_to_10_bytes(self):
        self.disturbed(chunk_bytes_max=10)

    def test_200_ms_later(self):
        self.disturbed(delay_s=0.2)

    def test_reset_every_second(self):
        with self.linked(linger=30) as draw:
            draw.roles.update(worker={"commit_bytes": 16384}, agency={"batch_bets": 50})
            self.proxy.disturb(reset_s=1)
            draw.start_all()
            self.expect_right_end()
            self.assertGreater(self.proxy.resets, 2)
