"""A small TCP proxy with faults, in a thread of its own: four ports on loopback in front of the
four of a broker. Commands take effect at once: cut() and heal(), half_open(), disturb() with small
pieces, delay and resets, and switch_to() another broker.
"""
import collections
import heapq
import itertools
import random
import selectors
import socket
import struct
import threading
import time

PORTS = "rendezvous", "bets", "winners", "dispatch"
WAYS = "to the broker", "from the broker"
RECEIVE_BYTES = 65536
QUEUE_BYTES_MAX = 4 << 20  # of one direction; beyond it is not read from
# In tiny pieces: after so many of one way the others have their turn, and so many sizes are thrown
# ahead, since a throw costs as much as a send (2 us).
PIECES_AT_ONCE, SIZES = 500, 65521
TCP_INFO_BYTES, SEGMENTS_AT = 160, 156  # of the kernel's struct tcp_info; its tcpi_data_segs_out


def segments_of(sink):
    """The segments with data that a connection has sent so far; 0 once it is closed."""
    try:
        told = sink.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    except OSError:
        return 0
    return struct.unpack_from("I", told, SEGMENTS_AT)[0]


class Way:
    """One direction of a connection."""

    def __init__(self, source, sink):
        self.source, self.sink = source, sink
        self.queue, self.queued = [], 0  # of (when, bytes)
        self.passed, self.pieces, self.largest = 0, 0, 0
        self.has_ended = False


class Pair:
    def __init__(self, client, server, offset):
        self.client, self.server, self.offset = client, server, offset
        self.ways = (Way(client, server), Way(server, client))
        self.is_half = False


