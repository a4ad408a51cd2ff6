import asyncio
import threading

import pytest

from airis_mon.app import bus as bus_module
from airis_mon.app.bus import EventBus


def bus() -> EventBus:
    return EventBus(lambda: 1_000)


async def test_a_subscriber_hears_only_the_names_it_asked_for() -> None:
    events = bus()
    with events.subscribe({"anomaly_detected"}) as heard:
        events.publish("model_trained", {})
        events.publish("anomaly_detected", {"n": 1})
        event = await anext(heard)
    assert (event.name, event.payload, event.t, event.seq) == ("anomaly_detected", {"n": 1}, 1_000, 2)


async def test_a_listener_that_comes_back_gets_what_it_missed() -> None:
    events = bus()
    for n in range(3):
        events.publish("anomaly_detected", {"n": n})
    with events.subscribe(last_seq=1) as heard:
        assert [(await anext(heard)).payload["n"] for _ in range(2)] == [1, 2]


async def test_a_slow_listener_loses_the_oldest_and_is_told_how_many() -> None:
    events = bus()
    with events.subscribe() as heard:
        for n in range(bus_module.BUFFERED + 5):
            events.publish("anomaly_detected", {"n": n})
        assert (await anext(heard)).payload["n"] == 5
        assert heard.dropped == 5


async def test_events_published_by_another_thread_arrive() -> None:
    events = bus()
    with events.subscribe() as heard:
        await asyncio.to_thread(events.publish, "anomaly_detected", {"n": 7})
        assert (await anext(heard)).payload == {"n": 7}


async def test_an_event_published_while_a_listener_comes_back_is_heard_once() -> None:
    events = bus()
    events.publish("anomaly_detected", {"n": 0})
    threads: list[threading.Thread] = []

    class Names(set[str]):
        """Lets another thread publish in the middle of the replay."""

        def __contains__(self, name: object) -> bool:
            if not threads:
                threads.append(threading.Thread(target=events.publish, args=("anomaly_detected", {"n": 1})))
                threads[0].start()
                threads[0].join(0.05)  # it waits for the replay to end, or it would be lost
            return True

    with events.subscribe(Names(), last_seq=0) as heard:
        await asyncio.to_thread(threads[0].join)
        async with asyncio.timeout(5):
            assert [(await anext(heard)).payload["n"] for _ in range(2)] == [0, 1]


def test_publishing_outlives_a_listener_whose_loop_has_ended() -> None:
    events = bus()
    loop = asyncio.new_event_loop()
    events._subscriptions.add(bus_module.Subscription(None, loop))
    loop.close()
    assert events.publish("anomaly_detected", {}).seq == 1


async def test_nothing_is_heard_after_the_block() -> None:
    events = bus()
    with events.subscribe() as heard:
        pass
    events.publish("anomaly_detected", {})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await anext(heard)
