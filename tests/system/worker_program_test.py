"""sorteo-worker against a broker that the test plays: what it acknowledges is in its store after a
kill, what it seals was read back, which broker it obeys, what it rejects, and how it counts."""
import os
import shutil
import signal

from case import SystemCase
from cluster import BIN, Cluster, flags, free_ports
from fake_dispatch import (COUNT, COUNTED, DISMISSED, FENCED, FORGET, FORWARD, FOUND,
                           FRAME_BYTES_MAX, LEASE_MS, MANIFEST, PING, REGISTER, REJECTED, SEAL,
                           SEAL_VOID, SEALED, STORED, WELCOME, WHO, Batch, FakeDispatch, Gate,
                           Manifest)
from stranger_test import is_readable, shown_messages, spoiled
from wire import REASONS, pack, unpack_all

NUMBER, PAGE_BYTES_MAX = 7574, 65536
LATE, INVALID, CONFLICT = (REASONS.index(name) for name in ("LATE", "REJECTED", "CONFLICT"))
WITH_BODY = "FORWARD", "SEAL", "COUNT"


def bet(first="Ana", last="Paz", document="30904465", birthdate="1999-03-17", number=NUMBER):
    return [first, last, document, birthdate, number]


def bets(count, **values):
    return [bet(document=str(1000 + i), **values) for i in range(count)]


# What the second of two bets is, and the fault that PROTOCOL.md, section 14.2, has for it.
BAD_BETS = [
    (bet(first=""), 7), (bet(first="x" * 101), 8), (bet(last=""), 9), (bet(last="x" * 101), 10),
    (bet(document=""), 11), (bet(document="1" * 33), 12), (bet(document="1 2"), 13),
    (bet(document="1\u00e9"), 13), (bet(birthdate="1999-3-17"), 14), (bet(birthdate=""), 14),
    (bet(birthdate="1999-02-29"), 15), (bet(birthdate="1899-12-31"), 16),
    (bet(first="a\nb"), 23), (bet(last="a\x7fb"), 23)]
# Bodies of one bet that are not of the form, or not as the header says.
BAD_BODIES = [
    (b"", 20), (b"\x90", 21), (pack(bets(2)), 21), (pack(bets(1)) + b"\0", 20),
    (pack(bets(1))[:-1], 20), (b"\xdc\0\1" + pack(bets(1))[1:], 20), (pack([bet() + [1]]), 20),
    (pack([bet(number=-1)]), 20), (pack([bet(number=2 ** 32)]), 20),
    (pack([bet(document=30904465)]), 20), (pack([bet(first=b"\xff")]), 20),
    (b"\x81" + pack(bets(1))[1:], 20),
    (pack([bet(first="Ana\0")]).replace(b"\xa4Ana\0", b"\xa3A\xff\xff"), 6)]
# Fields that have the right type and no allowed value; kinds of draw 0 under a draw, too.
ROOT = b"r" * 32
OUT_OF_RANGE = [
    (WELCOME, (0, 1)), (WELCOME, (1, 0)), (WELCOME, (1, 2 ** 20 + 1)), (WELCOME, (60000, 2 ** 20)),
    (DISMISSED, (0,)), (DISMISSED, (5,)), (DISMISSED, (1,)), (WHO, ()), (PING, ()),
    (SEAL, (1, 1, 1, ROOT)), (SEAL, (0, 0, 1, ROOT)), (SEAL, (0, 2, 1, ROOT)),
    (SEAL, (0, 1, 0, ROOT)), (SEAL, (0, 257, 2 ** 26 + 1, ROOT)), (COUNT, (ROOT, 1, 1, 0)),
    (COUNT, (ROOT, 1, 1, 2 ** 20 + 1)), (FORWARD, (False,)), (2, ()), (100, ())]


def write_file(path, content):
    with open(path, "wb") as file:
        file.write(content)


