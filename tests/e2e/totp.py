"""The codes of an MFA device, as RFC 6238 has them: whoever holds the seed computes them."""

import base64
import hashlib
import hmac
import struct
import time

STEP_SECONDS = 30


def code(seed: bytes, step: int) -> str:
    """The code of a step, from a seed in base 32."""
    seed += b"=" * (-len(seed) % 8)
    digest = hmac.new(base64.b32decode(seed), struct.pack(">Q", step), hashlib.sha1).digest()
    (number,) = struct.unpack_from(">I", digest, digest[-1] & 15)
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06}"


class Device:
    """A device that shows codes, each step's once."""

    def __init__(self, made: dict):
        self.serial = made["SerialNumber"]
        self.seed = made["Base32StringSeed"]
        # Early enough that the codes of several steps are taken without waiting.
        self.next = int(time.time()) // STEP_SECONDS - 8

    def code(self) -> str:
        """The code of the next step."""
        self.next += 1
        return code(self.seed, self.next - 1)

    def two_codes(self) -> dict:
        """Codes of two steps in a row."""
        return {"AuthenticationCode1": self.code(), "AuthenticationCode2": self.code()}
