"""`metadata.rpc`: the limits of the server, and how it is reached."""

from __future__ import annotations

from dataclasses import dataclass

from recserve.config.settings import EAS, setting
from recserve.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Rpc:
    """`metadata.rpc`: the limits of the server."""

    keepalive_ms: int = setting(
        5000,
        "Time budget of a request: receive, wait and compute. Over it: 408, and the connection is closed.",
        unit="ms",
        key="keepalive",
        least=1,
        source=EAS,
    )
    worker_threads: int = setting(
        5,
        "Requests in work at once; computing threads are the smaller of this and the cores.",
        least=1,
        source=EAS,
    )
    io_threads: int = setting(
        4,
        "Accepted, no effect: one event loop serves all connections, workers decode the requests.",
        least=1,
        source=EAS,
    )
    max_queue_size: int = setting(
        64, "Requests that may wait for a worker; one more gets 450 at once.", least=0, source=EAS
    )
    rate_limit: float = setting(
        0.0,
        "Requests per second that are let in, over it 429; 0 = no limit.",
        unit="1/s",
        least=0,
        source=EAS,
    )
    decompressor: str = setting(
        "",
        "How request bodies are compressed; empty = recognised by their first bytes.",
        choices=("", "none", "zlib", "gzip", "snappy", "zstd", "lz4"),
        source=EAS,
    )
    max_body_bytes: int = setting(
        64 * 2**20, "Largest request body, as sent and as unpacked; over it 413.", unit="bytes", least=1
    )
    max_items: int = setting(
        100_000, "Rows that one request may ask for: their features have to fit into memory.", least=1
    )
    max_header_bytes: int = setting(
        64 * 2**10, "Largest request head; over it the connection is closed.", unit="bytes", least=1024
    )
    idle_timeout_ms: int = setting(
        75_000,
        "An idle connection is kept this long; clients' pools keep theirs for 60 seconds or more.",
        unit="ms",
        least=1000,
    )
    admin_port: int = setting(
        0,
        "A port of its own for `POST /items` and `GET /items/status`; 0 = none, -1 = a free one.",
        least=-1,
        most=65535,
    )
    batching: bool = setting(
        False,
        "Score requests that wait together in one call of the model; scores stay what they are.",
        source=EAS,
    )
    max_batch_size: int = setting(16, "Requests that are scored in one call at most.", least=1, source=EAS)
    max_batch_rows: int = setting(
        256, "Rows that are scored in one call at most; a request with more has a call of its own.", least=1
    )
    max_batch_difference: float = setting(
        0.0,
        "How far a score may be from what it is alone. 0: only requests whose scores keep every bit share a "
        "call; models that end in a sigmoid need 1e-6.",
        least=0,
    )
    max_batch_timeout_ms: int = setting(
        0,
        "How long a request may wait for others; 0: only those that wait anyway are put together.",
        unit="ms",
        key="max_batch_timeout",
        least=0,
        source=EAS,
    )
    tls_certificate: str = setting("", "A PEM file with the server's certificate chain; empty = plain HTTP.")
    tls_key: str = setting("", "A PEM file with the certificate's private key.")
    tls_client_ca: str = setting("", "A PEM file; only clients with a certificate signed by it are let in.")
    grpc_port: int = setting(0, "A port for gRPC; 0 = none, -1 = a free one.", least=-1, most=65535)
    trace_sample: float = setting(
        0.0,
        "Share of requests whose spans go to OpenTelemetry, 0 to 1; where to is said by OTEL_… variables.",
        least=0,
        most=1,
    )
    advertised_address: str = setting(
        "",
        "What discovery tells clients, as host:port; empty = the address at which they reached us.",
    )
    enable_jemalloc: bool = setting(
        False,
        "Accepted, no effect: jemalloc is slow at large requests; allocator names it where it is wanted.",
        source=EAS,
    )
    allocator: str = setting(
        "auto",
        "Who manages memory: auto is tcmalloc where it is installed, else glibc; or one by its name.",
        choices=("auto", "glibc", "tcmalloc", "jemalloc"),
    )
    enable_sigterm: bool = setting(
        True, "Accepted, no effect: SIGTERM always drains, see drain_ms.", source=EAS
    )
    proxy_path: str = setting("", "Accepted, no effect: it is of the hosted product's network.", source=EAS)
    drain_ms: int = setting(
        5000,
        "After SIGTERM, answers say Connection: close for this long before the port is closed.",
        unit="ms",
        least=0,
    )

    def __post_init__(self) -> None:
        if self.advertised_address and self.advertised is None:
            raise ConfigError(
                f"rpc.advertised_address is '{self.advertised_address}'; write host:port, or [::1]:port"
            )

    @property
    def advertised(self) -> tuple[str, int] | None:
        """Host and port of `advertised_address`; None if there is none."""
        host, _, port = self.advertised_address.rpartition(":")
        whole = host and ("[" in host or ":" not in host) and port.isascii() and port.isdecimal()
        return (host, int(port)) if whole and 0 < int(port) < 2**16 else None

    @property
    def allocators(self) -> tuple[str, ...]:
        """Whom to take for memory: the first that is installed.

        Ours: jemalloc only by its name. Beside glibc's, measured on a busy machine, it takes 1.7x the CPU at
        1,000 candidates; tcmalloc 0.86x at 200, 1.05x at 1,000, 1.10x at 20. See benchmarks/allocators.py.
        """
        return ("tcmalloc", "glibc") if self.allocator == "auto" else (self.allocator,)