class WorkerProgram(SystemCase):
    def setUp(self):
        self.cluster = self.enterContext(Cluster())
        self.broker = FakeDispatch(self.cluster.port)
        self.addCleanup(self.broker.close)

    def start(self, **options):
        return self.cluster.workers(**options)

    def begin(self, *batches, **options):
        """A worker that is welcome and has stored these batches."""
        worker = self.start(**options)
        self.assertEqual(self.broker.welcome()[1], [])
        self.store(*batches)
        return worker

    def store(self, *batches):
        for batch in batches:
            self.broker.forward(batch)
            self.broker.expect_stored(batch)

    def expect_rejected(self, batch, reason, row=0, fault=0):
        draw, fields, _ = self.broker.expect(REJECTED)
        self.assertEqual((draw, fields), (1, [batch.agency, 1, batch.seq, row, fault, reason]))

    def test_what_is_told_as_stored_is_there_after_a_kill(self):
        """[M-50] [M-42]; a batch that waits for its commit is not told, and may be gone. Each start
        raises the opening [M-40] and has another routing id, none that it chose [M-2]."""
        batches = [Batch(7, seq, bets(3)) for seq in range(3)]
        worker = self.begin(*batches)
        worker.kill()
        waiting, bad = Batch(8, 0, bets(1)), Batch(9, 0, bets(1), digest=b"d" * 32)
        worker = self.start(commit_ms=1000)
        first, items = self.broker.welcome()
        peer = self.broker.peer
        self.assertEqual(sorted(items), [batch.item() for batch in batches])
        self.broker.forward(waiting)
        self.broker.forward(bad)
        self.expect_rejected(bad, INVALID, fault=22)
        worker.kill()
        self.start()
        got = self.broker.receive()
        if got[0] == STORED:  # this machine stood still for as long as the commit waited
            batches.append(waiting)
            got = self.broker.receive()
        self.assertEqual(got[0], REGISTER)
        second, items = got[2], self.broker.take_inventory()
        self.assertEqual(sorted(items), [batch.item() for batch in batches])
        self.assertEqual(first[0], second[0])
        worker.wait_line(f"open_store .* store: {bytes(first[0])[:4].hex()}$")
        self.assertGreater(second[1], first[1])
        self.assertNotEqual(second[2], first[2])
        self.assertNotEqual(self.broker.peer, peer)
        self.assertEqual((len(peer), peer[0]), (5, 0))  # of the ROUTER's own making

    def test_a_connection_that_was_given_up_says_nothing_any_more(self):
        """A broker that stands still takes two connections, the second after a lease without a word
        on the first, and then goes on: it hears one REGISTER, on the one that lives. What is
        welcome on the other would wait for nobody, and cost the one that lives its registration."""
        port = free_ports()
        gate = Gate(port + 3, self.cluster.port + 3)
        self.addCleanup(gate.close)
        worker = self.start(broker=f"127.0.0.1:{port}")
        gate.wait_for_connection()
        worker.wait_line("the broker is silent: dialing again")
        gate.wait_for_connection()
        gate.open()
        self.broker.welcome()
        worker.wait_line("registro .* success .* epoch: 1 ")
        self.store(Batch(7, 0, bets(1)))

    def test_sealed_is_told_after_every_batch_was_read_back(self):
        """[M-53]: a batch whose bytes have changed on the disk is deleted, and the worker registers
        again without it. What it sealed first stays [M-54], also after a kill."""
        good, rotten = Batch(7, 0, bets(2)), Batch(7, 1, bets(2, first="Wenceslao"))
        worker = self.begin(good, rotten)
        self.stop(worker, 0)
        path = self.cluster.path("workers", "0", "data.mdb")
        with open(path, "r+b") as file:
            data = file.read()
            file.seek(data.index(b"Wenceslao"))
            file.write(b"V")
        self.start()
        self.broker.welcome()
        manifest = Manifest([good, rotten], NUMBER)
        self.broker.seal(manifest)
        _, items = self.broker.welcome()
        self.assertIn(good.item(), items)
        self.assertNotIn(rotten.item(), items)
        self.assertIn([1, 1, manifest.root, NUMBER], items)
        self.broker.forward(rotten)
        self.broker.expect_stored(rotten)
        self.broker.seal(manifest)
        self.assertEqual(self.broker.expect(SEALED)[:2], (1, [manifest.root]))
        self.cluster.processes[-1].kill()
        self.start()
        self.assertEqual(len(self.broker.welcome()[1]), 3)
        self.broker.seal(Manifest([good], NUMBER))
        self.assertEqual(self.broker.expect(SEALED)[:2], (1, [manifest.root]))

    def test_a_manifest_that_does_not_hold_is_dropped(self):
        """[M-59]"""
        batch = Batch(7, 0, bets(2))
        self.begin(batch)
        manifest = Manifest([batch], NUMBER)
        true = manifest.packed
        for spoiled_part in (true[:-1], true + b"\0", true.replace(batch.digest, b"d" * 32),
                             true.replace(manifest.root, b"r" * 32)):
            manifest.packed = spoiled_part
            self.broker.seal(manifest)
        manifest.packed = true
        self.broker.seal(manifest)
        self.assertEqual(self.broker.expect(SEALED)[:2], (1, [manifest.root]))
        self.assertFalse(self.broker.socket.poll(0))

    def test_only_the_newest_broker_is_obeyed(self):
        """[M-38] [M-65]: an older broker and a rival are told so, and not obeyed; a newer one is
        recorded before anything else [M-44] [M-66], and none (number 0) is not."""
        worker = self.begin(Batch(7, 0, bets(1)))
        self.broker.epoch = ours = 5, b"n" * 16
        manifest, share = Manifest([Batch(7, 0, bets(1))], NUMBER), pack([7, 1, [0, 1]])
        self.broker.forward(Batch(7, 1, bets(1)))
        self.broker.expect_stored(Batch(7, 1, bets(1)))
        for other in ((4, b"o" * 16), (5, b"r" * 16), (1, b"e" * 16)):
            for send in (lambda epoch: self.broker.forward(Batch(7, 2, bets(1)), epoch=epoch),
                         lambda epoch: self.broker.send(SEAL_VOID, draw=1, epoch=epoch),
                         lambda epoch: self.broker.send(FORGET, draw=1, epoch=epoch),
                         lambda epoch: self.broker.seal(manifest, epoch=epoch),
                         lambda epoch: self.broker.send(MANIFEST, draw=1, epoch=epoch),
                         lambda epoch: self.broker.send(COUNT, manifest.root, 1, 1, 1, draw=1,
                                                        frames=(share,), epoch=epoch),
                         lambda epoch: self.broker.send(WELCOME, LEASE_MS, FRAME_BYTES_MAX,
                                                        epoch=epoch),
                         lambda epoch: self.broker.send(DISMISSED, 1, epoch=epoch),
                         lambda epoch: self.broker.send(PING, epoch=epoch),
                         lambda epoch: self.broker.send(WHO, epoch=epoch)):
                send(other)
                self.assertEqual(self.broker.expect(FENCED)[1], [*ours])
        self.broker.send(PING, epoch=(0, bytes(16)))
        self.broker.epoch = 6, b"m" * 16
        self.broker.forward(Batch(7, 3, bets(1)))
        self.broker.expect_stored(Batch(7, 3, bets(1)))
        worker.kill()
        self.start()
        registration, items = self.broker.welcome()
        self.assertEqual(registration[4:], [*self.broker.epoch])
        self.assertEqual(sorted(item[4] for item in items), [0, 1, 3])

    def test_bad_batches_are_rejected_with_their_row_and_fault(self):
        """Section 9.3. A birthdate in the future is no fault here [M-11]."""
        self.begin(Batch(7, 0, bets(1, birthdate="2999-01-01")))
        for bad, fault in BAD_BETS:
            with self.subTest(bad=bad):
                batch = Batch(7, 1, [bet(), bad])
                self.broker.forward(batch)
                self.expect_rejected(batch, INVALID, 1, fault)
        for body, fault in BAD_BODIES:
            with self.subTest(body=body):
                batch = Batch(7, 1, bets(1), body=body)
                self.broker.forward(batch)
                self.expect_rejected(batch, INVALID, 0, fault)
        self.store(Batch(7, 1, [bet(), bet()]))

    def test_another_batch_of_the_same_name_is_a_conflict_unless_it_is_declared(self):
        """[M-49]"""
        first, other = Batch(7, 0, bets(1)), Batch(7, 0, bets(2))
        worker = self.begin(first)
        self.broker.forward(other)
        self.expect_rejected(other, CONFLICT)
        self.store(first)
        worker.kill()
        self.start()
        self.assertEqual(self.broker.welcome()[1], [first.item()])
        self.broker.forward(other, is_declared=True)
        self.broker.expect_stored(other)
        self.broker.forward(first)
        self.expect_rejected(first, CONFLICT)

    def test_a_draw_that_is_sealed_void_or_forgotten_takes_no_other_batches(self):
        sealed, late = Batch(7, 0, bets(1)), Batch(7, 1, bets(1))
        self.begin(sealed)
        self.broker.seal(Manifest([sealed], NUMBER))
        self.broker.expect(SEALED)
        self.broker.forward(late)
        self.expect_rejected(late, LATE)
        self.store(sealed)
        self.broker.send(SEAL_VOID, draw=1)
        self.assertEqual(self.broker.expect(SEALED)[:2], (1, [bytes(32)]))
        self.broker.forward(sealed)
        self.expect_rejected(sealed, LATE)
        self.broker.send(FORGET, draw=1)
        self.broker.forward(sealed)
        self.expect_rejected(sealed, LATE)

    def test_a_question_is_answered_whole(self):
        """[M-57]: FOUND of every agency in rising order of (agency, seq, row), pages within their
        cap, then COUNTED with the shares as they were asked."""
        batches = [Batch(7, seq, [bet(first="n" * 100, document=str(i), number=NUMBER + i % 2)
                                  for i in range(700)]) for seq in range(4)]
        batches += [Batch(9, 0, bets(2)), Batch(11, 0, bets(3, number=1))]
        self.begin(*batches)
        manifest = Manifest(batches, NUMBER)
        self.broker.seal(manifest)
        self.broker.expect(SEALED)
        shares = b"".join(map(pack, ([7, 1, [0, 2, 3, 1]], [9, 1, [0, 1]], [11, 1, [0, 1]])))
        self.broker.send(COUNT, manifest.root, 1, 1, 3, frames=(shares,), draw=1)
        found, pages, got = [], 0, self.broker.receive()
        while got[0] == FOUND:
            _, draw, (epoch, question, agency, items), body = got
            self.assertEqual((draw, epoch, question), (1, 1, 1))
            self.assertLessEqual(len(body), PAGE_BYTES_MAX)
            self.assertEqual(len(unpack_all(body)), items)
            found += [(agency, *item) for item in unpack_all(body)]
            pages, got = pages + 1, self.broker.receive()
        asked = [b for b in batches if b.agency != 7 or b.seq != 2]
        expected = [(b.agency, b.seq, row, values) for b in asked
                    for row, values in enumerate(b.bets) if values[4] == NUMBER]
        self.assertEqual(found, expected)
        self.assertGreater(pages, 3)
        kind, draw, fields, body = got
        self.assertEqual((kind, draw, body), (COUNTED, 1, shares))
        self.assertEqual(fields, [1, 1, sum(b.count for b in asked), len(expected), 3])

    def test_a_question_is_not_answered_where_a_batch_is_missing(self):
        """[M-57]: the worker registers again, and has sent nothing of an answer."""
        held, missing = Batch(7, 0, bets(2)), Batch(7, 1, bets(2))
        self.begin(held)
        manifest = Manifest([held, missing], NUMBER)
        self.broker.seal(manifest)
        self.broker.expect(SEALED)
        self.broker.send(COUNT, manifest.root, 1, 1, 1, frames=(pack([7, 1, [0, 2]]),), draw=1)
        self.broker.expect(REGISTER)

    def test_nothing_that_it_reads_ends_it_or_changes_its_store(self):
        """[M-68] [M-9] [M-67]: each message of a broker cut, changed and lengthened at each byte,
        and with a frame too few and too many [M-6]."""
        batch = Batch(7, 0, bets(1))
        self.begin(batch)
        for kind, message in shown_messages().items():
            values, = unpack_all(message)
            if values[0] >= WELCOME:
                values[3:5] = self.broker.epoch
                message = pack(values)
            frames = [batch.header(), batch.body] * (kind == "FORWARD")
            for frame in spoiled(message):
                if not is_readable(frame, message):
                    self.broker.send_raw(frame, *frames)
            for extra in ((b"\xc0",) * 3, (b"\xc0",) * (kind not in WITH_BODY)):
                if extra:
                    self.broker.send_raw(message, *extra)
            if kind in WITH_BODY:
                self.broker.send_raw(message)
        for kind, fields in OUT_OF_RANGE:
            self.broker.send(kind, *fields, frames=(b"\xc0",) * (kind in (SEAL, COUNT)), draw=1)
        for frame in spoiled(batch.header()):
            if not is_readable(frame, batch.header()):
                self.broker.send(FORWARD, False, frames=(frame, batch.body), draw=1)
        self.store(Batch(8, 0, bets(1)))
        self.cluster.processes[-1].kill()
        self.start()
        items = self.broker.welcome()[1]
        self.assertEqual(sorted(items), [batch.item(), Batch(8, 0, bets(1)).item()])

    def test_a_damaged_store_is_named_with_what_to_do(self):
        path = self.cluster.path("damaged", "0")
        os.makedirs(path)
        write_file(os.path.join(path, "data.mdb"), bytes(8192))
        self.expect_exit(self.start(folder="damaged"), 74,
                         f"cannot open a store in '{path}'.*move the folder away")

    def test_a_store_that_was_cut_short_is_refused_until_it_is_moved_away(self):
        """LMDB would touch a page that is not there, and the worker end by SIGBUS. A whole copy in
        its place, or an empty folder, and it serves."""
        batch = Batch(7, 0, bets(2))
        folder = self.cluster.path("workers", "0")
        path = os.path.join(folder, "data.mdb")
        self.stop(self.begin(batch), 0)
        with open(path, "rb") as file:
            whole = file.read()
        for end in (0, 1, 4096, 8191, 8192, 12288, 14000):
            with self.subTest(end=end):
                write_file(path, whole[:end])
                self.expect_exit(self.start(), 74,
                                 f"cannot open a store in '{folder}': data.mdb was cut short: it "
                                 rf"has {end} bytes and needs \d+ at least \| hint: .* whole copy "
                                 ".* move the folder away")
        write_file(path, whole)
        worker = self.start()
        self.assertEqual(self.broker.welcome()[1], [batch.item()])
        self.stop(worker, 0)
        os.truncate(path, 12288)
        self.expect_exit(self.start(), 74, "data.mdb was cut short")
        os.rename(folder, self.cluster.path("moved"))
        self.start()
        self.assertEqual(self.broker.welcome()[1], [])
        self.store(batch)

    def test_a_store_whose_meta_page_is_damaged_is_refused(self):
        """LMDB believes the page size in the newer of its two meta pages, and touches pages where
        there are none."""
        folder = self.cluster.path("workers", "0")
        path = os.path.join(folder, "data.mdb")
        self.stop(self.begin(), 0)
        with open(path, "r+b") as file:
            newer = max((0, 4096), key=lambda page: os.pread(file.fileno(), 8, page + 144)[::-1])
            os.pwrite(file.fileno(), b"\x40", newer + 43)
        self.expect_exit(self.start(), 74, f"cannot open a store in '{folder}': data.mdb is damaged"
                                           ": its first page .* bytes.* move the folder away")
        write_file(path, b"hello\n")
        self.expect_exit(self.start(), 74, "data.mdb is not a store's file \\| hint: ")

    def test_a_store_of_another_user_is_left_alone(self):
        """It is well: nobody is told to move it away."""
        batch = Batch(7, 0, bets(1))
        self.stop(self.begin(batch), 0)
        path = self.cluster.path("workers", "0", "data.mdb")
        program = [shutil.copy(os.path.join(BIN, "sorteo-worker"), self.cluster.folder)]
        if os.geteuid() == 0:  # whom a mode does not keep out
            program = ["setpriv", "--reuid=65534", "--clear-groups"] + program
        os.chmod(self.cluster.folder, 0o755)
        os.chmod(path, 0o400)
        other = self.cluster.start("other", program, flags({
            "broker": self.cluster.address, "store": self.cluster.path("workers")}))
        self.expect_exit(other, 73, "Permission denied .* this user may read and write all files")
        self.assertNotIn("move the folder away", other.log())
        os.chmod(path, 0o600)
        self.start()
        self.assertEqual(self.broker.welcome()[1], [batch.item()])

    def test_a_damaged_store_keeps_no_other_worker_of_its_pool_from_its_own(self):
        folder = self.cluster.path("workers", "0")
        os.makedirs(folder)
        write_file(os.path.join(folder, "data.mdb"), b"hello\n")
        workers = self.start(count=2)
        self.broker.welcome()
        self.store(Batch(7, 0, bets(1)))
        for again in range(3):
            workers.wait_line(f"sorteo-worker 0: .* cannot open a store in '{folder}'", skip=again)
        workers.wait_line("sorteo-worker 1: .* open_store .* success")
        self.assertNotRegex(workers.log(), "sorteo-worker [1-9]: .* cannot open")

    def test_a_pool_says_which_signal_ended_a_worker_and_which_that_was(self):
        workers = self.start(count=2)
        opened = workers.wait_line(r"open_store .* path: (\S+)/1 \| pid: (\d+) \|")
        os.kill(int(opened[2]), signal.SIGBUS)
        workers.wait_line(f"worker_ended .* pid: {opened[2]} \\| code: 135 \\| signal: Bus error "
                          r"\| again_in_ms: \d+$")
        workers.wait_line(f"open_store .* path: {opened[1]}/1 ", skip=1)
