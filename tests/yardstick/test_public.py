from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airis_mon.yardstick.public import floor, nezha, petshop, public_cases

NODES = ("site", "search_AWS::Lambda", "search")
QUIET = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("data")
    _write_petshop(data / "petshop")
    _write_nezha(data / "nezha")
    return data


def _write_petshop(root: Path) -> None:
    """Two scenarios, the second without fault-free days; `search` slows by much in both issues."""
    root.mkdir()
    rng, rows = np.random.default_rng(0), []
    parts = [("low_traffic", "noissue", "noissue", QUIET, 1_000_000), ("low_traffic", "test", "issue_0", 5, 500_000)]
    parts.append(("temporal_traffic1", "train", "issue_0", 5, 700_000))
    for scenario, split, issue, n, begin in parts:
        for i, node in enumerate(NODES):
            for k in range(n):
                slow = 50.0 if issue != "noissue" and node == "search" else 0.0
                told = (scenario, split, issue, begin + 300 * k, node)
                rows.append((*told, "latency", "Average", 10.0 * (i + 1) + rng.normal() + slow))
                rows.append((*told, "availability", "Average", 100.0))
    names = ("scenario", "split", "issue", "timestamp", "microservice", "metric", "statistic", "value")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    table = pa.table({n: pa.array(v) for n, v in columns.items()})
    for name in ("scenario", "microservice"):
        i = table.column_names.index(name)
        table = table.set_column(i, name, table.column(name).dictionary_encode())
    pq.write_table(table, root / "metrics.parquet")
    graph = [f"{s},site,search,1.0\n{s},search,unseen,1.0" for s in ("low_traffic", "temporal_traffic1")]
    (root / "call_graph.csv").write_text("\n".join(["scenario,source,target,weight", *graph, ""]))
    issue = "issue_0,site,latency,Average,0,search,,how"
    lines = [f"low_traffic,test,{issue}", f"temporal_traffic1,train,{issue}"]
    head = "scenario,split,issue,target_node,target_metric,target_statistic,timestamp,"
    head += "root_cause_node,root_cause_metric,how"
    (root / "issues.csv").write_text("\n".join([head, *lines, ""]))


def _write_nezha(root: Path) -> None:
    """Two pods for an hour; the cart's CPU rises in the four minutes after the only fault."""
    root.mkdir()
    rng, start = np.random.default_rng(0), datetime(2022, 8, 22, 4, 0, 19, tzinfo=UTC)
    times = [start + timedelta(minutes=m, seconds=m % 2) for m in range(90)]
    pods = [
        {
            "PodName": f"{name}-5f6585d649-abcde",
            "CpuUsage(m)": 5.0 + rng.normal() + (60.0 if name == "cartservice" and 10 < m <= 14 else 0.0),
            "PodServerLatencyP95(s)": 0.1 + rng.random(),
            "PodSuccessRate(%)": None if m == 3 else 100,
            "time": t,
        }
        for m, t in enumerate(times)
        for name in ("frontend", "cartservice")
    ]
    front = [{"ServiceName": "Frontend", "LatencyP95(s)": 1 + rng.random(), "time": t} for t in times]
    edge = [{"frontend_cartservice": rng.random(), "time": t} for t in times]
    for name, rows in (("pods", pods), ("front_service", front), ("source_50", edge), ("destination_50", edge)):
        pq.write_table(pa.Table.from_pylist(rows), root / f"2022-08-22_{name}.parquet")
    (root / "2022-08-22_dependency.csv").write_text("Source,Target,Weight\nfrontend,cartservice,1\n")
    head = "inject_utc,inject_time,inject_timestamp_as_published,inject_pod,inject_type,service"
    at = int(start.timestamp()) + 10 * 60 + 30
    fault = f"{at},2022-08-22 04:10:49,{at},cartservice-5f6585d649-abcde,cpu_contention,cartservice"
    (root / "2022-08-22_faults.csv").write_text(f"{head}\n{fault}\n")


def test_an_issue_of_petshop_holds_its_rows_after_the_fault_free_days(folder: Path) -> None:
    case, _ = petshop(folder / "petshop")
    assert (case.split, len(case.window)) == (QUIET, 5)
    assert (np.diff(case.t) == 300_000).all()
    assert case.t[-1] == (500_000 + 4 * 300) * 1000
    assert (case.truth, case.alarmed, case.kind) == ("search", "site", "low_traffic latency")
    assert set(case.candidates) == {*NODES, "unseen"}
    assert case.edges == (("site", "search"), ("search", "unseen"))
    column = [(s.entity, s.name) for s in case.signals].index(("search", "latency Average"))
    assert np.median(case.window[:, column]) == pytest.approx(80, abs=3)


def test_a_scenario_without_fault_free_days_takes_those_of_low_traffic(folder: Path) -> None:
    first, second = petshop(folder / "petshop")
    assert second.kind == "temporal_traffic latency"
    np.testing.assert_array_equal(first.history, second.history)


def test_a_fault_of_nezha_shows_in_the_four_minutes_after_it(folder: Path) -> None:
    (case,) = nezha(folder / "nezha")
    column = [(s.entity, s.name) for s in case.signals].index(("cartservice", "pods CpuUsage(m)"))
    assert case.window[:, column] == pytest.approx(65, abs=5)
    assert len(case.window) == 4
    assert np.nanmax(case.history[:, column]) < 20
    assert (case.truth, case.alarmed, case.candidates) == ("cartservice", "frontend", ("cartservice", "frontend"))
    assert (np.diff(case.t) == 60_000).all()


def test_the_history_of_nezha_is_what_came_long_after_the_last_fault(folder: Path) -> None:
    (case,) = nezha(folder / "nezha")
    assert case.split == 90 - 21


def test_latencies_of_an_edge_are_its_callees(folder: Path) -> None:
    (case,) = nezha(folder / "nezha")
    edges = [s for s in case.signals if s.name.startswith(("source_50", "destination_50"))]
    assert [(s.entity, s.kind) for s in edges] == [("cartservice", "latency")] * 2


@pytest.mark.parametrize("which", ["petshop", "nezha"])
def test_the_floor_ranks_by_the_mean_distance_and_knows_nothing_of_the_unseen(folder: Path, which: str) -> None:
    case = next(c for c in public_cases(folder) if c.source == which)
    score = dict(zip(case.candidates, floor(case).tolist(), strict=True))
    assert max(score, key=score.__getitem__) == case.truth
    assert score.get("unseen", -np.inf) == -np.inf


def test_sets_that_are_not_there_are_left_out(folder: Path, tmp_path: Path) -> None:
    assert public_cases(None) == public_cases(tmp_path) == []
    assert {c.source for c in public_cases(folder)} == {"petshop", "nezha"}
    (tmp_path / "nezha").symlink_to(folder / "nezha")
    assert {c.source for c in public_cases(tmp_path)} == {"nezha"}
