"""A node's snapshot file, as people would have to make one that no check of a disk finds.

The formats are those of `crates/store/src/snapshot.rs` and `crates/wire/src/snapshot.rs`.

Invariants. What is changed is one value; every hash and check around it is made anew, so that the
file is whole, and holds a state that no node ever had.

Must not know: what the value means.
"""

import hashlib
from pathlib import Path

MAGIC = b"writ snapshot\n"
CHECK = 8
HEADER = len(MAGIC) + 1 + 8 + 16
PIECE = 64 << 10
BUCKETS = 256


def newest(directory: Path) -> Path:
    """The newest snapshot below a node's directory."""
    return max(directory.rglob("*.snap"), key=lambda path: path.name)


def change(path: Path, old: bytes, new: bytes) -> int:
    """Puts `new` for `old`, as long, in all values that hold it; how many those were."""
    assert len(old) == len(new)
    header, state = unpack(path.read_bytes())
    state, changed = changed_state(state, old, new)
    path.write_bytes(pack(header, state))
    return changed


def check(header: bytes, number: int, data: bytes) -> bytes:
    return hashlib.sha256(header + number.to_bytes(8, "big") + data).digest()[:CHECK]


def unpack(file: bytes) -> tuple[bytes, bytes]:
    """The header without its check, and the state."""
    assert file.startswith(MAGIC)
    header, at, state = file[:HEADER], HEADER + CHECK, b""
    while length := int.from_bytes(file[at : at + 4], "big"):
        state += file[at + 4 : at + 4 + length]
        at += 4 + length + CHECK
    return header, state


def pack(header: bytes, state: bytes) -> bytes:
    file = header + check(header, 2**64 - 1, b"")
    pieces = [state[at : at + PIECE] for at in range(0, len(state), PIECE)]
    for number, piece in enumerate(pieces):
        file += len(piece).to_bytes(4, "big") + piece + check(header, number, piece)
    end = len(state).to_bytes(8, "big") + hashlib.sha256(state).digest()
    return file + bytes(4) + end + check(header, len(pieces), end)


class Reader:
    """Numbers and bytes of a state."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self) -> int:
        number = shift = 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    def option(self) -> bytes | None:
        return self.take(self.number()) if self.take(1) == b"\1" else None


def hashed(parts: list) -> int:
    """Bytes have their length before them, as numbers have none."""
    hasher = hashlib.sha256()
    for part in parts:
        if isinstance(part, bytes):
            hasher.update(len(part).to_bytes(8, "big") + part)
        else:
            hasher.update(part.to_bytes(8, "big"))
    return int.from_bytes(hasher.digest()[:16], "big")


def changed_state(state: bytes, old: bytes, new: bytes) -> tuple[bytes, int]:
    """The state with its digest made anew, and how many values were changed."""
    reader = Reader(state)
    reader.take(len(b"writ state") + 1)
    for _ in range(reader.number()):
        reader.number(), reader.number()
    reader.number()
    digest_at, sums, key, changed = reader.at, [0] * BUCKETS, b"", 0
    before = reader.take(16)
    sound = [0] * BUCKETS
    out = bytearray(state)
    while reader.take(1) == b"\1":
        shared = reader.number()
        key = key[:shared] + reader.take(reader.number())
        parts, altered = [key], [key]
        for _ in range(reader.number()):
            dot = [reader.number(), reader.number()]
            reader.option()
            value = reader.option()
            parts += dot + [2**64 - 1 if value is None else value]
            if value is not None and old in value:
                end = reader.at
                value = value.replace(old, new)
                out[end - len(value) : end] = value
                changed += 1
            altered += dot + [2**64 - 1 if value is None else value]
        bucket = hashed([key]) >> 120
        sums[bucket] = (sums[bucket] + hashed(altered)) % 2**128
        sound[bucket] = (sound[bucket] + hashed(parts)) % 2**128
    assert total(sound) == before, "the digest is made otherwise"
    out[digest_at : digest_at + 16] = total(sums)
    return bytes(out), changed


def total(sums: list[int]) -> bytes:
    return hashlib.sha256(b"".join(sum.to_bytes(16, "big") for sum in sums)).digest()[:16]
