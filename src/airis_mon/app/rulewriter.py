"""The way of what rules give into the store: as that of samples from outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from airis_mon.app.rulerun import Made
from airis_mon.errors import InputError, Refusal, StoreBusy
from airis_mon.series.admit import Limits, admit
from airis_mon.series.batch import MAX_REFUSALS, Batch, Ids, is_stale, join
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import Labels, series_name
from airis_mon.store.commit import GroupCommit

COMMIT_S = 30.0


class RuleWriter:
    """Stores what rules give as samples like all others: admitted, committed, judged.

    timeout_s: how long a commit is waited for.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        commit: GroupCommit,
        limits: Limits,
        clock: Callable[[], int],
        timeout_s: float = COMMIT_S,
    ) -> None:
        self._catalogue, self._commit, self._limits, self._clock = catalogue, commit, limits, clock
        self._timeout_s = timeout_s

    def write(self, made: Sequence[Made]) -> list[Batch]:
        """Returns when the samples are committed, all at once. Raises StoreError when the store does not take them."""
        batches = [self._admitted(one) for one in made]
        batch = join(batches)
        self._catalogue.touch(batch.sid)  # before the commit: else the series could be evicted under way
        if not len(batch):
            return batches
        stored = self._commit.add(batch)
        try:
            stored.result(self._timeout_s)
        except TimeoutError:
            stored.cancel()
            raise StoreBusy(f"the store has not taken the results of rules within {self._timeout_s:g} s") from None
        return batches

    def _admitted(self, made: Made) -> Batch:
        series = made.series
        sids, refused = self._sids(series.labels)
        step, row = np.nonzero(series.has.T)
        sid, t, value = sids[row], made.t[step], series.value[row, step]
        # Where another rule has a sample nothing has ended.
        keep = (sid >= 0) & ~(is_stale(value) & (self._catalogue.last_t[sid] == t))
        batch = Batch(sid[keep], t[keep], value[keep], refused[:MAX_REFUSALS], int((sid < 0).sum()))
        return admit(batch, self._catalogue, self._clock(), self._limits)

    def _sids(self, series: Sequence[Labels]) -> tuple[Ids, tuple[Refusal, ...]]:
        """(the sid of each, -1 = it is beyond a limit; why those are)."""
        sids, refused = [], []
        for labels in series:
            try:
                sids.append(self._catalogue.intern(labels))
            except InputError as error:  # the other series are stored all the same
                sids.append(-1)
                refused.append(Refusal(series_name(labels), "", str(error)))
        return np.array(sids, np.int32), tuple(refused)
