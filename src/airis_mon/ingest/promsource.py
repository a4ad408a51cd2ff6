"""What the history of a Prometheus and its follower are given alike, and how it becomes an API and a reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx2

from airis_mon.ingest.promapi import PromApi
from airis_mon.ingest.promgate import Gate
from airis_mon.ingest.promreader import Reader
from airis_mon.ingest.schedule import Clock
from airis_mon.ingest.scrape import Access
from airis_mon.series.catalogue import Catalogue


@dataclass(kw_only=True, eq=False, repr=False)  # no repr: it would show passwords
class PromSource:
    """One server: where it is, what is taken of it, how much it is asked at once, and as whom.

    gate: shared by all that ask the same server; then `concurrency` and `requests_per_s` are the gate's.
    """

    catalogue: Catalogue = field(kw_only=False)
    url: str
    match: Sequence[str] = ()
    labels: Mapping[str, str] | None = None
    max_series: int = 10_000
    slice_samples: int = 1_500_000
    request_samples: int = 400_000
    concurrency: int = 2
    requests_per_s: float = 5.0
    timeout_s: float = 30.0
    max_bytes: int = 32 << 20
    compress: bool = False
    username: str = ""
    password: str = ""
    password_file: str = ""
    bearer_token: str = ""
    bearer_token_file: str = ""
    ca_file: str = ""
    verify_tls: bool = True
    headers: Mapping[str, str] | None = None
    clock: Clock | None = None
    transport: httpx2.AsyncBaseTransport | None = None
    gate: Gate | None = None

    def _opened(self, patience_s: float, step_s: float = 0.0) -> Reader:
        access = Access(
            bearer_token=self.bearer_token,
            bearer_token_file=self.bearer_token_file,
            username=self.username,
            password=self.password,
            password_file=self.password_file,
            ca_file=self.ca_file,
            verify_tls=self.verify_tls,
        )
        api = PromApi(
            self.url,
            access,
            headers=self.headers,
            gate=self.gate or Gate(self.concurrency, self.requests_per_s, self.clock),
            timeout_s=self.timeout_s,
            patience_s=patience_s,
            max_bytes=self.max_bytes,
            compress=self.compress,
            transport=self.transport,
            clock=self.clock,
        )
        return Reader(
            self.catalogue,
            api,
            match=self.match,
            labels=self.labels,
            max_series=self.max_series,
            step_s=step_s,
            slice_samples=self.slice_samples,
            request_samples=self.request_samples,
        )
