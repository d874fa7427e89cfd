"""What the fault tests share: a draw of a million bets with every program by its name, each of
which can be started again as it was, die at a point of its own, or run behind another program.
"""
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import threading
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))

import cluster  # noqa: E402
import hosts  # noqa: E402
from case import NUMBER, SystemCase  # noqa: E402
from cluster import DEADLINE_S, STOP_S, sample  # noqa: E402
from observer import Observer  # noqa: E402

FAULT_BIN = os.path.join(ROOT, "build", "fault")
AGENCIES, BETS, STORES = 3, 1000000, 2
# Small batches and a sync for each few of them: the middle takes a second or two, not a tenth.
SLOWLY = {"worker": {"commit_bytes": 65536}, "agency": {"batch_bets": 200}}
ENOUGH = 200  # batches, of 5,000, that are durable when the fault comes
KILLED = 137
IS_ROOT = os.geteuid() == 0
needs_root = unittest.skipUnless(IS_ROOT, "needs root")
needs_strace = unittest.skipUnless(shutil.which("strace"), "needs strace")


def fast(test):
    """What `make check` runs too."""
    test.is_fast = True
    return test


def million():
    return sample(AGENCIES, BETS)


@functools.lru_cache(maxsize=None)
def scan(path, number=NUMBER):
    """tests/system's plain scan, made once of each file that does not change."""
    return cluster.scan(path, number)


def points(program):
    """The crash points that a program of the fault flavour has."""
    listed = subprocess.run([os.path.join(FAULT_BIN, program), "--crash-points"], check=True,
                            capture_output=True, text=True).stdout
    return sorted(listed.split())


class Cluster(cluster.Cluster):
    """One whose programs can be changed at their start, see changed()."""

    def __init__(self, **broker):
        super().__init__(**broker)
        self.variables, self.before, self.bin = {}, [], cluster.BIN
        self.crash_log = self.path("crashes")

    @contextlib.contextmanager
    def changed(self, before=(), **variables):
        """What is started inside is of the fault flavour where a variable is given (crash=,
        stand=, break_=: see proto/host/crash.h), and stands behind the words of `before`."""
        kept = self.variables, self.before, self.bin
        self.variables = {f"SORTEO_{name.rstrip('_').upper()}": value
                          for name, value in variables.items()}
        self.before = list(before)
        if variables:
            self.bin = FAULT_BIN
            self.variables["SORTEO_CRASH_LOG"] = self.crash_log
        try:
            yield
        finally:
            self.variables, self.before, self.bin = kept

    def broker(self, host=None, **options):
        """in: host: where it runs (hosts.py); None: here."""
        if host is None:
            return super().broker(**options)
        kept, self.before = self.before, [*host.inside, *self.before]
        try:
            return super().broker(bind=host.address, port=hosts.PORT, insecure=True, **options)
        finally:
            self.before = kept

    def start(self, name, program, arguments, environment=None, stdin=None):
        command = program if isinstance(program, list) else [os.path.join(self.bin, program)]
        return super().start(name, self.before + command, arguments,
                             {**(environment or {}), **self.variables}, stdin)

    def crashed_at(self):
        if not os.path.exists(self.crash_log):
            return []
        with open(self.crash_log, encoding="ascii") as file:
            return file.read().split()


class Draw:
    """One draw: "broker", "worker 0" and on, each with a store of its own, "agency 1" and on, one
    for each path. What a role is given besides, by its name: broker={…}, worker={…}, agency={…}."""

    def __init__(self, used, paths=None, stores=STORES, **roles):
        self.cluster, self.paths, self.stores = used, paths or million(), stores
        self.roles, self.programs, self.earlier = roles, {}, []

    def start(self, name, **options):
        role, _, which = name.partition(" ")
        options = {**self.roles.get(role, {}), **options}
        if name in self.programs:
            self.earlier.append(self.programs[name])
        if role == "broker":
            started = self.cluster.broker(**options)
        elif role == "worker":
            started = self.cluster.workers(1, f"store-{which}", **options)
        else:
            options.setdefault("source", self.paths[int(which) - 1])
            started = self.cluster.agency(int(which), **options)
        self.programs[name] = started
        return started

    def names(self, role=""):
        every = (["broker"] + [f"worker {i}" for i in range(self.stores)] +
                 [f"agency {i}" for i in range(1, len(self.paths) + 1)])
        return [name for name in every if name.startswith(role)]

    def start_all(self, *but):
        for name in self.names():
            if name not in but:
                self.start(name)

    def __getitem__(self, name):
        return self.programs[name]

    def begin(self, *but):
        """Everything but these names is started, agencies once all stores are registered."""
        self.start("broker").wait_line("action: listen")
        for name in self.names("worker"):
            self.start(name)
        self["broker"].wait_line(f"registro .* success .* stores: {self.stores}$")
        for name in self.names("agency"):
            if name not in but:
                self.start(name)

    def wait_middle(self, watched=None):
        """What the ledger knows once so many batches are durable: the middle of sending."""
        watched = watched or range(1, len(self.paths) + 1)
        with Observer(self.cluster) as observer:
            return observer.wait_known(watched, lambda known: len(known) >= ENOUGH)

    def known(self):
        with Observer(self.cluster) as observer:
            return {(agency, seq): digest for agency in range(1, len(self.paths) + 1)
                    for seq, digest in observer.known(agency).items()}

    def kill(self, *names):
        for name in names:
            if self[name].runs():
                os.kill(self[name].pid, 9)
        for name in names:
            self[name].kill()

    def logs(self, role):
        """All that programs of a role have said, those that were replaced too."""
        return "\n".join(program.log() for program in [*self.earlier, *self.programs.values()]
                         if program.name.startswith(role))


class FaultCase(SystemCase):
    def expect_crash(self, process, point):
        """It ended at this point, and at no other."""
        self.expect_exit(process, KILLED)
        self.assertEqual(self.draw.cluster.crashed_at()[-1], point)

    def expect_right_winners(self, number=NUMBER):
        for agency, path in enumerate(self.draw.paths, 1):
            self.assertEqual(self.draw.cluster.output(agency), scan(path, number),
                             f"agency {agency}")

    def expect_right_end(self, number=NUMBER, **limits):
        """The draw ends by itself: every agency has its winners, the broker leaves with BYE."""
        draw = self.draw
        for name in draw.names("agency"):
            self.expect_exit(draw[name], 0, **limits)
        self.expect_exit(draw["broker"], 0)
        workers = [draw[name] for name in draw.names("worker") if draw[name].runs()]
        for worker in workers:
            worker.wait_line("open_store .* success")  # one that has just begun dies of the signal
            worker.signal(signal.SIGTERM)
        for worker in workers:
            self.expect_exit(worker, 0, deadline_s=STOP_S)
        self.expect_right_winners(number)
        self.assertNotIn("result that is wrong", draw.logs("agency"))

    def expect_still_known(self, known):
        """A durable acknowledgement outlives everything: as soon as the stores are back the ledger
        has the same digests."""
        with Observer(self.draw.cluster) as observer:
            now = observer.wait_known({agency for agency, _ in known},
                                      lambda now: len(now) >= len(known))
        self.assertLessEqual(known.items(), now.items())

    def wait_stopped(self, process):
        """Waits until a program that this one started stands still (SIGSTOP)."""
        told = []
        waiting = threading.Thread(daemon=True, target=lambda: told.append(
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)))
        waiting.start()
        waiting.join(DEADLINE_S)
        self.assertTrue(told, f"{process.name} does not stand still:\n{process.log()}")
