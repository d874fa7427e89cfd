"""Two brokers of one draw, each on a host of its own (hosts.py). The first stands still in a phase,
or its host is cut off; it is replaced, on the same journal or on a copy of it; a proxy (proxy.py)
leads everybody to the second. When the first is there again it is fenced at its next decision, or
by the first store that it hears: there is one result. One that stands still inside a transaction of
the journal keeps the second out, until it is killed.
"""
import contextlib
import shutil
import signal

from cluster import DEADLINE_S
from fault import AGENCIES, Cluster, FaultCase, fast, needs_root
from hosts import PORT, Host
from phases import HeldDraw
from proxy import Proxy

# What a container has besides a network of its own: it sees no process of another one.
CONTAINED = ["unshare", "--pid", "--fork", "--kill-child"]


@needs_root
class TwoBrokers(FaultCase):
    @contextlib.contextmanager
    def replaced(self, phase, is_copied, is_cut_off):
        """A draw whose first broker is away, with a second one in its place."""
        with Host() as self.host, Host() as second_host, \
                Cluster(agencies=AGENCIES, linger=60) as cluster, \
                Proxy(cluster.port, (self.host.address, PORT)) as proxy:
            self.is_cut_off = is_cut_off
            self.draw = draw = HeldDraw(cluster, phase, broker={"host": self.host}).hold(self)
            self.first = draw["broker"]
            if phase == "counting":
                draw["worker 1"].wait_line("action: count")
            if is_cut_off:
                self.host.cut_off()
            else:
                self.pause_first()
            sealed = draw.sealed_with()
            folder = cluster.path("broker")
            if is_copied:
                folder = shutil.copytree(folder, cluster.path("copy"))
            draw.roles["broker"] = {"host": second_host, "data": folder, "linger": 5}
            draw.start("broker").wait_line("action: listen")
            proxy.switch_to((second_host.address, PORT))
            proxy.reset_all()
            draw["worker 1"].wait_line("registro .* epoch: 2")
            if is_cut_off:
                self.assertGreater(self.host.connections(), 0, "the link is not cut")
            if is_copied:
                with draw.journal(cluster.path("broker")) as journal:
                    epoch, = journal.execute("SELECT number FROM epoch").fetchone()
                self.assertEqual(epoch, 1, "the second is on the first's journal")
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

    def fence_first(self, store, reason):
        """It is there again and hears a store, new to it or one that has served the second; what
        still lay in its sockets may be enough."""
        self.assertTrue(self.first.runs(), self.first.log())
        if self.is_cut_off:
            self.host.join()
        else:
            self.first.signal(signal.SIGCONT)
        worker = self.draw.cluster.workers(1, store, broker=self.host.endpoint)
        self.expect_exit(self.first, 78, reason)
        worker.kill()

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

    def on_one_journal(self, phase, is_cut_off=False):
        with self.replaced(phase, False, is_cut_off) as sealed:
            self.fence_first("stray", "newer broker")
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

    def test_sending_cut_off(self):
        self.on_one_journal("sending", is_cut_off=True)

    def on_a_copy(self, phase, is_cut_off=False):
        """The copies know nothing of each other. A store that has served the second one tells."""
        with self.replaced(phase, True, is_cut_off) as sealed:
            self.end(sealed)
            self.fence_first("store-1", "a store has served a broker of epoch 2")

    def test_sending_on_a_copy(self):
        self.on_a_copy("sending")

    def test_barrier_on_a_copy(self):
        self.on_a_copy("barrier")

    def test_sealed_on_a_copy(self):
        self.on_a_copy("sealed")

    def test_counting_on_a_copy(self):
        self.on_a_copy("counting")

    def test_published_on_a_copy(self):
        self.on_a_copy("published")

    def test_barrier_on_a_copy_cut_off(self):
        """What is copied here is the journal of a broker that runs: it writes nothing meanwhile."""
        self.on_a_copy("barrier", is_cut_off=True)

    def test_first_stands_still_inside_a_transaction(self):
        with Host() as host, Host() as second_host, Host() as third_host, \
                Cluster(agencies=AGENCIES) as cluster, \
                Proxy(cluster.port, (host.address, PORT)) as proxy:
            self.draw = draw = HeldDraw(cluster, None, broker={"host": host})
            with cluster.changed(stand="broker.before_commit.declaration:1"):
                first = draw.start("broker")
            draw.start_all("broker")
            self.wait_stopped(first)
            second = cluster.broker(host=second_host)
            with cluster.changed(before=CONTAINED):
                third = cluster.broker(host=third_host)
            self.expect_exit(second, 75, rf"held by process {first.pid},")
            self.expect_exit(third, 75, "held by another process, which is inside a transaction")
            first.kill()
            draw.start("broker", host=second_host).wait_line("action: listen")
            proxy.switch_to((second_host.address, PORT))
            proxy.reset_all()
            for name in draw.names("agency"):
                self.expect_exit(draw[name], 0)
            self.expect_exit(draw["broker"], 0)
            self.expect_right_end(draw.sealed_with()[1])
