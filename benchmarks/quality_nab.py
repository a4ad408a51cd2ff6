"""NAB v1.1 with the official scoring: the shipped detector beside a rolling z-score and chance.

corpus = the one threshold that is best on all files, as the public scoreboard has it; cross = threshold from one half,
score of the other; line = the score of what is shipped, alarms at 0.8. The scorer is proved on published scores first.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scoring import nab
from benchmarks.scoring.judging import LINE, folder, interval, judge_series, rolling_z


def measure(data: Path | None = None, *, quick: bool = False) -> dict[str, Any]:
    """Three profiles; 95 % interval of the corpus score over files drawn with replacement."""
    at = folder("nab", data)
    files = nab.load(at)
    scores = [judge_series(f.t, f.value).score for f in files]
    rng = np.random.default_rng(0)
    rivals = {"rolling_z_100": [rolling_z(f.value) for f in files], "chance": [rng.random(len(f.t)) for f in files]}
    out: dict[str, Any] = {"scorer_error": scorer_error(at, files)}
    for profile in nab.PROFILES:
        board = nab.Board(files, scores, profile)
        out[profile] = nab.corpus_and_cross(files, scores, profile) | {"line": board.at(LINE)}
    board = nab.Board(files, scores)
    gains = board.per_file(out["standard"]["threshold"])
    draws = 100 if quick else 1000
    out["standard"]["interval"] = interval(range(len(files)), lambda drawn: board.scaled(gains, list(drawn)), draws)
    folders = sorted({f.folder for f in files})
    out["line_by_folder"] = {name: board.at(LINE, np.array([f.folder == name for f in files])) for name in folders}
    return out | {name: nab.corpus_and_cross(files, rival) for name, rival in rivals.items()}


def scorer_error(at: Path, files: list[nab.File]) -> float:
    """The largest difference to the published standard score, over the detectors whose scores are stored whole."""
    final = json.loads((at / "final_results.json").read_text())
    mine = {d: nab.Board(files, s).best()[1] for d, s in nab.published(at, files).items() if d != "random"}
    return float(max(abs(value - final[d]["standard"]) for d, value in mine.items()))


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
