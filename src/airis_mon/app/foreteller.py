"""Forecasts that somebody asks for: made one after another in a process of their own, awaited on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from airis_mon.app.fleetwork import foretell
from airis_mon.app.foretelling import Asked, panel_of
from airis_mon.app.workers import Worker
from airis_mon.errors import StoreBusy
from airis_mon.forecast.base import Forecast, Panel

WAITING = 30
"""So many forecasts are made or wait for their turn; each may take seconds."""


class Foreteller:
    """Forecasts values for those who ask, also where no watched signal is forecast; nothing of it is stored.

    worker: not that of the rounds, so that nobody waits for one; zone: of the place whose holidays are known.
    """

    def __init__(self, worker: Worker, zone: str = "UTC", waiting: int = WAITING) -> None:
        self._worker, self._zone, self._waiting = worker, zone, waiting
        self._asked = 0

    async def foretell(
        self, asked: Asked, level: float, models: Sequence[str] = (), holidays: Sequence[str] = ()
    ) -> tuple[Panel, Forecast]:
        """What was forecast from, and what is expected; when this is cancelled, the work is killed.

        Raises InputError for what cannot be forecast, ConfigError for an unknown model or country, StoreBusy when too
        many wait.
        """
        if self._asked >= self._waiting:
            raise StoreBusy(f"{self._asked} forecasts are made or wait already; ask for fewer at once", 5.0)
        self._asked += 1
        try:
            panel = await asyncio.to_thread(panel_of, asked)
            args = (panel, asked.horizon, level, tuple(models), tuple(holidays), self._zone)
            return panel, await self._worker.run(foretell, *args)
        finally:
            self._asked -= 1
