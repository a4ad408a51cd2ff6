from __future__ import annotations

import asyncio

import numpy as np

from benchmarks.payload import Request
from benchmarks.sender import Sender


class Receiver:
    """Answers each request with the next of its statuses, then closes the connection."""

    def __init__(self, *statuses):
        self.statuses = list(statuses)
        self.bodies = []

    async def serve(self, reader, writer):
        while self.statuses:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            self.bodies.append(await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0])))
            status = self.statuses.pop(0)
            writer.write(f"HTTP/1.1 {status} x\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()


async def sent_to(receiver, bodies):
    stream = [Request(b, 10, np.empty(0, np.int32), np.empty(0, np.int32)) for b in bodies]
    async with await asyncio.start_server(receiver.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        return await Sender(f"http://127.0.0.1:{port}/write", [stream]).run()


async def test_a_refused_request_is_sent_again_before_the_next():
    receiver = Receiver(204, 503, 429, 204, 204)
    sent = await sent_to(receiver, [b"a", b"b", b"c"])
    assert receiver.bodies == [b"a", b"b", b"b", b"b", b"c"]
    assert (sent.samples, sent.acknowledged, sent.statuses) == (30, [3], {204: 3, 503: 1, 429: 1})


async def test_what_was_under_way_when_the_connection_broke_is_not_acknowledged():
    sent = await sent_to(Receiver(204), [b"a", b"b"])
    assert (sent.samples, sent.acknowledged) == (10, [1])
