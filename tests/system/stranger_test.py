#!/usr/bin/python3
"""A stranger at a real broker's ports: every message that PROTOCOL.md shows is sent whole, cut at
each byte, with each byte changed and with a byte more, to every socket. Each request has exactly
one reply [M-21], in its envelope [M-5], and nothing ends the broker [M-68]."""
import os
import signal
import sys

import zmq

import wire
from cluster import ROOT, Cluster
from wire_vectors_test import blocks

REQUESTS = ("HELLO", "POLL", "WINNERS", "DIGESTS", "BYE")
MALFORMED, VERSION = wire.REASONS.index("MALFORMED"), wire.REASONS.index("VERSION")
WHO, DISMISSED = 62, 61
REPLY_MS = 10000


def shown_messages():
    with open(os.path.join(ROOT, "proto", "PROTOCOL.md"), encoding="utf-8") as file:
        page = file.read()
    return {words[1]: b"".join(data for data, _ in lines)
            for words, lines in blocks(page) if words[0] == "message"}


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
    assert WHO in answers and answers <= {WHO, DISMISSED, 63}, answers
    bets.close()
    dispatch.close()


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
    print(f"ok {sent} requests, each answered once", file=sys.stderr)


if __name__ == "__main__":
    main()
