"""kill -9 in each phase of a draw: of a worker that comes back, of one that is lost with its store,
of the broker, of everything; a worker that stands still for three leases; a bit that flips. The
draw is held in its phase meanwhile (phases.py). A draw's root and number are drawn once.
"""
import datetime
import shutil
import signal

import wire
from case import NUMBER
from fault import AGENCIES, Cluster, FaultCase, fast
from phases import PHASES, HeldDraw

BATCH_ROWS = 1500
GRACE_S = 6  # with a lease of 3 s a store is given up after three leases
FAST = {"test_worker_back_counting", "test_broker_barrier", "test_all_sealed"}


def each_phase(*phases):
    """Makes a test of each phase, test_NAME_PHASE."""
    def mark(test):
        test.phases = phases or PHASES
        return test
    return mark


class Deaths(FaultCase):
    @each_phase()
    def worker_back(self, phase):
        """With its store: nothing that was durable is sent again."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            self.draw = draw = HeldDraw(cluster, phase).hold(self)
            draw.kill("worker 0")
            again = draw.start("worker 0")
            draw["broker"].wait_line("registro .* success .* opening: 2 ")
            self.expect_still_known(draw.known_before)
            if phase == "barrier":
                self.assertEqual(draw.known(), draw.known_before)
            draw.let_go()
            self.expect_right_end()
            if phase in ("sealed", "counting", "published"):
                self.assertNotIn("apuesta_almacenada", again.log())

    @each_phase()
    def worker_lost(self, phase):
        """With its store, for ever: the agencies send again what only it had."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER, store_grace=1) as cluster:
            self.draw = draw = HeldDraw(cluster, phase).hold(self)
            draw.kill("worker 0")
            shutil.rmtree(cluster.path("store-0"))
            draw.let_go()
            self.expect_right_end()

    @each_phase()
    def broker(self, phase):
        """The ledger is built from inventories; root and number stay."""
        with Cluster(agencies=AGENCIES) as cluster:
            self.draw = draw = HeldDraw(cluster, phase).hold(self)
            draw.kill("broker")
            sealed = draw.sealed_with()
            self.assertEqual(sealed is None, phase in ("sending", "barrier"))
            draw.start("broker").wait_line("action: listen")
            if phase in ("sending", "barrier"):
                draw["broker"].wait_line("registro .* success .* stores: 2$")
                self.expect_still_known(draw.known_before)
            draw.let_go()
            self.end_with(sealed)

    @each_phase()
    def all(self, phase):
        with Cluster(agencies=AGENCIES) as cluster:
            self.draw = draw = HeldDraw(cluster, phase).hold(self)
            names = draw.there()
            draw.kill(*names)
            sealed = draw.sealed_with()
            for name in names:
                draw.start(name)
            if phase in ("sending", "barrier"):
                draw["broker"].wait_line("registro .* success .* stores: 2$")
                self.expect_still_known(draw.known_before)
            draw.let_go()
            self.end_with(sealed)

    def end_with(self, sealed):
        """The right end, with the number that was drawn, if one was."""
        draw = self.draw
        for name in draw.names("agency"):
            self.expect_exit(draw[name], 0)
        self.expect_exit(draw["broker"], 0)
        root, number = draw.sealed_with()
        if sealed is not None:
            self.assertEqual((root, number), sealed)
        self.expect_right_end(number)

    @each_phase("sending", "barrier", "sealed", "counting")
    def worker_stands_still(self, phase):
        """For three leases: then it is given up and the others go on. What it then says late does
        no harm."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER, store_grace=GRACE_S) as cluster:
            self.draw = draw = HeldDraw(cluster, phase).hold(self)
            draw["worker 0"].signal(signal.SIGSTOP)
            draw["broker"].wait_line("registro .* fail .* given up")
            draw["worker 0"].signal(signal.SIGCONT)
            draw.let_go()
            self.expect_right_end()

    def test_bit_flips_before_the_seal(self):
        """Found when it is read back, named, replayed; never counted."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            self.draw = draw = HeldDraw(cluster, "barrier").hold(self)
            path = cluster.path("store-0/0/data.mdb")
            with open(path, "rb") as file:
                stored = file.read()
            with open(draw.paths[0], "rb") as file:
                rows = file.read().splitlines()[::BATCH_ROWS]  # about one of each batch
            bets = (wire.pack(wire.read_bet(row, datetime.date.today())) for row in rows)
            at = next(place for place in map(stored.find, bets) if place > 0)
            flip_bit(path, at + 2)  # in the first name
            draw.let_go()
            self.expect_right_end()
            self.assertRegex(draw["worker 0"].log(), r"draw: 1 \| agency: 1 \| .*seq: \d+ .*"
                                                     "a stored batch has rotted and was deleted")

    def test_bit_flips_in_the_manifest(self):
        """Found when the store has to seal again: it takes the manifest from the broker."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            self.draw = draw = HeldDraw(cluster, "counting").hold(self)
            draw.kill("worker 0")
            path = cluster.path("store-0/0/data.mdb")
            with open(path, "rb") as file:
                at = file.read().index(b"\xc4\x20" + draw.sealed_with()[0])
            flip_bit(path, at + 300)  # in the digests, which follow
            worker = draw.start("worker 0")
            worker.wait_line("sellado .* fail .* the stored manifest has rotted")
            worker.wait_line("sellado .* success")
            draw.let_go()
            self.expect_right_end()


def flip_bit(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def test_of(name, phase):
    test = lambda self: getattr(self, name)(phase)
    return fast(test) if f"test_{name}_{phase}" in FAST else test


for name, scene in list(vars(Deaths).items()):
    for phase in getattr(scene, "phases", ()):
        setattr(Deaths, f"test_{name}_{phase}", test_of(name, phase))
assert FAST <= set(vars(Deaths)), "a test that make check should run is called otherwise"
