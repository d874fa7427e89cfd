"""Real processes of one Sorteo on loopback, for the system tests.

A Cluster starts programs from build/bin with their files in one temporary folder and ports of its
own, reads their log lines as they come, and waits for events (a log line, an exit) with a deadline:
never for time to pass. Leaving it ends everything that it started and checks that nothing is left.
"""
import atexit
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("SORTEO_BIN", os.path.join(ROOT, "build", "bin"))
REAL_INPUT = os.environ.get("SORTEO_INPUT", os.path.join(os.path.dirname(ROOT), "shared", "data"))
DEADLINE_S = 60.0
STOP_S = 5.0  # what a program has to end after SIGTERM
# A broker that starts after the draw does not know who has left: it stays that long for agencies
# that are started again, also where the disk of all of them stands still for seconds.
LINGER_S = 15
SAMPLES = os.path.join(ROOT, "build", "samples")


class Process:
    """A program that runs, with its log lines so far."""

    def __init__(self, name, arguments, folder, environment=None, stdin=None):
        self.name = name
        self.lines = []
        self.arrived = threading.Condition()
        clean = {k: v for k, v in os.environ.items()
                 if not k.startswith("SORTEO_") and k not in
                 ("AGENCY_ID", "AGENCY_QUORUM_MIN", "BATCH_SIZE", "INPUT_FILE", "OUTPUT_FILE",
                  "SERVER_HOST", "SERVER_PORT")}
        clean.update(environment or {})
        self.popen = subprocess.Popen(arguments, cwd=folder, env=clean, stdin=stdin,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      start_new_session=True)
        self.pid = self.popen.pid
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.popen.stdout:
            with self.arrived:
                self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                self.arrived.notify_all()
        with self.arrived:
            self.lines.append(None)  # end of output
            self.arrived.notify_all()

    def log(self):
        return "\n".join(line for line in self.lines if line is not None)

    def wait_line(self, pattern, deadline_s=DEADLINE_S, skip=0):
        """Waits for a line that matches, and answers the match; `skip` matches are passed over."""
        wanted = re.compile(pattern)
        until = time.monotonic() + deadline_s
        at = 0
        with self.arrived:
            while True:
                while at < len(self.lines):
                    line = self.lines[at]
                    at += 1
                    if line is None:
                        raise AssertionError(
                            f"{self.name} ended without /{pattern}/:\n{self.log()}")
                    found = wanted.search(line)
                    if found and skip == 0:
                        return found
                    skip -= 1 if found else 0
                left = until - time.monotonic()
                if left <= 0 or not self.arrived.wait(left):
                    if time.monotonic() >= until:
                        raise AssertionError(
                            f"{self.name}: no /{pattern}/ in {deadline_s} s:\n{self.log()}")

    def wait_exit(self, deadline_s=DEADLINE_S):
        """Waits for the end and answers the exit code (negative: the signal)."""
        try:
            code = self.popen.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.name} still runs after {deadline_s} s:\n{self.log()}") from None
        self.reader.join(STOP_S)
        return code

    def runs(self):
        return self.popen.poll() is None

    def kill(self):
        """kill -9, and waits for its end (with its children: workers die with their parent)."""
        if self.runs():
            os.kill(self.pid, signal.SIGKILL)
        self.popen.wait(DEADLINE_S)
        if not self.descendants_gone():
            raise AssertionError(f"{self.name} was killed, its children were not")

    def signal(self, number):
        os.kill(self.pid, number)

    def descendants_gone(self, deadline_s=STOP_S):
        """True once no process of its session is left."""
        until = time.monotonic() + deadline_s
        while members := session_members(self.pid):
            if not wait_end(members[0], until - time.monotonic()):
                return False
        return True

    def memory_peak_kib(self):
        """The most that it has had resident so far."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmHWM:\s*(\d+) kB", status.read()).group(1))


def wait_end(pid, deadline_s):
    """True once a process, anybody's child, has ended."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(process, select.POLLIN)
        return bool(poll.poll(max(0, deadline_s) * 1000))
    finally:
        os.close(process)


def session_members(session):
    members = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            members.append(int(entry))
    return members