class Proxy:
    def __init__(self, port, target, seed=1):
        """in: target: (address, first port) of the broker."""
        self.port, self.target = port, target
        self.delay_s = self.reset_s = 0
        self.sizes = None  # of the pieces to come; None: whatever was read goes out at once
        self.is_cut = False
        self.dice = random.Random(seed)
        self.pairs, self.commands, self.connections, self.resets = [], [], 0, 0
        self.passed = collections.defaultdict(collections.Counter)  # see count()
        self.selector = selectors.DefaultSelector()
        self.waker, self.woken = socket.socketpair()
        self.woken.setblocking(False)
        self.selector.register(self.woken, selectors.EVENT_READ, None)
        self.listeners = []
        for offset in range(len(PORTS)):
            listener = socket.create_server(("127.0.0.1", port + offset), backlog=1024)
            listener.setblocking(False)
            self.selector.register(listener, selectors.EVENT_READ, offset)
            self.listeners.append(listener)
        self.reset_at = None
        self.is_over = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self._order(self._end)
        self.thread.join()

    # -- commands, from the test's thread; each has happened when it returns --

    def cut(self):
        """Every connection is reset, and every new one, until heal()."""
        self._order(lambda: (setattr(self, "is_cut", True), self._reset_all()))

    def heal(self):
        self._order(self._heal)

    def half_open(self, *ports):
        """The broker's end of every connection (of these ports) goes away; the other end is not
        told, and whatever it sends is swallowed. New connections are as ever."""
        self._order(lambda: self._half_open(ports or PORTS))

    def switch_to(self, target):
        """New connections go to another broker; the old ones stay."""
        self._order(lambda: setattr(self, "target", target))

    def reset_all(self):
        self._order(self._reset_all)

    def count(self):
        """Ends all connections. For each (port, way) what has passed in all: bytes, the sends of
        pieces, the largest of them, and the TCP segments that became of them."""
        self._order(self._reset_all)
        return self.passed

    def disturb(self, piece_bytes_max=0, delay_s=0, reset_s=0):
        """From now on: in pieces of 1 to so many bytes, so much later, all reset every so often."""
        def change():
            self.sizes, self.delay_s, self.reset_s = None, delay_s, reset_s
            if piece_bytes_max:
                sizes = self.dice.choices(range(1, piece_bytes_max + 1), k=SIZES)
                self.sizes = itertools.cycle(sizes)
            self.reset_at = time.monotonic() + reset_s if reset_s else None
        self._order(change)

    def _order(self, command):
        done = threading.Event()
        self.commands.append((command, done))
        self.waker.send(b"x")
        assert done.wait(60), "the proxy does not answer"

    # -- its own thread --

    def _run(self):
        while not self.is_over:
            now = time.monotonic()
            if self.reset_at is not None and now >= self.reset_at:
                self._reset_all()
                self.resets += 1
                self.reset_at = now + self.reset_s
            due = self._flush_all(now)
            if self.reset_at is not None:
                due = min(due, self.reset_at)
            timeout = None if due == float("inf") else max(0, due - time.monotonic())
            for key, events in self.selector.select(timeout):
                self._handle(key, events)

    def _handle(self, key, events):
        if key.fileobj is self.woken:
            self.woken.recv(4096)
            while self.commands:
                command, done = self.commands.pop(0)
                command()
                done.set()
        elif isinstance(key.data, int):
            self._accept(key.fileobj, key.data)
        elif events & selectors.EVENT_READ and key.data in self.pairs:
            self._read(key.data, key.fileobj)

    def _accept(self, listener, offset):
        try:
            client, _ = listener.accept()
        except OSError:
            return
        if self.is_cut:
            self._reset(client)
            return
        try:
            address, port = self.target
            server = socket.create_connection((address, port + offset), timeout=5)
        except OSError:
            self._reset(client)
            return
        self.connections += 1
        pair = Pair(client, server, offset)
        for end in (client, server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(end, selectors.EVENT_READ, pair)
        self.pairs.append(pair)

    def _read(self, pair, end):
        if end.fileno() < 0:
            return  # half_open() has closed it since select() told of it
        way = pair.ways[end is pair.server]
        try:
            received = end.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._drop(pair)
            return
        if pair.is_half:
            if not received:
                self._drop(pair)
            return
        if not received:
            way.has_ended = True
            self._listen(pair)
            return
        way.queue.append((time.monotonic() + self.delay_s, memoryview(received)))
        way.queued += len(received)
        self._listen(pair)

    def _listen(self, pair):
        """Reads from an end while its way has room; writes to it while the other way has some."""
        now = time.monotonic()
        for way, back in (pair.ways, pair.ways[::-1]):
            events = 0
            if not way.has_ended and way.queued < QUEUE_BYTES_MAX:
                events |= selectors.EVENT_READ
            if back.queue and back.queue[0][0] <= now:
                events |= selectors.EVENT_WRITE
            self._register(way.source, events, pair)

    def _register(self, end, events, pair):
        try:
            key = self.selector.get_key(end)
        except (KeyError, ValueError):
            if events and end.fileno() >= 0:
                self.selector.register(end, events, pair)
            return
        if not events:
            self.selector.unregister(end)
        elif key.events != events:
            self.selector.modify(end, events, pair)

    def _flush_all(self, now):
        """Sends what is due. When the next is due: infinite if nothing waits for time."""
        due = []
        for pair in list(self.pairs):
            if pair.is_half:
                continue
            for way in pair.ways:
                if not self._flush(way, now):
                    self._drop(pair)
                    break
                if way.queue and way.queue[0][0] > now:
                    heapq.heappush(due, way.queue[0][0])
            else:
                if all(way.has_ended and not way.queue for way in pair.ways):
                    self._drop(pair)
                else:
                    self._listen(pair)
        return due[0] if due else float("inf")

    def _flush(self, way, now):
        """False: the connection is gone."""
        while way.queue and way.queue[0][0] <= now:
            when, left = way.queue[0]
            try:
                sent = self._send_pieces(way, left) if self.sizes else way.sink.send(left)
            except BlockingIOError:
                return True
            except OSError:
                return False
            way.passed += sent
            way.queued -= sent
            if sent == len(left):
                way.queue.pop(0)
            else:
                way.queue[0] = (when, left[sent:])
            if self.sizes:
                break  # what is left goes on when select() finds the sink writable, at once
        if way.has_ended and not way.queue:
            try:
                way.sink.shutdown(socket.SHUT_WR)
            except OSError:
                return False
        return True

    def _send_pieces(self, way, left):
        """Each piece is a send of its own on a socket that does not wait for more (TCP_NODELAY).
        It becomes a segment of its own unless others wait before it, for an acknowledgement or
        the receiver's window: then TCP joins them. A program gets with one read what has come
        since its last one, so it sees cuts at any byte, but not each cut that was made."""
        at, bytes_max, send = 0, len(left), way.sink.send
        try:
            for size in itertools.islice(self.sizes, PIECES_AT_ONCE):
                sent = send(left[at:at + size])
                at += sent
                way.pieces += 1
                if sent > way.largest:
                    way.largest = sent
                if at == bytes_max:
                    break
        except BlockingIOError:
            if at == 0:
                raise
        return at

    def _reset(self, end):
        try:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        end.close()

    def _drop(self, pair):
        if pair not in self.pairs:
            return
        self.pairs.remove(pair)
        for name, way in zip(WAYS, pair.ways):
            passed = self.passed[PORTS[pair.offset], name]
            passed.update(bytes=way.passed, pieces=way.pieces, segments=segments_of(way.sink))
            passed["largest"] = max(passed["largest"], way.largest)
        for end in (pair.client, pair.server):
            try:
                self.selector.unregister(end)
            except (KeyError, ValueError):
                pass
            self._reset(end)

    def _reset_all(self):
        for pair in list(self.pairs):
            self._drop(pair)

    def _heal(self):
        self.is_cut = False
        self.sizes, self.delay_s, self.reset_s = None, 0, 0
        self.reset_at = None

    def _half_open(self, ports):
        for pair in self.pairs:
            if not pair.is_half and PORTS[pair.offset] in ports:
                pair.is_half = True
                self._register(pair.server, 0, pair)
                self._reset(pair.server)
                self._register(pair.client, selectors.EVENT_READ, pair)

    def _end(self):
        self._reset_all()
        for listener in self.listeners:
            self.selector.unregister(listener)
            listener.close()
        self.selector.unregister(self.woken)
        self.woken.close()
        self.waker.close()
        self.is_over = True
