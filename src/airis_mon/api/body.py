"""Bodies: read under a limit and a time-out, and decompressed under a limit."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

import cramjam
import numpy as np
from litestar import Request

from airis_mon.api.errors import HttpError
from airis_mon.errors import InputError, TooLarge

ENCODINGS = ("gzip", "deflate", "zstd")
"""What bodies may be compressed with; remote write alone uses snappy, and its decoder undoes it."""
INLINE_BYTES = 4 * 1024
"""Larger bodies are decompressed in a thread: so many bytes may already become a thousand times as many."""
MEMBERS = 16
"""So many gzip members of one body are read; each further one would copy the rest of the body once more."""
_GZIP_OR_ZLIB = 47  # zlib's window bits for "either header"


async def read_body(request: Request[Any, Any, Any], max_bytes: int, timeout_s: float) -> bytes:
    """The body as it was sent.

    Raises TooLarge as soon as it exceeds `max_bytes`, announced or not, and HttpError 408 when it is not complete
    after `timeout_s`.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise _too_large(int(announced), max_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            return await _receive(request, max_bytes)
    except TimeoutError:
        raise HttpError(408, f"the body was not complete after {timeout_s:g} s", {"Connection": "close"}) from None


async def decoded(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """The body without its Content-Encoding.

    Raises HttpError 415 for an unknown encoding, InputError for broken data and TooLarge beyond `max_bytes`.
    """
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return body
    if encoding not in ENCODINGS:
        raise HttpError(
            415,
            f"Content-Encoding {encoding[:40]!r} is not understood here; use {', '.join(ENCODINGS)} or none",
            {"Accept-Encoding": ", ".join(ENCODINGS)},
        )
    if len(body) <= INLINE_BYTES:
        return _decompress(body, encoding, max_bytes)
    return await asyncio.to_thread(_decompress, body, encoding, max_bytes)


async def _receive(request: Request[Any, Any, Any], max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise HttpError(400, "the client left before its body was complete")
        if message["type"] != "http.request":
            continue
        if chunk := message.get("body", b""):
            size += len(chunk)
            if size > max_bytes:
                raise _too_large(size, max_bytes)
            chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(size: int, max_bytes: int) -> TooLarge:
    return TooLarge(f"a body of {size} bytes or more exceeds the limit of {max_bytes}; send smaller batches")


def _decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    try:
        return _zstd(body, max_bytes) if encoding == "zstd" else _zlib(body, max_bytes)
    except (zlib.error, EOFError, cramjam.DecompressionError) as error:
        raise InputError(f"the body is no valid {encoding}: {error}") from None


def _zlib(body: bytes, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    left = max_bytes
    for _ in range(MEMBERS):
        # "deflate" means zlib's format by its definition and the bare stream by habit: the first byte tells.
        stream = zlib.decompressobj(_GZIP_OR_ZLIB if body[:1] in {b"\x1f", b"\x78"} else -zlib.MAX_WBITS)
        parts.append(stream.decompress(body, left + 1))
        left -= len(parts[-1])
        if left < 0:
            raise _bomb(max_bytes)
        if not stream.eof:
            raise EOFError("it ends too early")
        body = stream.unused_data
        if not body:
            return b"".join(parts)
    raise EOFError(f"it has more than {MEMBERS} members")


def _zstd(body: bytes, max_bytes: int) -> bytes:
    # The buffer is given, so a small frame that promises gigabytes can fill no more than it; it is left as the system
    # gives it, because clearing 64 MB takes 40 ms.
    out = np.empty(max_bytes, np.uint8)
    try:
        size = cramjam.zstd.decompress_into(body, out.data)
    except cramjam.DecompressionError as error:
        if "whole buffer" in str(error):
            raise _bomb(max_bytes) from None
        raise
    return out[:size].tobytes()


def _bomb(max_bytes: int) -> TooLarge:
    return TooLarge(f"the body exceeds the limit of {max_bytes} bytes when decompressed; send smaller batches")
