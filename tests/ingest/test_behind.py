"""What can wait asks a server behind those who cannot."""

from __future__ import annotations

import asyncio

from airis_mon.ingest.behind import Behind
from airis_mon.ingest.promgate import Gate


class Server:
    """Requests that are under way until they are answered, in the order in which they got a place."""

    def __init__(self) -> None:
        self.under_way: list[str] = []
        self.answers: dict[str, asyncio.Event] = {}

    async def ask(self, name: str, gate: Gate) -> None:
        async with gate.place():
            self.under_way.append(name)
            await self.answers.setdefault(name, asyncio.Event()).wait()
            self.under_way.remove(name)

    async def answer(self, name: str) -> None:
        self.answers[name].set()
        await rest()


async def rest() -> None:
    """Until all that can go on has."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_place_is_left_to_those_who_ask_at_the_gate_itself() -> None:
    server, gate = Server(), Gate(2, 1000)
    behind = Behind(gate, 1)
    async with asyncio.TaskGroup() as tasks:
        for name in ("past 1", "past 2", "past 3"):
            tasks.create_task(server.ask(name, behind))
        await rest()
        tasks.create_task(server.ask("live", gate))
        await rest()
        assert server.under_way == ["past 1", "live"]
        for name in ("live", "past 1", "past 2", "past 3"):
            await server.answer(name)


async def test_together_they_are_no_more_than_the_gate_allows() -> None:
    server, gate = Server(), Gate(2, 1000)
    behind = Behind(gate, 1)
    async with asyncio.TaskGroup() as tasks:
        for name in ("live 1", "live 2"):
            tasks.create_task(server.ask(name, gate))
        await rest()
        tasks.create_task(server.ask("past", behind))
        await rest()
        assert server.under_way == ["live 1", "live 2"]
        await server.answer("live 1")
        assert server.under_way == ["live 2", "past"]
        await server.answer("live 2")
        await server.answer("past")


async def test_at_a_single_place_one_request_is_waited_for_and_not_all_that_queue() -> None:
    server, gate = Server(), Gate(1, 1000)
    behind = Behind(gate, 1)
    async with asyncio.TaskGroup() as tasks:
        for name in ("past 1", "past 2"):
            tasks.create_task(server.ask(name, behind))
        await rest()
        tasks.create_task(server.ask("live", gate))
        await rest()
        await server.answer("past 1")
        assert server.under_way == ["live"]
        await server.answer("live")
        await server.answer("past 2")


async def test_who_gives_up_in_the_queue_leaves_no_place_taken() -> None:
    server, gate = Server(), Gate(1, 1000)
    behind = Behind(gate, 1)
    live = asyncio.create_task(server.ask("live", gate))
    await rest()
    past = asyncio.create_task(server.ask("past", behind))
    await rest()
    past.cancel()
    await rest()
    await server.answer("live")
    again = asyncio.create_task(server.ask("again", behind))
    await rest()
    assert server.under_way == ["again"]
    await server.answer("again")
    await asyncio.gather(live, again)


async def test_pace_and_silence_are_those_of_the_gate() -> None:
    clock = Clock()
    gate = Gate(2, 2.0, clock)
    behind = Behind(gate, 1)
    await gate.turn()
    await behind.turn()
    assert clock.slept == [0.5]
    behind.hush(60)
    await gate.turn()
    assert clock.slept == [0.5, 60.0]


class Clock:
    """Goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000
        self.slept: list[float] = []

    def now(self) -> int:
        return self.ms

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.ms += round(seconds * 1000)
