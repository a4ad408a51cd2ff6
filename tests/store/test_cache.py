from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.store.cache import ENTRY_BYTES, LocalCache


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def room_for(entries: int, key: str = "a", value: bytes = b"12345678") -> int:
    return entries * (len(key) + len(value) + ENTRY_BYTES)


async def test_what_was_kept_is_found_until_its_time_is_over():
    clock = Clock()
    cache = LocalCache(1 << 20, clock)
    await cache.put("a", b"one", 10)
    assert await cache.get("a") == (b"one", 10)
    clock.now += 9.75
    assert await cache.get("a") == (b"one", 0.25)
    clock.now += 0.25
    assert await cache.get("a") is None
    assert (len(cache), cache.size_bytes) == (0, 0)


def test_the_least_recently_used_goes_first():
    cache = LocalCache(room_for(3), Clock())
    for key in "abc":
        cache.keep(key, b"12345678", 10)
    assert cache.find("a")
    cache.keep("d", b"12345678", 10)
    assert [key for key in "abcd" if cache.find(key)] == ["a", "c", "d"]


def test_a_later_value_takes_the_place_of_the_earlier_one():
    cache = LocalCache(room_for(2), Clock())
    for value in (b"12345678", b"87654321"):
        cache.keep("a", value, 10)
    assert cache.find("a") == b"87654321"
    assert cache.size_bytes == room_for(1)


@pytest.mark.parametrize("room", [0, room_for(1) - 1])
def test_what_is_larger_than_all_the_room_is_not_kept_and_drives_nothing_out(room):
    cache = LocalCache(room, Clock())
    cache.keep("a", b"12345678", 10)
    assert cache.find("a") is None
    cache = LocalCache(room_for(2), Clock())
    cache.keep("a", b"12345678", 10)
    cache.keep("b", b"x" * 10_000, 10)
    assert cache.find("a")


@given(st.randoms(use_true_random=True))  # seeded by hypothesis; to choose each number apart would take seconds
def test_it_never_holds_more_than_it_may_and_never_gives_another_value(rng: random.Random):
    clock = Clock()
    cache = LocalCache(2000, clock)
    last: dict[str, bytes] = {}
    for _ in range(100):
        key = rng.choice("abcdefgh")
        if rng.random() < 0.5:
            last[key] = rng.randbytes(rng.randrange(600))
            cache.keep(key, last[key], rng.randrange(1, 20))
        else:
            assert cache.find(key) in {None, last.get(key)}
        clock.now += rng.random()
        assert cache.size_bytes <= cache.max_bytes
