"""A disk that is full, or fails. A worker returns what it has no room for, and it is stored
elsewhere, or waits until there is room; a seal takes the reserve. The broker ends with 74. Nothing
of a sync that failed was told: who meets one ends with 74, and its next start reads what is there.
"""
import contextlib
import os

from case import NUMBER
from disk import Disk
from fault import AGENCIES, Cluster, Draw, FaultCase, fast, needs_root, needs_strace
from phases import HeldDraw

FULL = "apuesta_almacenada .* fail .* batches_returned: .* the disk is full"
SMALL_MIB = 36  # 16 for batches, 16 of reserve, some for what a map needs besides


def failing(path, calls, error, when):
    """The words before a program whose n-th call of these on a file fails."""
    return ["strace", "-D", "-f", "--quiet=all", "-o", "/dev/null", "-P", path, "-e",
            f"trace={calls}", "-e", f"inject={calls}:error={error}:when={when}"]


class DiskFull(FaultCase):
    def start_inside(self, name, disk, **options):
        with self.draw.cluster.changed(before=disk.inside):
            return self.draw.start(name, **options)

    def one_store(self, disk):
        draw = self.draw
        full = self.start_inside("worker 0", disk)
        draw.start_all("worker 0", "worker 1")
        full.wait_line(FULL)
        draw.start("worker 1")
        self.expect_right_end()

    @fast
    @needs_root
    def test_one_store_on_a_tmpfs(self):
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster, \
                Disk(cluster.path("store-0"), SMALL_MIB) as disk:
            self.draw = Draw(cluster)
            self.one_store(disk)

    @needs_root
    def test_one_store_on_ext4(self):
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster, \
                Disk(cluster.path("store-0"), 100, "ext4") as disk:
            disk.fill(leave_bytes=SMALL_MIB << 20)
            self.draw = Draw(cluster)
            self.one_store(disk)

    @needs_root
    def test_all_stores(self):
        """They wait, one is killed and started on its full disk, and go on when there is room."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster, \
                Disk(cluster.path("store-0"), SMALL_MIB) as first, \
                Disk(cluster.path("store-1"), 100, "ext4") as second:
            second.fill(leave_bytes=SMALL_MIB << 20)
            self.draw = draw = Draw(cluster)
            self.start_inside("worker 0", first).wait_line("action: connect")
            self.start_inside("worker 1", second).wait_line("action: connect")
            draw.start_all("worker 0", "worker 1")
            for name in draw.names("worker"):
                draw[name].wait_line(FULL)
            draw["agency 2"].wait_line("apuesta_enviada .* in_progress .* waiting_for")
            for name, disk in (("worker 0", first), ("worker 1", second)):
                draw.kill(name)
                again = self.start_inside(name, disk)
                again.wait_line("registro .* success")
                again.wait_line(FULL)
            first.grow(200)
            second.empty()
            self.expect_right_end()

    @needs_root
    def test_sealing(self):
        """The disk is filled at the barrier: epoch and seal take the reserve."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster, \
                Disk(cluster.path("store-0"), 200) as disk:
            self.draw = draw = HeldDraw(cluster, "barrier")
            draw.start("broker").wait_line("action: listen")
            self.start_inside("worker 0", disk)
            draw.start("worker 1")
            draw["broker"].wait_line("registro .* success .* stores: 2$")
            for name in ("agency 1", "agency 2"):
                draw.start(name).wait_line("apuesta_enviada .* success")
            disk.fill()
            draw.kill("worker 0")
            self.start_inside("worker 0", disk)
            draw.let_go()
            draw["worker 0"].wait_line("action: sellado .* success")
            self.expect_right_end()

    @needs_root
    def test_copy_of_standard_input(self):
        """It lies in the output's folder, which is named: 74, and nothing stays there."""
        with Cluster(agencies=1, winning_number=NUMBER) as cluster, \
                Disk(cluster.path("full"), 1) as disk:
            broker = cluster.broker()
            reader, writer = os.pipe()
            with cluster.changed(before=disk.inside):
                agency = cluster.agency(1, "-", stdin=reader, output=cluster.path("full", "w.csv"))
            os.close(reader)
            with contextlib.suppress(BrokenPipeError), os.fdopen(writer, "wb", 0) as pipe:
                for _ in range(32):
                    pipe.write(b"Ana,Paz,1,1999-03-17,7574\n" * 4096)
            self.expect_exit(agency, 74, "cannot copy standard input to the output's folder "
                                         f"'{disk.folder}': No space left on device "
                                         r"\| hint: it needs room")
            self.assertEqual(os.listdir(disk.path()), [])
            self.stop(broker, 0)

    @needs_root
    def test_winners_file(self):
        """The draw has been made, and the disk of --output has no room: 74, and nothing appears.
        Once there is room, the same command fetches the winners."""
        with Cluster(agencies=1, winning_number=NUMBER) as cluster, \
                Disk(cluster.path("full"), 1) as disk:
            broker, workers = cluster.broker(), cluster.workers()
            row = f"Ana,Paz,1,1999-03-17,{NUMBER}\n"
            with open(cluster.path("bets.csv"), "w", encoding="ascii") as file:
                file.write(row)
            path = cluster.path("full", "w.csv")
            disk.fill()
            for code, expected in ((74, f"error: {path}: No space left on device "
                                        r"\| hint: check .* the space left"), (0, "success")):
                with cluster.changed(before=disk.inside):
                    agency = cluster.agency(1, cluster.path("bets.csv"), output=path)
                self.expect_exit(agency, code, expected)
                if code == 74:
                    self.assertEqual(os.listdir(disk.path()), ["filler"])
                    disk.empty()
            with open(disk.path("w.csv"), encoding="ascii") as file:
                self.assertEqual(file.read(), row)
            self.expect_exit(broker, 0)
            self.stop(workers, 0)

    @needs_root
    def test_broker(self):
        """Its journal has no room for a declaration: 74, and again 74 as long as that is so."""
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster, \
                Disk(cluster.path("broker"), 8) as disk:
            self.draw = draw = HeldDraw(cluster, "barrier")
            self.start_inside("broker", disk).wait_line("action: listen")
            draw.start("worker 0")
            draw.start("worker 1")
            draw["broker"].wait_line("registro .* success .* stores: 2$")
            disk.fill()
            draw.start("agency 1")
            draw.start("agency 2")
            full = "(?i)full .* hint: make room on the disk of --data"
            self.expect_exit(draw["broker"], 74, full)
            self.expect_exit(self.start_inside("broker", disk), 74, full)
            disk.empty()
            self.start_inside("broker", disk).wait_line("action: listen")
            draw.let_go()
            self.expect_right_end()

    @needs_root
    def test_new_journal(self):
        """There is no room for its folder or its file at all: 74 too, with the same advice."""
        with Cluster(agencies=AGENCIES) as cluster, Disk(cluster.path("broker"), 1) as disk:
            disk.run("mount", "-o", "remount,nr_inodes=1", disk.folder)
            for data in (disk.folder, os.path.join(disk.folder, "data")):
                with cluster.changed(before=disk.inside):
                    broker = cluster.broker(data=data)
                self.expect_exit(broker, 74, f"cannot create .*'{data}.*': No space left on device "
                                             r"\| hint: make room on the disk of --data .*code: 74")

    # -- errors of the disk --

    def worker_meets(self, calls, error, when):
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            self.draw = draw = Draw(cluster)
            os.makedirs(cluster.path("store-0", "0"))
            path = cluster.path("store-0", "0", "data.mdb")
            with cluster.changed(before=failing(path, calls, error, when)):
                draw.start("worker 0")
            draw.start_all("worker 0")
            self.expect_exit(draw["worker 0"], 74, "action: store .* fail")
            draw.start("worker 0")
            self.expect_right_end()

    @fast
    @needs_strace
    def test_sync_of_a_store_fails(self):
        self.worker_meets("fdatasync", "EIO", 6)

    @needs_strace
    def test_write_to_a_store_fails(self):
        self.worker_meets("pwrite64,writev", "ENOSPC", 9)

    def broker_meets(self, calls, error, when):
        with Cluster(agencies=AGENCIES, winning_number=NUMBER) as cluster:
            self.draw = draw = Draw(cluster)
            path = cluster.path("broker", "journal.sqlite-wal")
            with cluster.changed(before=failing(path, calls, error, when)):
                draw.start("broker")
            draw.start_all("broker")
            self.expect_exit(draw["broker"], 74)
            draw.start("broker")
            self.expect_right_end()

    @fast
    @needs_strace
    def test_sync_of_the_journal_fails(self):
        self.broker_meets("fdatasync", "EIO", 5)

    @needs_strace
    def test_write_to_the_journal_fails(self):
        self.broker_meets("pwrite64", "ENOSPC", 12)
