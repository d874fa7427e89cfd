#!/usr/bin/python3
"""A stranger at a real broker's ports: every message that PROTOCOL.md shows is sent whole, cut at
each byte, with each byte changed and with a byte more, to every socket. Each request has exactly
one reply [M-21], in its envelope [M-5], and nothing ends the broker [M-68]. From a store that is
welcome only what can be read whole changes anything [M-9]."""
import os
import signal
import sys

import msgpack
import zmq

import wire
from cluster import ROOT, Cluster
from wire_vectors_test import blocks

REQUESTS = ("HELLO", "POLL", "WINNERS", "DIGESTS", "BYE")
MALFORMED, VERSION = wire.REASONS.index("MALFORMED"), wire.REASONS.index("VERSION")
REGISTER, INVENTORY, PONG, WELCOME, DISMISSED, WHO, PING = 40, 41, 49, 60, 61, 62, 63
VERSION_DISMISSED, INVENTORY_DISMISSED = 3, 4
STORE_KINDS_WITH_BODY = "INVENTORY", "STORED", "FOUND", "COUNTED", "MANIFEST_PART"
REPLY_MS = 10000


def shown(what):
    """The bytes of each block of the page of this sort, by name."""
    with open(os.path.join(ROOT, "proto", "PROTOCOL.md"), encoding="utf-8") as file:
        page = file.read()
    return {words[1]: b"".join(data for data, _ in lines)
            for words, lines in blocks(page) if words[0] == what}


def shown_messages():
    return shown("message")


def is_readable(frame, message):
    """Whether `frame` is of the form of `message`, with other values at most."""
    try:
        values, model = msgpack.unpackb(frame, raw=False), msgpack.unpackb(message, raw=False)
    except (ValueError, msgpack.UnpackException):
        return False
    return (isinstance(values, list) and wire.pack(values) == frame and values[:2] == model[:2]
            and [type(value) for value in values] == [type(value) for value in model])


def spoiled(message):
    """The message cut, changed and lengthened, one place at a time."""
    yield from (message[:at] for at in range(len(message)))
    yield from (message[:at] + bytes([(message[at] + step) % 256]) + message[at + 1:]
                for at in range(len(message)) for step in (1, 128))
    yield message + b"\0"


def connect(cluster, kind, offset):
    socket = zmq.Context.instance().socket(kind)
    socket.setsockopt(zmq.LINGER, 1000)
    socket.connect(f"tcp://127.0.0.1:{cluster.port + offset}")
    return socket


def ask(socket, number, frame):
    """One request in an envelope of two frames; the reply's values."""
    envelope = [b"stranger", number.to_bytes(4, "big"), b""]
    socket.send_multipart(envelope + [frame])
    assert socket.poll(REPLY_MS), f"no reply to {frame.hex(' ')}"
    reply = socket.recv_multipart()
    assert reply[:3] == envelope, f"another envelope: {reply}"
    return wire.unpack_all(reply[3])[0]


def each_request_has_one_reply(cluster, messages):
    socket, number = connect(cluster, zmq.DEALER, 0), 0
    for kind, message in messages.items():
        for frame in spoiled(message):
            number += 1
            values = ask(socket, number, frame)
            if len(frame) != len(message) or kind not in REQUESTS:
                assert values[0] == wire.REFUSED, f"{frame.hex(' ')} is answered {values}"
        version_at = 4 if message[0] == 0xdc else 2
        other = message[:version_at] + b"\2" + message[version_at + 1:]
        assert ask(socket, number + 1, other)[4] == VERSION, kind
        if kind not in REQUESTS:
            assert ask(socket, number + 2, message)[4] == MALFORMED, kind
        number += 2
    assert not socket.poll(0), "one request had two replies"
    socket.close()
    return number


def other_sockets_are_not_ended_by_it(cluster, messages):
    """Whole REGISTER and FENCED are left out: a newer epoch in them ends a broker, as it should."""
    bets, dispatch = connect(cluster, zmq.PUSH, 1), connect(cluster, zmq.DEALER, 3)
    for kind, message in messages.items():
        for frame in (message, *spoiled(message)):
            bets.send_multipart([frame, b"\x90"])
            if kind not in ("REGISTER", "FENCED") or len(frame) != len(message):
                dispatch.send_multipart([frame, b"\x90"])
    dispatch.send(messages["PONG"])
    answers = set()
    while dispatch.poll(REPLY_MS if not answers else 500):
        answers.add(wire.unpack_all(dispatch.recv_multipart()[0])[0][0])
    assert WHO in answers and answers <= {WHO, DISMISSED, PING}, answers
    bets.close()
    dispatch.close()


