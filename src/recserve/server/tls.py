"""TLS of the ports: a certificate chain, its key, and whose certificates clients must have.

    tls_certificate, tls_key, tls_client_ca ──▶ Tls ──context──▶ HTTP ports (listener.py)
                                                 └─── fetch ───▶ gRPC (grpc_door.py)

TLS 1.2 at least. Files that are replaced are taken up within seconds, for connections that are made from then
on; while they do not fit together, as in the middle of a rotation, the old ones stay. An exception is
`tls_client_ca` on the HTTP ports: who is trusted is only added to; taking trust away needs a restart.
"""

from __future__ import annotations

import logging
import ssl
import time
from calendar import timegm
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recserve.config.rpc import Rpc

logger = logging.getLogger("recserve.tls")

_DAY = 24 * 3600.0
#: A certificate that ends so soon is worth a warning.
_SOON = 14 * _DAY


@dataclass(frozen=True, slots=True)
class Pems:
    """What the files held."""

    certificate: bytes
    key: bytes
    client_ca: bytes  # empty: clients need no certificate


class Tls:
    """The credentials of a process, and how they are renewed."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        self._files = {"tls_certificate": certificate, "tls_key": key}
        if client_ca is not None:
            self._files["tls_client_ca"] = client_ca
        self.pems = self._read()
        self.context = self._checked(self.pems)
        self._seen = self._marks()
        self._warn_of_end()

    def renew(self) -> bool:
        """Take replaced files up, if there are any and they fit together. Called every few seconds."""
        marks = self._marks()
        if marks == self._seen:
            return False
        self._seen = marks
        try:
            pems = self._read()
            self._checked(pems)
            self._load_into(self.context)  # connections that are made from now on see the new one
        except ConfigError as error:
            logger.error("the TLS files that replace the old ones do not fit; the old ones stay: %s", error)
            return False
        self.pems = pems
        logger.info("TLS files were replaced and are used from now on")
        self._warn_of_end()
        return True

    def _read(self) -> Pems:
        found = {}
        for setting, path in self._files.items():
            try:
                found[setting] = path.read_bytes()
            except OSError as error:
                raise ConfigError(
                    f"metadata.rpc.{setting}: {path} cannot be read: {error.strerror}"
                ) from error
        return Pems(found["tls_certificate"], found["tls_key"], found.get("tls_client_ca", b""))

    def _checked(self, pems: Pems) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        self._load_into(context)
        if pems.client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _load_into(self, context: ssl.SSLContext) -> None:
        certificate, key = self._files["tls_certificate"], self._files["tls_key"]
        try:
            context.load_cert_chain(certificate, key, password=_refuse_password)
        except ssl.SSLError as error:
            raise ConfigError(
                f"metadata.rpc.tls_certificate, tls_key: {_why(error, certificate, key)}"
            ) from error
        except OSError as error:
            raise ConfigError(f"metadata.rpc.tls_key: {key} cannot be read: {error.strerror}") from error
        if "tls_client_ca" in self._files:
            try:
                context.load_verify_locations(self._files["tls_client_ca"])
            except (ssl.SSLError, OSError) as error:
                raise ConfigError(
                    f"metadata.rpc.tls_client_ca: {self._files['tls_client_ca']} holds no PEM certificate"
                ) from error

    def _marks(self) -> tuple[tuple[int, ...], ...]:
        """What changes with a file, also where a link is turned to another one."""
        return tuple(self._mark(path) for path in self._files.values())

    def _mark(self, path: Path) -> tuple[int, ...]:
        try:
            stat = path.stat()
        except OSError:
            return ()
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def _warn_of_end(self) -> None:
        certificate = self._files["tls_certificate"]
        for number, (begins, ends) in enumerate(validities(self.pems.certificate), 1):
            left = ends - time.time()
            which = f"certificate {number} of {certificate}"
            if left <= 0:
                logger.warning(f"{which} has expired {-left / _DAY:.1f} days ago; clients will refuse it")
            elif left <= _SOON:
                logger.warning(f"{which} expires in {left / _DAY:.1f} days")
            if begins > time.time():
                logger.warning(f"{which} is not valid yet; clients will refuse it")


def tls(rpc: Rpc, base_dir: Path) -> Tls | None:
    """The TLS of a service; None for plain HTTP. Raises ConfigError."""
    if not rpc.tls_certificate:
        return None
    return Tls(
        base_dir / rpc.tls_certificate,
        base_dir / (rpc.tls_key or rpc.tls_certificate),
        base_dir / rpc.tls_client_ca if rpc.tls_client_ca else None,
    )


def validities(pem: bytes) -> Iterator[tuple[float, float]]:
    """When each certificate of a PEM file begins and ends, in seconds since 1970; others are left out."""
    for part in pem.decode("ascii", "replace").split("-----BEGIN CERTIFICATE-----")[1:]:
        body, end, _ = part.partition("-----END CERTIFICATE-----")
        try:
            der = ssl.PEM_cert_to_DER_cert(f"-----BEGIN CERTIFICATE-----{body}{end}\n")
            yield _validity(der)
        except (ValueError, IndexError):
            continue


def _validity(der: bytes) -> tuple[float, float]:
    """What stands in a certificate.

    SEQUENCE { SEQUENCE { [0] version, serial, signature, issuer, SEQUENCE { notBefore, notAfter }, … }, … }
    Source: RFC 5280, section 4.1.
    """
    fields = _members(_members(_members(der)[0][1])[0][1])
    if fields[0][0] == 0xA0:
        fields = fields[1:]
    begins, ends = _members(fields[3][1])[:2]
    return _moment(*begins), _moment(*ends)


def _members(der: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each element of a DER sequence's content."""
    found, at = [], 0
    while at < len(der):
        tag, size = der[at], der[at + 1]
        at += 2
        if size & 0x80:
            digits = size & 0x7F
            size = int.from_bytes(der[at : at + digits], "big")
            at += digits
        found.append((tag, der[at : at + size]))
        at += size
    return found


def _moment(tag: int, text: bytes) -> float:
    form = "%y%m%d%H%M%SZ" if tag == 0x17 else "%Y%m%d%H%M%SZ"
    return timegm(time.strptime(text.decode("ascii"), form))


def _refuse_password() -> NoReturn:
    raise ConfigError(
        "metadata.rpc.tls_key: the key is encrypted; keep it unencrypted, readable by the server alone"
    )


def _why(error: ssl.SSLError, certificate: Path, key: Path) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"the key {key} does not fit the certificate {certificate}; make or copy both together"
    return f"{certificate} and {key} are no PEM certificate and key ({error.reason or error})"
