"""Everything goes through a proxy (proxy.py) that cuts, half-opens, resets, delays, and passes
bytes on in pieces of 1 to 10 bytes: every draw completes with the right winners.
"""
import contextlib
import time

from case import NUMBER
from cluster import free_ports
from fault import AGENCIES, BETS, STORES, Cluster, Draw, FaultCase
from phases import HeldDraw
from proxy import Proxy

PIECE_BYTES_MAX = 10
PIECES_DEADLINE_S = 300  # it takes 65 to 80 on two processors that do other work too
BET_BYTES_MIN = 40  # as it travels
DELAY_S = 0.2
# As by default. At the barrier an agency asks every 12 to 15 s, and misses three answers before it
# dials anew: until then the broker has to stay.
LINGER_S = 30
REGISTERING_HOPS = 2  # at least: a greeting of ZeroMQ's to the worker, and REGISTER
CONNECTIONS = 3 * AGENCIES + STORES  # of a draw without faults
SEGMENT_BYTES_MEAN_MAX = 100  # 8 to 20 were seen, depending on the load, and 54 without TCP_NODELAY


class Link(FaultCase):
    @contextlib.contextmanager
    def linked(self, phase=None):
        """A draw, held in a phase or not begun, whose agencies and workers dial the proxy."""
        hidden = free_ports()
        with Cluster(agencies=AGENCIES, winning_number=NUMBER, linger=LINGER_S) as cluster, \
                Proxy(cluster.port, ("127.0.0.1", hidden)) as self.proxy:
            roles = {"broker": {"port": hidden}}
            self.draw = HeldDraw(cluster, phase, **roles) if phase else Draw(cluster, **roles)
            if phase:
                self.draw.hold(self)
            yield self.draw

    def complete(self):
        self.expect_right_end()
        self.assertGreater(self.proxy.connections, 0)

    def cut(self, phase):
        """Until agencies and workers have given up on their connections."""
        with self.linked(phase) as draw:
            self.proxy.cut()
            draw["worker 1"].wait_line("the broker is silent")
            self.proxy.heal()
            draw.let_go()
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
        with self.linked(phase) as draw:
            self.proxy.half_open()
            draw["worker 1"].wait_line("the broker is silent")
            self.assertTrue(draw["broker"].runs(), "it was silent because it had left")
            draw.let_go()
            self.complete()

    def test_half_open_while_sending(self):
        self.half_open("sending")

    def test_half_open_at_the_barrier(self):
        self.half_open("barrier")

    def test_half_open_when_sealed(self):
        self.half_open("sealed")

    def test_half_open_while_counting(self):
        self.half_open("counting")

    def test_pieces_of_1_to_10_bytes(self):
        """Every byte of a million bets, on each connection and both ways: some 20 million sends.
        It is slow, so what is in flight to a worker takes longer than --store-grace and is sent
        again while it is on its way: more passes than there is."""
        with self.linked() as draw:
            self.proxy.disturb(piece_bytes_max=PIECE_BYTES_MAX)
            draw.start_all()
            self.expect_right_end(deadline_s=PIECES_DEADLINE_S)
            passed = self.proxy.count()
        for name, way in passed.items():
            self.assertLessEqual(way["largest"], PIECE_BYTES_MAX, name)
            self.assertLessEqual(way["bytes"], PIECE_BYTES_MAX * way["pieces"], name)
        for port, name in (("bets", "to the broker"), ("dispatch", "from the broker")):
            way = passed[port, name]
            print(f"       {port} {name}: {way['bytes'] / 1e6:.1f} MB, {way['pieces'] / 1e6:.1f}"
                  f" million pieces, {way['segments'] / 1e6:.1f} million segments")
            self.assertGreater(way["bytes"], BET_BYTES_MIN * BETS)
            self.assertLess(way["bytes"], SEGMENT_BYTES_MEAN_MAX * way["segments"])

    def test_half_open_for_bets_alone(self):
        """Requests are answered as ever, and nothing that is sent arrives."""
        with self.linked("sending") as draw:
            self.proxy.half_open("bets")
            draw.let_go()
            self.complete()
            self.assertIn("tells nothing of what was sent: dialing anew", draw.logs("agency"))

    def test_200_ms_later(self):
        with self.linked() as draw:
            self.proxy.disturb(delay_s=DELAY_S)
            draw.start("broker").wait_line("action: listen")
            begun_at = time.monotonic()
            draw.start("worker 0")
            draw["broker"].wait_line("registro .* success")
            self.assertGreater(time.monotonic() - begun_at, REGISTERING_HOPS * DELAY_S)
            draw.start_all("broker", "worker 0")
            self.expect_right_end()

    def test_reset_every_second(self):
        with self.linked() as draw:
            draw.roles.update(worker={"commit_bytes": 16384}, agency={"batch_bets": 10})
            self.proxy.disturb(reset_s=1)
            draw.start_all()
            self.expect_right_end()
            self.assertGreater(self.proxy.resets, 2)
            self.assertGreater(self.proxy.connections, CONNECTIONS, "nothing was reset")
