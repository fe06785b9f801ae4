"""An OpenID Connect issuer on this machine: its keys, its tokens, and the host that shows the keys.

Invariants. Keys and certificates are made anew by each issuer. The host listens on 127.0.0.1.

Must not know: what Writ does with a token.
"""

import base64
import datetime
import hashlib
import http.server
import ipaddress
import json
import ssl
import threading
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.x509.oid import NameOID

SHA256 = hashes.SHA256()
PKCS1 = padding.PKCS1v15()
PSS = padding.PSS(padding.MGF1(SHA256), 32)


def encode(data: bytes) -> str:
    """Base64 as tokens have it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    """A number as keys have it."""
    return encode(value.to_bytes((value.bit_length() + 7) // 8))


class Keys:
    """A key of each kind."""

    def __init__(self):
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.p256 = ec.generate_private_key(ec.SECP256R1())
        self.ed25519 = ed25519.Ed25519PrivateKey.generate()

    def set(self) -> dict:
        """The public keys."""
        numbers = self.rsa.public_key().public_numbers()
        point = self.p256.public_key().public_numbers()
        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        x, y = (encode(value.to_bytes(32)) for value in (point.x, point.y))
        edwards = encode(self.ed25519.public_key().public_bytes(*raw))
        keys = [
            {"kty": "RSA", "kid": "rsa", "use": "sig", "n": number(numbers.n), "e": number(numbers.e)},
            {"kty": "EC", "kid": "p256", "crv": "P-256", "x": x, "y": y},
            {"kty": "OKP", "kid": "ed25519", "crv": "Ed25519", "x": edwards},
        ]
        return {"keys": keys}

    def sign(self, algorithm: str, message: bytes) -> bytes:
        """A signature."""
        match algorithm:
            case "RS256":
                return self.rsa.sign(message, PKCS1, SHA256)
            case "PS256":
                return self.rsa.sign(message, PSS, SHA256)
            case "ES256":
                signature = self.p256.sign(message, ec.ECDSA(SHA256))
                return b"".join(part.to_bytes(32) for part in utils.decode_dss_signature(signature))
            case "EdDSA":
                return self.ed25519.sign(message)
            case _:
                return b""


KEY_IDS = {"RS256": "rsa", "PS256": "rsa", "ES256": "p256", "EdDSA": "ed25519"}


class Issuer:
    """An issuer: its URL and keys."""

    def __init__(self, url: str):
        self.url = url
        self.keys = Keys()

    def token(self, algorithm="RS256", header=None, **claims) -> str:
        """A token; claims that are None are left out."""
        now = int(time.time())
        claims = {
            "iss": self.url, "sub": "repo:bob", "aud": "web", "iat": now, "exp": now + 600, **claims,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        header = header or {"alg": algorithm, "kid": KEY_IDS.get(algorithm, "rsa"), "typ": "JWT"}
        signed = ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{encode(self.keys.sign(algorithm, signed.encode()))}"


class Host:
    """Shows an issuer's keys over HTTPS, vouched for by a certificate authority of its own."""

    def __init__(self, directory: Path):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.port = server.server_address[1]
        self.issuer = Issuer(f"https://localhost:{self.port}/a")
        self.ca_file = directory / "ca.pem"
        chain, key = self._certificates(directory)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        self.server = server
        self.asked = []
        # What a path is answered with; others are not found.
        self.pages = {
            "/a/.well-known/openid-configuration": {
                "issuer": self.issuer.url, "jwks_uri": f"https://localhost:{self.port}/keys",
            },
            "/keys": self.issuer.keys.set(),
        }  # fmt: skip
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def _handler(self):
        host = self

        class Handler(http.server.BaseHTTPRequestHandler):
            """Answers with the host's pages; one that is text is where it has moved."""

            def do_GET(self):
                host.asked.append(self.path)
                page = host.pages.get(self.path)
                status = 404 if page is None else 302 if isinstance(page, str) else 200
                body = json.dumps(page).encode()
                self.send_response(status)
                if status == 302:
                    self.send_header("location", page)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler

    def _certificates(self, directory: Path) -> tuple[Path, Path]:
        ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        now = datetime.datetime.now(datetime.UTC)
        ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]

        def certificate(subject, public_key, extension):
            builder = (
                x509.CertificateBuilder()
                .subject_name(subject)
                .issuer_name(ca_name)
                .public_key(public_key)
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(days=1))
                .not_valid_after(now + datetime.timedelta(days=1))
                .add_extension(extension, critical=True)
            )
            return builder.sign(ca_key, SHA256)

        ca = certificate(ca_name, ca_key.public_key(), x509.BasicConstraints(True, None))
        leaf = certificate(x509.Name([]), key.public_key(), x509.SubjectAlternativeName(names))
        pem = serialization.Encoding.PEM
        self.ca_file.write_bytes(ca.public_bytes(pem))
        chain, key_file = directory / "chain.pem", directory / "key.pem"
        chain.write_bytes(leaf.public_bytes(pem) + ca.public_bytes(pem))
        plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        key_file.write_bytes(key.private_bytes(pem, *plain))
        self.thumbprint = hashlib.sha1(ca.public_bytes(serialization.Encoding.DER)).hexdigest()
        return chain, key_file

    def stop(self):
        """Ends it."""
        self.server.shutdown()
        self.server.server_close()
