"""A client of the HTTP API, sync and async. It knows HTTP and the error tree, nothing else of this package."""

from airis_mon.client.asynchronous import AsyncAIOpsClient
from airis_mon.client.calls import PartlyRefused
from airis_mon.client.synchronous import AIOpsClient

__all__ = ["AIOpsClient", "AsyncAIOpsClient", "PartlyRefused"]