def register(cluster, opening, items=b"", count=0):
    """A socket that has sent REGISTER and an inventory in one chunk, and the answer to that."""
    socket = connect(cluster, zmq.DEALER, 3)
    socket.send(wire.pack([REGISTER, 1, 0, b"s" * 16, opening, b"o" * 16, 1 << 40, 0, bytes(16)]))
    socket.send_multipart([wire.pack([INVENTORY, 1, 0, 0, True, count]), items])
    answers = (answer for answer in iter(lambda: hear(socket), None) if answer[0] != PING)
    return socket, next(answers)


def hear(socket, wait_ms=REPLY_MS):
    """The values of the next message of the broker; None if there is none in time."""
    return wire.unpack_all(socket.recv_multipart()[0])[0] if socket.poll(wait_ms) else None


def half_readable_inventories_are_dismissed(cluster, inventory):
    """Cut at each byte, with a byte more, and with another number of items than the header says: a
    seal in it, were it believed, would end the broker, whose journal knows of none."""
    chunks = [(inventory[:at], 4) for at in range(len(inventory))]
    chunks += [(inventory + b"\0", 4), (inventory, 3), (inventory, 5)]
    for opening, (items, count) in enumerate(chunks, 1):
        socket, answer = register(cluster, opening, items, count)
        assert (answer[0], answer[-1]) == (DISMISSED, INVENTORY_DISMISSED), (items, answer)
        socket.close()
    return len(chunks) + 1


def a_welcome_store_is_believed_only_what_is_whole(cluster, messages, opening):
    """All of it is about the batches of agency 7 that the page shows: as long as no STORED is whole
    none of them is durable, and then POLL is answered FINISHED."""
    agency = connect(cluster, zmq.DEALER, 0)
    assert ask(agency, 1, messages["HELLO"])[0] == wire.ADMITTED
    socket, answer = register(cluster, opening)
    assert answer[0] == WELCOME, answer
    stored = shown("items")["stored"]
    for kind, message in messages.items():
        if not REGISTER < wire.unpack_all(message)[0][0] < WELCOME:
            continue
        body = [stored] if kind in STORE_KINDS_WITH_BODY else []
        for frame in spoiled(message):
            if not is_readable(frame, message) and frame[2:3] in (b"", b"\1"):
                socket.send_multipart([frame, *body])
        socket.send_multipart([message, *([] if body else [stored])])
        socket.send_multipart([message, stored, stored])
    for body in (*(stored[:at] for at in range(len(stored))), stored + b"\0", stored + stored):
        socket.send_multipart([messages["STORED"], body])
    wait_until_read(socket)
    reply = ask(agency, 2, messages["POLL"])
    assert reply[0] == wire.WAIT and reply[8] == [], reply
    socket.send_multipart([messages["STORED"], stored])
    wait_until_read(socket)
    reply = ask(agency, 3, messages["POLL"])
    assert reply[0] == wire.FINISHED and reply[8] == [0, 2], reply
    agency.close()
    socket.close()


def wait_until_read(socket):
    """All that was sent before: a message of another version is answered, and nothing else here."""
    socket.send(wire.pack([PONG, 2, 0]))
    answer = hear(socket)
    while answer and answer[0] != DISMISSED:
        answer = hear(socket)
    assert answer and answer[-1] == VERSION_DISMISSED, answer


def a_registered_store_is_not_believed_what_is_not_whole(messages):
    with Cluster(agencies=2) as cluster:
        broker = cluster.broker()
        broker.wait_line("action: listen")
        opening = half_readable_inventories_are_dismissed(cluster, shown("items")["inventory"])
        a_welcome_store_is_believed_only_what_is_whole(cluster, messages, opening)
        assert broker.runs(), broker.log()


def main():
    messages = shown_messages()
    with Cluster(agencies=2) as cluster:
        broker = cluster.broker()
        sent = each_request_has_one_reply(cluster, messages)
        other_sockets_are_not_ended_by_it(cluster, messages)
        values = ask(connect(cluster, zmq.DEALER, 0), 1, messages["HELLO"])
        assert values[0] in (wire.ADMITTED, wire.REFUSED) and broker.runs(), broker.log()
        broker.signal(signal.SIGTERM)
        code = broker.wait_exit()
        assert code == 0, f"the broker ended with {code}:\n{broker.log()}"
    a_registered_store_is_not_believed_what_is_not_whole(messages)
    print(f"ok {sent} requests, each answered once", file=sys.stderr)


if __name__ == "__main__":
    main()
