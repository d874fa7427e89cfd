"""Two brokers of one draw. The first stands still in a phase and is replaced, on the same journal
or on a copy of it; a proxy (proxy.py) leads everybody to the second. When the first goes on it is
fenced at its next decision, or by the first store that it hears: there is one result. One that
stands still inside a transaction of the journal keeps the second out, until it is killed.
"""
import contextlib
import shutil
import signal

from cluster import DEADLINE_S, free_ports
from fault import AGENCIES, STORES, Cluster, FaultCase, fast
from phases import HeldDraw
from proxy import Proxy


class TwoBrokers(FaultCase):
    @contextlib.contextmanager
    def replaced(self, phase, is_copied):
        """A draw whose first broker stands still, with a second one in its place."""
        first_port, second_port = free_ports(), free_ports()
        with Cluster(agencies=AGENCIES, linger=60) as cluster, \
                Proxy(cluster.port, first_port) as proxy:
            self.draw = draw = HeldDraw(cluster, phase, broker={"port": first_port}).hold(self)
            self.first = draw["broker"]
            if phase == "counting":
                draw["worker 1"].wait_line("action: count")
            self.pause_first()
            sealed = draw.sealed_with()
            folder = cluster.path("broker")
            if is_copied:
                folder = shutil.copytree(folder, cluster.path("copy"))
            draw.roles["broker"] = {"port": second_port, "data": folder, "linger": 5}
            draw.start("broker").wait_line("action: listen")
            proxy.switch_to(second_port)
            proxy.reset_all()
            self.first_port = first_port
            yield sealed

    def pause_first(self):
        """Outside a transaction: inside one it would keep the second out."""
        while True:
            self.first.signal(signal.SIGSTOP)
            self.wait_stopped(self.first)
            if self.draw.journal_is_free(0):
                return
            self.first.signal(signal.SIGCONT)
            self.assertTrue(self.draw.journal_is_free(DEADLINE_S), "a transaction without an end")

    def fence_first(self):
        """It goes on and hears a store, new to it or one that has served the second; what still lay
        in its sockets may be enough."""
        self.first.signal(signal.SIGCONT)
        stray = self.draw.cluster.workers(1, "stray", broker=f"127.0.0.1:{self.first_port}")
        self.expect_exit(self.first, 78, "newer broker")
        stray.kill()

    def end(self, sealed):
        draw = self.draw
        draw.let_go()
        for name in draw.names("agency"):
            self.expect_exit(draw[name], 0)
        self.expect_exit(draw["broker"], 0)
        with draw.journal(draw.roles["broker"]["data"]) as journal:
            root, number = journal.execute("SELECT root, number FROM draws").fetchone()
        if sealed is not None:
            self.assertEqual((root, number), sealed)
        self.expect_right_end(number)

    def on_one_journal(self, phase):
        with self.replaced(phase, False) as sealed:
            self.draw["broker"].wait_line(f"registro .* success .* stores: [1-{STORES}]$")
            self.fence_first()
            self.end(sealed)

    @fast
    def test_sending(self):
        self.on_one_journal("sending")

    def test_barrier(self):
        self.on_one_journal("barrier")

    def test_sealed(self):
        self.on_one_journal("sealed")

    def test_counting(self):
        self.on_one_journal("counting")

    def test_published(self):
        self.on_one_journal("published")

    def on_a_copy(self, phase):
        """The copies know nothing of each other. A store that has served the second one tells."""
        with self.replaced(phase, True) as sealed:
            self.end(sealed)
            self.first.signal(signal.SIGCONT)
            worker = self.draw.start("worker 1", broker=f"127.0.0.1:{self.first_port}")
            self.expect_exit(self.first, 78, "a store has served a broker of epoch 2")
            self.stop(worker, 0)

    def test_sending_on_a_copy(self):
        self.on_a_copy("sending")

    def test_barrier_on_a_copy(self):
        self.on_a_copy("barrier")

    def test_sealed_on_a_copy(self):
        self.on_a_copy("sealed")

    def test_first_stands_still_inside_a_transaction(self):
        with Cluster(agencies=AGENCIES) as cluster:
            self.draw = draw = HeldDraw(cluster, None)
            with cluster.changed(stand="broker.before_commit.declaration:1"):
                first = draw.start("broker")
            draw.start_all("broker")
            self.wait_stopped(first)
            with Cluster(agencies=AGENCIES) as other:
                second = other.broker(data=cluster.path("broker"))
                self.expect_exit(second, 75, rf"\b{first.pid}\b")
            first.kill()
            draw.start("broker")
            for name in draw.names("agency"):
                self.expect_exit(draw[name], 0)
            self.expect_exit(draw["broker"], 0)
            self.expect_right_end(draw.sealed_with()[1])
