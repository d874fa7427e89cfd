#!/usr/bin/python3
"""Checks every byte that proto/PROTOCOL.md shows with Python's msgpack and hashlib, which know
nothing of the C code: the text beside the bytes says what they are, names stand in the order of the
field tables, and digests, roots, commitment and number follow from the bodies as the page says.

A fenced block begins with ```hex and what it shows; each of its lines is up to 16 bytes, two blanks
or more, and what these bytes are, separated by "; ". A line without text goes on with the last one.
Run from the root of the tree; exits 1 after the first difference.
"""
import re
import struct
import sys

import wire
from wire import derive_number, pack, sha256, tree_head

PAGE = "proto/PROTOCOL.md"
DRAW, AGENCY, RANGE = 1, 7, [0, 9999]


def expect(condition, text):
    if not condition:
        sys.exit(f"{PAGE}: {text}")


def blocks(page):
    """(words behind ```hex, [(bytes, [text, …])…]) of each block."""
    for info, lines in re.findall(r"^```hex (.*?)\n(.*?)^```$", page, re.S | re.M):
        found = []
        for line in lines.splitlines():
            shown, _, text = line.partition("  ")
            expect(len(shown) <= 47, f"'{info}' has a line of more than 16 bytes")
            found.append((bytes.fromhex(shown), text.strip().split("; ") if text.strip() else []))
        yield info.split(), found


def unpack_all(data):
    """Every msgpack object in `data`, which has to be the shortest form of them."""
    values = wire.unpack_all(data)
    packed = b"".join(pack(value) for value in values)
    expect(packed == data, f"{data.hex(' ')} is not the shortest form")
    return values


def head_of(count):
    return pack([None] * count)[:1 if count < 16 else 3]


def flatten(values):
    """(what the text beside it says, its bytes) of each value, arrays before their elements."""
    for value in values:
        if isinstance(value, list):
            yield f"array of {len(value)}", head_of(len(value))
            yield from flatten(value)
        elif isinstance(value, bytes):
            yield f"{len(value)} bytes", pack(value)
        elif isinstance(value, bool):
            yield str(value).lower(), pack(value)
        else:
            yield f'"{value}"' if isinstance(value, str) else str(value), pack(value)


def check_text(name, lines, expected):
    """Compares the text of a block with (text, bytes) pairs, and where in the bytes each stands."""
    told, at, begun = [], 0, 0
    for data, texts in lines:
        for text in texts:
            told.append(text)
            expect(len(told) <= len(expected), f"'{name}' says more than its bytes: '{text}'")
            expect(at <= begun < at + len(data), f"'{name}': '{text}' does not stand in its line")
            begun += len(expected[len(told) - 1][1])
        at += len(data)
    expect(told == [text for text, _ in expected], f"'{name}': {told} is not {expected}")


def fields_of(page, kind):
    text = re.search(rf"^### {kind} \(\d+\)\n(.*?)(?=^#{{1,3}} |\Z)", page, re.S | re.M).group(1)
    as_other = re.search(r"^Fields: as (\w+)\.", text, re.M)
    if as_other:
        return fields_of(page, as_other.group(1))
    names = re.findall(r"^\| ([a-z_.]+) \| (?:u32|u64|bool|enum|id|digest|seed|ranges|agencies) \|",
                       text, re.M)
    return names


def check_message(page, kind, lines):
    values = unpack_all(b"".join(data for data, _ in lines))
    expect(len(values) == 1 and isinstance(values[0], list), f"{kind} is not one array")
    names = ["kind", "version", "draw"]
    number = int(re.search(rf"^### {kind} \((\d+)\)$", page, re.M).group(1))
    expect(values[0][:2] == [number, 1], f"{kind} is not of its kind and version")
    names += ["epoch.number", "epoch.id"] if number >= 60 else []
    names += fields_of(page, kind)
    expect(len(names) == len(values[0]), f"{kind} has not as many elements as its table")
    expected = [(f"array of {len(names)}", head_of(len(names)))]
    for name, value in zip(names, values[0]):
        text = str(value) if isinstance(value, list) else next(flatten([value]))[0]
        expected.append((f"{name}: {text}", pack(value)))
    check_text(kind, lines, expected)


def check_values(value, bodies):
    """Recomputes digests, roots, commitment and number from the bodies and the seed."""
    digests, counts = [], []
    for seq, body in enumerate(bodies):
        counts.append(len(unpack_all(body)[0]))
        leaf = struct.pack(">4I", DRAW, AGENCY, seq, counts[-1])
        digests.append(sha256(b"\0", leaf, body))
        expect(digests[-1] == value[f"digest-{seq}"], f"digest-{seq} is another one")
    expect(tree_head(digests) == value["root-7"], "root-7 is another one")
    expect(tree_head([]) == value["root-9"], "root-9 is another one")
    leaf_7 = sha256(b"\0", struct.pack(">2I2Q", 7, 2, 3, 0), value["root-7"])
    leaf_9 = sha256(b"\0", struct.pack(">2I2Q", 9, 0, 0, 0), value["root-9"])
    expect((leaf_7, leaf_9) == (value["leaf-7"], value["leaf-9"]), "a leaf is another one")
    root = tree_head([leaf_7, leaf_9])
    expect(root == value["manifest-root"], "manifest-root is another one")
    expect(sha256(value["seed"]) == value["commitment"], "the commitment is another one")
    number = derive_number(value["seed"], root, *RANGE)
    expect(struct.pack(">I", number) == value["number"], "the number is another one")
    head, entry_7, entry_9 = unpack_all(value["manifest"])
    terms = [1, DRAW, *RANGE, False, 0, value["seed"]]
    expect(head == terms + [root, number, 2], "the manifest's head is another one")
    expect(entry_7[5:] == [2, sum(counts), 0, value["root-7"], b"".join(digests), counts],
           "agency 7's entry is another one")
    expect(entry_9[5:] == [0, 0, 0, value["root-9"], b"", []], "agency 9's entry is another one")


def main():
    with open(PAGE, encoding="utf-8") as file:
        page = file.read()
    kinds, bodies, value = set(), [], {}
    for words, lines in blocks(page):
        data = b"".join(data for data, _ in lines)
        if words[0] == "message":
            check_message(page, words[1], lines)
            kinds.add(words[1])
        elif words[0] == "value":
            value[words[1]] = data
        else:
            check_text(" ".join(words), lines, list(flatten(unpack_all(data))))
            if words[0] == "body":
                bodies.append(data)
            if words[1:] == ["manifest"]:
                value["manifest"] = data
    without = set(re.findall(r"^### ([A-Z_]+) \(\d+\)$", page, re.M)) - kinds
    expect(without == {"FINISHED", "MANIFEST_PART"}, f"no bytes are shown for {sorted(without)}")
    check_values(value, bodies)
    print(f"{len(kinds)} messages, {len(bodies)} bodies, {len(value)} values: as the page says")


if __name__ == "__main__":
    main()
