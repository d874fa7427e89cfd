"""The order in which a program writes, syncs and sends, read from a trace of its system calls.

The tracer is one thread, so the order of its lines is causal across the program's threads: what
counts is where a sync has returned (its complete line, or its resumed one) and where a send begins.
"""
import collections
import os
import re

CALLS = "pwrite64,writev,pwritev,fdatasync,fsync,msync,sendto,sendmsg"
CALLS_OF_AGENCY = "write,fdatasync,fsync,rename,sendto,sendmsg"
STRING = re.compile(rb'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
LINE = re.compile(rb"(\d+) +(?:(\w+)\((?:(\d+)<((?:\\x[0-9a-f]{2})*)>|(?=\"))|"
                  rb"<\.\.\. (\w+) resumed>)")
SIZES = (1, 2, 3, 4, 6, 8)  # of SQLite's integers
META_BYTES, META_PLACES = 120, (32, 4128)  # LMDB's meta pages


def before(path, names=CALLS):
    """The words before a program that is to be traced into a file."""
    return ["strace", "-D", "-f", "-y", "-xx", "-s", "300000", "--seccomp-bpf", "-e",
            f"trace={names}", "-o", path]


def unhex(text):
    return bytes.fromhex(text.replace(b"\\x", b"").decode("ascii"))


class Call:
    """One system call at its begin, its end, or both where nothing came between."""

    def __init__(self, name, descriptor, path, line, begins, ends):
        self.name, self.descriptor, self.path, self.line = name, descriptor, path, line
        self.begins, self.ends = begins, ends

    def pieces(self):
        return [unhex(text) for text, _ in STRING.findall(self.line)]

    def numbers(self):
        """The arguments behind the last string, and the result."""
        return [int(n) for n in re.findall(rb"-?\b\d+\b", self.line[self.line.rfind(b'"') + 1:])]


def calls(path):
    waiting = {}
    with open(path, "rb") as file:
        for line in file:
            found = LINE.match(line)
            if not found:
                continue
            thread, name, descriptor, hexed, resumed = found.groups()
            if resumed:
                call = waiting.pop(thread, None)
                if call is not None:
                    yield Call(call.name, call.descriptor, call.path, call.line + line, False, True)
                continue
            is_whole = not line.rstrip().endswith(b"<unfinished ...>")
            call = Call(name.decode(), descriptor, unhex(hexed or b"").decode("utf-8", "replace"),
                        line, True, is_whole)
            if not is_whole:
                waiting[thread] = call
            yield call


class Pages:
    """What was written to one file, and what of it is durable."""

    def __init__(self):
        self.written, self.synced, self.durable = [], [], []

    def move(self, source, target):
        target += source
        source.clear()

    def have(self, needle):
        return any(needle in page for page in reversed(self.durable))


def sends_of_worker(path):
    """(durable pages, what is sent) of each send. Durable is what was written, then synced, before
    a meta page was written through LMDB's second descriptor, which is O_DSYNC."""
    pages, writer = Pages(), None
    for call in calls(path):
        if call.name in ("sendto", "sendmsg") and call.begins:
            yield pages, b"".join(call.pieces())
        elif call.path.endswith("/data.mdb") and call.ends:
            numbers = call.numbers()
            if call.name in ("fdatasync", "fsync"):
                pages.move(pages.written, pages.synced)
            elif (call.name == "pwrite64" and numbers[0] == META_BYTES and
                  numbers[1] in META_PLACES):
                if call.descriptor != writer:
                    pages.move(pages.synced, pages.durable)
            else:
                writer = call.descriptor
                pages.written += call.pieces()


def sends_of_broker(path):
    """(durable pages, what is sent) of each send. Durable is what a sync of the WAL followed."""
    pages = Pages()
    for call in calls(path):
        if call.name in ("sendto", "sendmsg") and call.begins:
            yield pages, b"".join(call.pieces())
        elif call.path.endswith("/journal.sqlite-wal") and call.ends:
            if call.name in ("fdatasync", "fsync"):
                pages.move(pages.written, pages.durable)
            else:
                pages.written += call.pieces()


def row(*values):
    """A row as SQLite's file format writes it into a page: the size of its head, a type for each
    column, then the values. A column that is the table's key by number is None."""
    types, body = [], b""
    for value in values:
        if value is None:
            types.append(0)
        elif isinstance(value, bytes):
            types.append(12 + 2 * len(value))
            body += value
        elif value in (0, 1):
            types.append(8 + value)
        else:
            size = next(size for size in SIZES if -1 << 8 * size - 1 <= value < 1 << 8 * size - 1)
            types.append(SIZES.index(size) + 1)
            body += value.to_bytes(size, "big", signed=True)
    assert max(types) < 128, "the head's types are of one byte each"
    return bytes([1 + len(types), *types]) + body


def steps_of_agency(path, output, content, farewell):
    """What had become of a winners file when its farewell was first sent, in order: it was whole,
    synced as a whole, given its name, and the folder synced that has the name."""
    written, synced, steps = collections.defaultdict(bytes), set(), []
    for call in calls(path):
        if call.name in ("sendto", "sendmsg"):
            if call.begins and farewell in b"".join(call.pieces()):
                return steps
        elif call.name == "rename" and output.encode() in call.pieces():
            whole = {name for name in written if written[name] == content}
            if call.begins:
                steps += ["whole"] * bool(whole) + ["synced"] * bool(whole & synced)
            if call.ends:
                steps.append("named")
        elif call.name == "write" and call.begins:
            written[call.path] += call.pieces()[0]
            synced.discard(call.path)
        elif call.name in ("fsync", "fdatasync") and call.ends:
            synced.add(call.path)
            if call.path == os.path.dirname(output):
                steps.append("folder synced")
    return None
