from dataclasses import replace

import numpy as np
import pytest

from airis_mon.yardstick.cases import Case, Signal
from airis_mon.yardstick.rankers import chance, correlation, monitorrank, nsigma, oracle, pagerank, robust
from airis_mon.yardstick.ranking import Ranker
from tests.yardstick.incidents import NAMES, incident

ALL = {m.__name__.rsplit(".", 1)[-1]: m.rank for m in (chance, nsigma, robust, pagerank, monitorrank, correlation)}
every = pytest.mark.parametrize("rank", ALL.values(), ids=ALL.keys())


def by_name(case: Case, rank: Ranker) -> dict[str, float]:
    return dict(zip(case.candidates, rank(case).tolist(), strict=True))


def first(case: Case, rank: Ranker) -> str:
    told = by_name(case, rank)
    return max(told, key=told.__getitem__)


@every
def test_neither_the_order_of_candidates_nor_that_of_signals_matters(rank: Ranker) -> None:
    case = incident()
    turned = replace(
        case,
        candidates=case.candidates[::-1],
        signals=case.signals[::-1],
        values=case.values[:, ::-1],
        target=len(case.signals) - 1 - case.target,
        edges=case.edges[::-1],
    )
    assert by_name(case, rank) == pytest.approx(by_name(turned, rank))


@every
def test_the_unit_of_a_metric_decides_nothing(rank: Ranker) -> None:
    case = incident()
    unit = np.array([1000.0 if s.kind == "latency" else 1e-9 for s in case.signals])
    assert by_name(case, rank) == pytest.approx(by_name(replace(case, values=case.values * unit), rank))


@every
def test_neither_gaps_nor_constants_nor_silence_make_a_score_that_is_no_number(rank: Ranker) -> None:
    case = incident()
    values = case.values.copy()
    values[:, 1], values[:, 3], values[:, 5], values[: case.split, 7] = np.nan, 0.0, 5.0, np.nan
    values[::3, 0] = np.nan
    scores = rank(replace(case, values=values, candidates=(*NAMES, "unseen")))
    assert scores.shape == (5,)
    assert not np.isnan(scores).any()


@every
def test_nothing_that_only_the_judge_knows_changes_a_score(rank: Ranker) -> None:
    case = incident("stock")
    lied = replace(
        case,
        truth="mail",
        moved_ms={"mail": 1},
        kind="memory_leak",
        id="two",
        source="nezha",
        group="x",
        moment="onset",
    )
    assert by_name(lied, rank) == by_name(case, rank)


@every
def test_a_case_is_not_changed_by_who_ranks_it(rank: Ranker) -> None:
    case = incident()
    before = case.values.copy()
    rank(case)
    np.testing.assert_array_equal(case.values, before)


@pytest.mark.parametrize("rank", [nsigma.rank, robust.rank, correlation.rank, monitorrank.rank])
def test_the_one_that_jumped_is_first(rank: Ranker) -> None:
    assert first(incident("stock"), rank) == "stock"
    assert first(incident("mail", felt=("gateway",)), rank) == "mail"


def test_chance_prefers_nobody() -> None:
    assert len(set(chance.rank(incident()).tolist())) == 1


@pytest.mark.parametrize("rank", [nsigma.rank, robust.rank])
def test_a_fall_counts_as_a_rise_does(rank: Ranker) -> None:
    case = incident(size=-40.0)
    assert first(case, rank) == "stock"


def test_n_sigma_is_the_largest_distance_in_deviations_of_the_history() -> None:
    case = incident()
    column = [s.name for s in case.signals].index("latency stock")
    x = case.values[:, column]
    wanted = np.abs(x[case.split :] - x[: case.split].mean()).max() / x[: case.split].std()
    assert by_name(case, nsigma.rank)["stock"] == pytest.approx(wanted)


def test_robust_measures_in_interquartile_ranges_from_the_median() -> None:
    case = incident()
    x = case.values[:, [s.name for s in case.signals].index("latency stock")]
    low, middle, high = np.percentile(x[: case.split], (25, 50, 75))
    assert by_name(case, robust.rank)["stock"] == pytest.approx(np.abs(x[case.split :] - middle).max() / (high - low))


def test_a_few_outliers_in_the_history_blind_n_sigma_and_not_the_robust_scorer() -> None:
    case = incident("stock", felt=())
    values = case.values.copy()
    values[10:15, 4] += 2000  # stock's latency, long ago
    values[case.split + 10 :, 6] += 12  # a smaller jump of mail's
    spoilt = replace(case, values=values)
    assert first(spoilt, nsigma.rank) == "mail"
    assert first(spoilt, robust.rank) == "stock"


@pytest.mark.parametrize("rank", [nsigma.rank, robust.rank])
def test_what_never_varied_counts_by_its_level_and_what_was_always_zero_not_at_all(rank: Ranker) -> None:
    case = incident()
    values = case.values.copy()
    values[:, 1::2] = 0.0
    values[case.split :, 1] = 1e6  # the gateway's cpu: from always zero
    assert first(replace(case, values=values), rank) == "stock"
    values[:, 7], values[case.split :, 7] = 50.0, 100.0  # mail's: from always 50
    assert by_name(replace(case, values=values), rank)["mail"] == pytest.approx(100, rel=0.01)


def test_pagerank_follows_calls_to_the_anomalous_callee() -> None:
    case = incident("stock", size=8.0)
    assert first(case, pagerank.rank) == "stock"
    turned = replace(case, edges=tuple((b, a) for a, b in case.edges))
    assert by_name(turned, pagerank.rank)["stock"] < by_name(case, pagerank.rank)["stock"]


def test_pagerank_shares_out_one_walker() -> None:
    assert pagerank.rank(incident()).sum() == pytest.approx(1)
    quiet = replace(incident(), values=np.full((220, 8), 7.0))
    np.testing.assert_allclose(pagerank.rank(quiet), 0.25)


def test_pagerank_knows_no_edge_to_whom_it_cannot_name() -> None:
    case = incident()
    more = replace(case, edges=(*case.edges, ("gateway", "10.0.0.1"), ("load", "gateway")))
    assert by_name(more, pagerank.rank) == by_name(case, pagerank.rank)


@pytest.mark.parametrize("rank", [correlation.rank, monitorrank.rank])
def test_the_entity_that_alarmed_is_no_suspect_of_its_own_correlation(rank: Ranker) -> None:
    case = incident("gateway", felt=())
    told = by_name(case, rank)
    assert told["gateway"] == min(told.values())


def test_correlation_compares_only_what_is_of_the_kind_that_alarmed() -> None:
    case = incident("stock")
    values = case.values.copy()
    values[:, 7] = values[:, 0]  # mail's cpu moves exactly as the gateway's latency
    assert first(replace(case, values=values), correlation.rank) == "stock"
    alike = tuple(Signal(s.entity, s.name, "latency") for s in case.signals)
    assert first(replace(case, values=values, signals=alike), correlation.rank) == "mail"


def test_correlation_suspects_only_the_anomalous() -> None:
    told = by_name(incident("stock", felt=("gateway",)), correlation.rank)
    assert told["mail"] == told["cart"] == -np.inf
    assert np.isfinite(told["stock"])


def test_the_oracle_names_who_was_reached_first_and_never_who_was_not_reached() -> None:
    told = by_name(incident("stock"), oracle.rank)
    assert told == {"stock": -1000, "cart": -2000, "gateway": -2001, "mail": -np.inf}
    assert set(oracle.rank(replace(incident(), moved_ms=None)).tolist()) == {-np.inf}