def free_ports():
    """The first of four consecutive ports that nobody listens on."""
    for _ in range(1000):
        first = random.SystemRandom().randrange(20000, 32000, 4)
        held = []
        try:
            for port in range(first, first + 4):
                probe = socket.socket()
                held.append(probe)
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for probe in held:
                probe.close()
    raise AssertionError("no four free ports")


class Cluster:
    def __init__(self, **broker):
        self.folder = tempfile.mkdtemp(prefix="sorteo-")
        self.port = free_ports()
        self.address = f"127.0.0.1:{self.port}"
        self.processes = []
        self.broker_options = broker
        atexit.register(self._abandon)

    def __enter__(self):
        return self

    def _abandon(self):
        """At Ctrl-C unittest calls no cleanup of the test that runs."""
        for process in self.processes:
            self._end(process)
        shutil.rmtree(self.folder)

    def __exit__(self, kind, value, trace):
        atexit.unregister(self._abandon)
        left = [process.name for process in self.processes if not self._end(process)]
        if kind is not None:
            for process in self.processes:
                print(f"--- {process.name}\n" + "\n".join(process.log().splitlines()[-40:]))
        shutil.rmtree(self.folder)
        assert not left, f"processes are left of {left}"

    @staticmethod
    def _end(process):
        for member in session_members(process.pid):
            try:
                os.kill(member, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.popen.wait(DEADLINE_S)
        is_gone = process.descendants_gone()
        process.reader.join(STOP_S)
        process.popen.stdout.close()
        return is_gone

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def start(self, name, program, arguments, environment=None, stdin=None):
        command = program if isinstance(program, list) else [os.path.join(BIN, program)]
        process = Process(name, command + [str(a) for a in arguments], self.folder, environment,
                          stdin)
        self.processes.append(process)
        return process

    def broker(self, **options):
        merged = {"port": self.port, "data": self.path("broker"),
                  "linger": LINGER_S}
        merged.update(self.broker_options)
        merged.update(options)
        return self.start("broker", "sorteo-broker", flags(merged))

    def workers(self, count=1, folder="workers", **options):
        merged = {"broker": self.address, "workers": count, "store": self.path(folder)}
        merged.update(options)
        return self.start(f"workers({folder})", "sorteo-worker", flags(merged))

    def agency(self, number, source, stdin=None, **options):
        merged = {"broker": self.address, "id": number, "input": source,
                  "output": self.path(f"winners-{number}.csv")}
        merged.update(options)
        return self.start(f"agency {number}", "sorteo-agency", flags(merged), stdin=stdin)

    def python_agency(self, number, source, **options):
        merged = {"broker": self.address, "id": number, "input": source,
                  "output": self.path(f"winners-{number}.csv")}
        merged.update(options)
        script = os.path.join(ROOT, "tests", "system", "agency.py")
        return self.start(f"agency.py {number}", [sys.executable, script], flags(merged))

    def output(self, number):
        with open(self.path(f"winners-{number}.csv"), "rb") as file:
            return file.read()


def flags(options):
    arguments = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            arguments.append(flag)
        elif value is not None and value is not False:
            arguments += [flag, str(value)]
    return arguments


def scan(path, number):
    """The rows of a file that win, by a plain look at each line: what every output has to equal."""
    rows = []
    with open(path, "rb") as file:
        for line in file:
            row = line.rstrip(b"\r\n")
            if row and int(row.rsplit(b",", 1)[1]) == number:
                rows.append(row + b"\n")
    return b"".join(rows)


def real_inputs():
    """The five real files where they are, else five generated ones of the same sizes."""
    paths = [os.path.join(REAL_INPUT, f"agency-{i}.csv") for i in range(1, 6)]
    if all(os.path.exists(path) for path in paths):
        return paths, True
    return sample(5, 78697), False


def sample(agencies, bets, **options):
    """Files made by `sorteo sample`, made once: their folder's name tells with which options."""
    options = {"agencies": agencies, "bets": bets, **options}
    folder = os.path.join(SAMPLES, "-".join(f"{name}={options[name]}" for name in options))
    paths = [os.path.join(folder, f"agency-{i}.csv") for i in range(1, agencies + 1)]
    if not all(os.path.exists(path) for path in paths):
        os.makedirs(folder, exist_ok=True)
        subprocess.run([os.path.join(BIN, "sorteo"), "sample",
                        *flags({**options, "output": folder, "force": True})], check=True,
                       stdout=subprocess.DEVNULL)
    return paths
