"""What the Python programs of tests/system know of proto/PROTOCOL.md: numbers, encoding, digests,
and how a file becomes batches. Written from the page alone, so that C and Python can be compared.
"""
import datetime
import hashlib
import hmac
import os
import re
import struct
import sys

import msgpack

BATCH, MARK, HELLO, POLL, WINNERS, DIGESTS, BYE = 1, 2, 10, 11, 12, 13, 14
ADMITTED, WAIT, FINISHED, RESULT, NOT_YET, DIGEST_PAGE, OK, REFUSED = range(20, 28)
WAIT_FIELDS = ("agency attempt round_seen from upto durable held window phase finished expected "
               "missing").split()
FIELDS = {  # of each reply, behind kind, version and draw
    ADMITTED: "agency attempt bets_max bytes_max skips from upto durable window frame_bytes_max "
              "batch_bytes_max batches_max phase commitment range_first range_last "
              "is_finished".split(),
    WAIT: WAIT_FIELDS, FINISHED: WAIT_FIELDS, NOT_YET: ["agency", "phase"], OK: ["agency"],
    RESULT: "agency number root seed from upto total".split(),
    DIGEST_PAGE: "agency attempt from upto total".split(),
    REFUSED: "agency reason seq row fault number".split()}
REASONS = ("- NOT_OPEN LATE ROSTER ATTEMPT PLAN FINISHED LIMIT SUPERSEDED REJECTED CONFLICT "
           "DECLARATION EXCLUDED VOID UNKNOWN MALFORMED VERSION").split()
EXIT_CODES = [76, 75, 65, 78, 75, 65, 65, 65, 75, 65, 65, 65, 75, 75, 65, 76, 76]
FIELD = r'("(?:[^"]|"")*"|[^",]*)'
ALL_IS_SAID, PUBLISHED, WEIGHT_EXTRA_BYTES = 4294967295, 3, 512
DIGEST_BYTES, CSV_LINE_BYTES_MAX, PAGE_BYTES_MAX = 32, 4096, 65536
RETRY_MS, UNANSWERED_REDIAL, WAIT_MS_MIN, WAIT_MS_MAX = 1000, 3, 1000, 15000


def fail(code, text):
    print(f"agency: {text}", file=sys.stderr)
    raise SystemExit(code)


def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def unpack_all(body):
    """Every msgpack object in a body."""
    unpacker = msgpack.Unpacker(raw=False)
    unpacker.feed(body)
    return list(unpacker)


def read_reply(frames, draw, agency):
    """(kind, fields, body) of a reply that is for this agency; None for anything else."""
    try:
        kind, version, told_draw, *fields = values = msgpack.unpackb(frames[0], raw=False)
        reply = dict(zip(FIELDS[kind], fields))
        is_ours = (told_draw, reply["agency"]) == (draw, agency) or reply.get("reason", 0) >= 15
        is_whole = len(fields) == len(FIELDS[kind]) and version == 1 and pack(values) == frames[0]
        is_whole = is_whole and reply.get("range_first", 0) <= reply.get("range_last", 0)
    except (ValueError, TypeError, KeyError, msgpack.UnpackException):
        return None
    return (kind, reply, frames[-1]) if is_ours and is_whole else None


def sha256(*pieces):
    return hashlib.sha256(b"".join(pieces)).digest()


def tree_head(leaves):
    """RFC 9162, section 2.1.1."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1", tree_head(leaves[:half]), tree_head(leaves[half:]))


def derive_number(seed, root, first, last):
    """Section 11.3."""
    i, size = 0, last - first + 1
    while True:
        mac = hmac.new(seed, root + struct.pack(">I", i), hashlib.sha256).digest()
        x = int.from_bytes(mac[:8], "big")
        if x < (1 << 64) // size * size:
            return first + x % size
        i += 1


def members(ranges):
    return {seq for first, count in zip(ranges[::2], ranges[1::2])
            for seq in range(first, first + count)}


def read_bet(raw, today):
    """The bet in a row of bytes (RFC 4180 quoting); None where the row is not one (section 6.1)."""
    try:
        row = re.fullmatch(",".join([FIELD] * 5), raw.decode("utf-8"), re.DOTALL)
        first, last, document, birthdate, number = (
            field[1:-1].replace('""', '"') if field[:1] == '"' else field for field in row.groups())
        born = datetime.date.fromisoformat(birthdate)
    except (ValueError, AttributeError):
        return None
    names_are_valid = all(1 <= len(name.encode()) <= 100 for name in (first, last)) and not (
        re.search(r"[\0-\x1f\x7f]", first + last))
    is_valid = (names_are_valid and re.fullmatch(r"[!-~]{1,32}", document)
                and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", birthdate)
                and datetime.date(1900, 1, 1) <= born <= today
                and re.fullmatch(r"[0-9]+", number) and int(number) <= 4294967295)
    return [first, last, document, birthdate, int(number)] if is_valid else None


def read_file(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        fail(66, f"cannot open '{path}': {error.strerror}")


class Source:
    """The text of a file, cut into batches by a plan (section 6.2)."""

    def __init__(self, text, bets_max, bytes_max, skips):
        lines = text.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        if lines[-1] == b"":
            lines.pop()
        self.batches, self.rejected = [], 0  # of each batch: [(raw row, bet)…]
        body_bytes, today = 0, datetime.date.today()
        for line, raw in enumerate((line.removesuffix(b"\r") for line in lines), 1):
            bet = read_bet(raw, today) if len(raw) <= CSV_LINE_BYTES_MAX else None
            if bet is None and not skips:
                fail(65, f"line {line} is not a bet")
            if bet is None:
                self.rejected += 1
                continue
            size, bets = len(pack(bet)), len(self.batches[-1]) + 1 if self.batches else 0
            head = 1 if bets < 16 else 3 if bets < 65536 else 5
            if not bets or bets > bets_max or head + body_bytes + size > bytes_max:
                self.batches.append([])
                body_bytes = 0
            self.batches[-1].append((raw, bet))
            body_bytes += size
        self.bodies = [pack([bet for _, bet in batch]) for batch in self.batches]

    def digests(self, draw, agency):
        return [sha256(b"\0", struct.pack(">4I", draw, agency, seq, len(self.batches[seq])), body)
                for seq, body in enumerate(self.bodies)]


def write_rows(path, rows):
    try:
        with open(path + ".part", "wb") as file:
            file.writelines(raw + b"\n" for raw in rows)
            file.flush()
            os.fsync(file.fileno())
        os.rename(path + ".part", path)
        folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except OSError as error:
        fail(73, f"cannot write '{path}': {error.strerror}")
