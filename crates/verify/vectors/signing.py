"""Keys and signatures of the vectors: see make.py."""

import base64
import datetime
import hashlib
import hmac
import json

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

SECRET = "correct horse battery staple"


def raw(text):
    return text if isinstance(text, bytes) else text.encode()


def mac(message, key=SECRET, name="sha256"):
    return hmac.new(raw(key), raw(message), name).digest()


def hexmac(message, key=SECRET, name="sha256"):
    return mac(message, key, name).hex()


def b64mac(message, key=SECRET, name="sha256"):
    return base64.b64encode(mac(message, key, name)).decode()


def sha(message, name="sha256"):
    return hashlib.new(name, raw(message)).hexdigest()


# --- keys, derived from nothing but a word ---------------------------------------------------


def prime(word):
    """The first 1024-bit prime, congruent 3 mod 4, after a digest of `word`."""
    digest = b"".join(hashlib.sha512(f"{word}{n}".encode()).digest() for n in range(2))
    candidate = int.from_bytes(digest, "big") | 3 | 3 << 1022
    while not all(probably(candidate, base) for base in (2, 3, 5, 7, 11, 13)) or (
        (candidate - 1) % 65537 == 0
    ):
        candidate += 4
    return candidate


def probably(n, base):
    # n = 3 mod 4, so one squaring step is the whole Miller-Rabin test.
    return pow(base, (n - 1) // 2, n) in (1, n - 1)


P, Q = prime("p"), prime("q")
N, E, D = P * Q, 65537, pow(65537, -1, (P - 1) * (Q - 1))
EC_KEY = ec.derive_private_key(int.from_bytes(hashlib.sha256(b"ec").digest(), "big"), ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"ed").digest())


def spki(key):
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def pem(der):
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{text}-----END PUBLIC KEY-----\n"


RSA_PEM = pem(spki(rsa.RSAPublicNumbers(E, N).public_key()))
EC_PEM = pem(spki(EC_KEY.public_key()))
ED_RAW = ED_KEY.public_key().public_bytes_raw()

PREFIXES = {
    "sha1": "3021300906052b0e03021a05000414",
    "sha256": "3031300d060960864801650304020105000420",
    "sha512": "3051300d060960864801650304020305000440",
}


def rsa_sign(message, name="sha256"):
    """RSASSA-PKCS1-v1_5 (RFC 8017, 8.2) by hand."""
    info = bytes.fromhex(PREFIXES[name]) + hashlib.new(name, raw(message)).digest()
    padded = b"\x00\x01" + b"\xff" * (256 - 3 - len(info)) + b"\x00" + info
    return pow(int.from_bytes(padded, "big"), D, N).to_bytes(256, "big")


def rsa_b64(message, name="sha256"):
    return base64.b64encode(rsa_sign(message, name)).decode()


def ec_der(message, algorithm=None):
    scheme = ec.ECDSA(algorithm or hashes.SHA256(), deterministic_signing=True)
    return EC_KEY.sign(raw(message), scheme)


def b64url(data):
    return base64.urlsafe_b64encode(raw(data)).rstrip(b"=").decode()


def jwt(claims, algorithm="HS256", key=SECRET):
    head = b64url(json.dumps({"alg": algorithm, "typ": "JWT"}))
    signed = f"{head}.{b64url(json.dumps(claims))}"
    if algorithm.startswith("HS"):
        signature = mac(signed, key, f"sha{algorithm[2:]}")
    elif algorithm == "RS256":
        signature = rsa_sign(signed)
    else:
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        r, s = decode_dss_signature(ec_der(signed))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return f"{signed}.{b64url(signature)}"


def certificate(name):
    """A certificate for the RSA key. Who signed it is not looked at, and Ed25519 signs the same every time."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, rsa.RSAPublicNumbers(E, N).public_key(), 1)
    builder = builder.not_valid_before(datetime.datetime(2020, 1, 1)).not_valid_after(datetime.datetime(2120, 1, 1))
    return builder.sign(ED_KEY, None).public_bytes(serialization.Encoding.PEM).decode()
