"""Power loss: every store, the journal and the winners files lie on ext4 images of their own, and
all that was not synced vanishes at once. After the last acknowledgement, idle, and under load:
every batch that was acknowledged is there; a winners file is whole or not there. Programs that do
not sync lose what they told, so the test can fail. Needs root.
"""
import contextlib
import os
import unittest

from case import NUMBER
from fault import AGENCIES, Cluster, FaultCase, IS_ROOT, fast, scan
from phases import HeldDraw
from power import Image


@unittest.skipUnless(IS_ROOT, "needs root")
class PowerLoss(FaultCase):
    @contextlib.contextmanager
    def machine(self, phase, **changes):
        """A draw held in its phase, all of whose disks lose their power together."""
        with contextlib.ExitStack() as stack:
            cluster = stack.enter_context(Cluster(agencies=AGENCIES, winning_number=NUMBER))
            first = Image(cluster.path("store-0"), 256)
            self.images = [stack.enter_context(first)]
            for name, mib in (("store-1", 256), ("broker", 64), ("out", 16)):
                image = Image(cluster.path(name), mib, share=first)
                self.images.append(stack.enter_context(image))
            self.cluster, self.inside = cluster, first.inside
            outputs = {f"agency {i}": cluster.path("out", f"winners-{i}.csv")
                       for i in range(1, AGENCIES + 1)}
            self.draw = PlacedDraw(cluster, phase, outputs, self.inside, changes)
            yield self.draw.hold(self)

    def lose_power(self):
        """Everything at once. Broker and workers are started again with the same command, no
        agency yet: it would send again what was lost."""
        draw = self.draw
        names = draw.there()
        for image in self.images:
            image.cut_power()
        draw.kill(*names)
        for image in self.images:
            image.restore_power()
        draw.changes, self.missing = {}, draw.there("agency")
        for name in names:
            if name not in self.missing:
                draw.start(name)

    def start_agencies(self):
        for name in self.missing:
            self.draw.start(name)

    def outputs(self):
        return self.images[-1].path()

    def expect_end(self):
        draw = self.draw
        draw.let_go()
        for name in draw.names("agency"):
            self.expect_exit(draw[name], 0)
        self.expect_exit(draw["broker"], 0)
        for name in draw.names("worker"):
            self.stop(draw[name], 0)
        for agency, path in enumerate(draw.paths, 1):
            with open(os.path.join(self.outputs(), f"winners-{agency}.csv"), "rb") as file:
                self.assertEqual(file.read(), scan(path))

    def lose_power_idle(self):
        """In the middle of sending, with no agency any more: what is known is what was
        acknowledged. Answers that."""
        draw = self.draw
        draw.kill(*draw.names("agency"))
        known = draw.known()
        self.lose_power()
        return known

    @fast
    def test_idle(self):
        with self.machine("sending") as draw:
            known = self.lose_power_idle()
            draw["broker"].wait_line("registro .* success .* stores: 2$")
            self.expect_still_known(known)
            self.start_agencies()
            self.expect_end()

    def test_idle_at_the_barrier(self):
        """Who has finished stays so, and sends nothing again."""
        with self.machine("barrier") as draw:
            self.lose_power()
            draw["broker"].wait_line("registro .* success .* stores: 2$")
            self.assertIn("finished: 2", draw["broker"].log())
            self.start_agencies()
            for name in self.missing:
                draw[name].wait_line("consulta_ganadores .* in_progress .* finished: 2 of 3")
            for name in draw.names("worker"):
                self.assertNotIn("apuesta_almacenada", draw[name].log())
            self.expect_end()

    def test_under_load(self):
        for _ in range(3):
            with self.machine("sending") as draw:
                known = draw.known()
                self.lose_power()
                draw["broker"].wait_line("registro .* success .* stores: 2$")
                self.expect_still_known(known)
                self.start_agencies()
                self.expect_end()

    def test_sealed(self):
        with self.machine("sealed") as draw:
            self.lose_power()
            self.start_agencies()
            self.expect_end()

    def test_published(self):
        """The first agency has its winners on the disk, and was about to say so."""
        with self.machine("published") as draw:
            for name in ("agency 2", "agency 3"):
                self.expect_exit(draw[name], 0)
            self.images[-1].cut_power()
            draw.kill("agency 1")
            self.images[-1].restore_power()
            for agency, path in enumerate(draw.paths, 1):
                with open(os.path.join(self.outputs(), f"winners-{agency}.csv"), "rb") as file:
                    self.assertEqual(file.read(), scan(path))

    def half_a_file(self, point):
        """What stands under the name of the winners when the power goes there. The others have not
        said BYE, so that the broker stays for all of them."""
        with self.machine("barrier") as draw:
            draw.kill("agency 1", "agency 2")
            draw.changes = {name: {"stand": "agency.before_send.bye:1"}
                            for name in draw.names("agency")}
            draw.changes["agency 1"] = {"stand": f"{point}:1"}
            draw.start("agency 1")
            draw.start("agency 2")
            draw.let_go()
            for name in draw.names("agency"):
                self.wait_stopped(draw[name])
            self.images[-1].cut_power()
            draw.kill(*draw.names("agency"))
            self.images[-1].restore_power()
            path = os.path.join(self.outputs(), "winners-1.csv")
            if os.path.exists(path):
                with open(path, "rb") as file:
                    self.assertEqual(file.read(), scan(draw.paths[0]))
            draw.changes = {}
            for name in draw.names("agency"):
                draw.start(name)
            self.expect_end()

    def test_winners_half_written(self):
        for point in ("agency.before_sync.output", "agency.before_rename.output",
                      "agency.after_rename.output", "agency.after_sync.folder"):
            with self.subTest(point):
                self.half_a_file(point)

    # -- that the tests above can fail --

    def test_a_store_that_does_not_sync_is_caught(self):
        with self.machine("sending", **{"worker 0": {"break_": "unsynced"}}) as draw:
            known = self.lose_power_idle()
            opened = draw["worker 0"].wait_line("action: (registro|open_store .* fail)").group(1)
            if opened == "registro":
                draw["broker"].wait_line("registro .* success .* stores: 2$")
            self.assertLess(len(draw.known()), len(known))

    def test_a_journal_that_does_not_sync_is_caught(self):
        """What it told as finished is gone, or all of the journal."""
        with self.machine("barrier", broker={"break_": "unsynced"}) as draw:
            self.lose_power()
            draw["broker"].wait_line("action: (exit|sorteo)")
            self.assertNotIn("finished: 2", draw["broker"].log())

    def test_winners_that_are_not_synced_are_caught(self):
        with self.machine("barrier") as draw:
            draw.kill("agency 1")
            draw.changes = {"agency 1": {"break_": "unsynced"}}
            draw.start("agency 1")
            draw.let_go()
            self.expect_exit(draw["agency 1"], 0)
            self.images[-1].cut_power()
            for name in ("agency 2", "agency 3"):
                draw.kill(name)
            self.images[-1].restore_power()
            path = os.path.join(self.outputs(), "winners-1.csv")
            kept = b""
            if os.path.exists(path):
                with open(path, "rb") as file:
                    kept = file.read()
            self.assertNotEqual(kept, scan(draw.paths[0]))


class PlacedDraw(HeldDraw):
    """A held draw that sees the test's disks; `changes` are for single programs, by name."""

    def __init__(self, cluster, phase, outputs, inside, changes):
        super().__init__(cluster, phase)
        self.outputs, self.inside, self.changes = outputs, inside, changes

    def start(self, name, **options):
        if name in self.outputs:
            options["output"] = self.outputs[name]
        variables = {**self.cluster.variables}
        own = {key.removeprefix("SORTEO_").lower(): value for key, value in variables.items()
               if key != "SORTEO_CRASH_LOG"}
        with self.cluster.changed(before=self.inside, **{**own, **self.changes.get(name, {})}):
            return super().start(name, **options)
