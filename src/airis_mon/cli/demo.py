"""`airis-mon demo`: serve, with a simulated shop to watch in which something breaks every few minutes."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airis_mon.errors import ConfigError

if TYPE_CHECKING:
    from airis_mon.cli.story import Story
    from airis_mon.config.settings import Settings
    from airis_mon.ingest.simulated import Scene

FAULTS_PER_DAY, AMPLITUDE = 240.0, 2.0
"""One every six minutes or so, which leaves it a minute and a half to last; twice as strong as usual, since somebody
looks on. Users feel about half of them."""
MOST_DAYS = 14.0
STEP_MS = 15_000
LEAD_MS, SEARCH_MS = 100_000, 6 * 3_600_000
"""The first fault that users feel comes so long after the start; it is looked for so far ahead."""
FILE = "demo.json"
RULES = """# Written by airis-mon demo: what somebody might have had before. The data is simulated.
groups:
  - name: demo
    interval: 15s
    rules:
      - alert: ManyErrors
        expr: >
          sum by (service, demo) (rate(http_requests_total{code="500"}[1m]))
            / sum by (service, demo) (rate(http_requests_total[1m])) > 0.05
        for: 30s
        labels: {severity: page}
        annotations: {summary: "{{ $labels.service }} fails {{ $value | humanizePercentage }} of its requests"}
      - alert: SlowForUsers
        expr: >
          sum by (handler, demo) (rate(frontend_request_duration_seconds_sum[1m]))
            / sum by (handler, demo) (rate(frontend_request_duration_seconds_count[1m])) > 0.5
        for: 30s
        labels: {severity: page}
        annotations: {summary: "{{ $labels.handler }} takes {{ $value | humanizeDuration }}"}
"""


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="watch a simulated shop in which something breaks every few minutes",
        description="Serves with a simulated world to watch, its past learned within a minute or so, faults every few "
        'minutes. Nothing of it is real: every series carries demo="simulated".',
    )
    parser.add_argument("--port", type=int, help="port (default 8765; 0 takes a free one)")
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where it is kept (default: nowhere, it is removed at the end)"
    )
    parser.add_argument("--seed", type=int, default=8, metavar="N", help="another number is another world (default 8)")
    parser.add_argument("--topology", default="shop", help="shop (default), ticket or social")
    parser.add_argument("--history", type=float, default=2.0, metavar="DAYS", help="past to learn from (default 2)")
    parser.add_argument("--lang", choices=("en", "ko"), help="language of what is told here (default: LANG)")
    parser.add_argument("--log", default="warning", metavar="LEVEL", help="of the log, on stderr (default warning)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serves until SIGINT or SIGTERM; then ends with 0. Raises ConfigError for what cannot be."""
    from airis_mon.app.ground import keep_kernels, now_ms, prepare, user_cache
    from airis_mon.app.logging import configure
    from airis_mon.cli.language import language
    from airis_mon.cli.story import Story

    if not 0 <= args.history <= MOST_DAYS:
        raise ConfigError(f"--history {args.history:g} must lie between 0 and {MOST_DAYS:g} days")
    configure(args.log, "auto", sys.stderr)
    _mark_logs()
    with ExitStack() as stack:
        folder = args.data_dir or Path(tempfile.mkdtemp(prefix="airis-mon-demo-"))
        if args.data_dir is None:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        keep_kernels(user_cache())  # else every demo would compile them
        prepare(folder)
        scene = _kept(folder) or _staged(args, now_ms())
        _keep(folder, scene)
        story = Story(scene, args.lang or language(os.environ), now_ms)
        return _served(_settings(args, folder), scene, story)


def _served(settings: Settings, scene: Scene, story: Story) -> int:
    from airis_mon.cli.serve import fast_loop, serve
    from airis_mon.manager import AIOpsManager

    async def both() -> int:
        manager = AIOpsManager(settings, scene=scene)
        manager.on("anomaly_detected")(story.saw)
        manager.on("alert_triggered")(story.warned)
        manager.on("failure_predicted")(story.foresaw)
        telling = asyncio.create_task(story.tell(manager), name="story")
        telling.add_done_callback(_ended)
        try:
            return await serve(manager, story.began)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        return runner.run(both())


def _ended(telling: asyncio.Task[None]) -> None:
    """Says so when nothing is told any more; the server goes on."""
    if not telling.cancelled() and (error := telling.exception()) is not None:
        import structlog

        structlog.get_logger().error("story.failed", error=repr(error))


def _settings(args: argparse.Namespace, folder: Path) -> Settings:
    """Neither airis.toml nor the environment is read: a demo must not write into a store that somebody needs."""
    from airis_mon.config.settings import load

    rules = folder / "demo-rules.yml"
    rules.write_text(RULES)
    flags = {
        "server.port": args.port,
        "data_dir": str(folder),
        "ingest.host.enabled": False,
        "rules.files": [str(rules)],
        "log.level": args.log,
    }
    return load(Path(os.devnull), {}, flags).settings


def _staged(args: argparse.Namespace, now: int) -> Scene:
    """A scene whose steps fall on now, with so much of a past, in which users feel a fault soon."""
    from dataclasses import replace

    from airis_mon.ingest.simulated import Scene
    from airis_mon.simulate.kinds import KINDS
    from airis_mon.simulate.truth import verdicts

    draft = Scene(
        seed=args.seed,
        start_ms=(now - round(args.history * 86_400_000)) // STEP_MS * STEP_MS,
        lively_ms=now,
        topology=args.topology,
        step_s=STEP_MS / 1000,
        faults_per_day=FAULTS_PER_DAY,
        amplitude=AMPLITUDE,
        kinds=tuple(name for name, kind in KINDS.items() if not kind.lead_h[1]),  # none that climbs for hours
    )
    world = draft.world()
    felt = (v for v in verdicts(world, now, now + SEARCH_MS) if v.is_valid)
    if (first := next(felt, None)) is None:
        return draft
    (begin,) = (c.start_ms for c in world.plan.cases(now, now + SEARCH_MS) if c.id == first.case)
    early = (first.fault.onset_ms - now - LEAD_MS) // STEP_MS * STEP_MS
    return replace(draft, start_ms=draft.start_ms - early, lively_ms=begin - early)


def _kept(folder: Path) -> Scene | None:
    """The scene of an earlier demo in this folder. Raises ConfigError for a folder with anything else in it."""
    import msgspec

    from airis_mon.ingest.simulated import Scene

    file = folder / FILE
    if file.exists():
        try:
            return msgspec.json.decode(file.read_bytes(), type=Scene)
        except msgspec.DecodeError as error:
            raise ConfigError(f"{file} is not readable ({error}); remove the folder or choose another") from None
    if any(item.name != "kernels" for item in folder.iterdir()):
        raise ConfigError(f"--data-dir {folder} holds something that is no demo; choose a folder of its own for it")
    return None


def _keep(folder: Path, scene: Scene) -> None:
    from dataclasses import asdict

    (folder / FILE).write_text(json.dumps(asdict(scene)) + "\n")


def _mark_logs() -> None:
    """Every line of the log says what it is about."""
    import structlog

    def mark(_logger: Any, _method: str, event: Any) -> Any:
        event["demo"] = "simulated"
        return event

    structlog.configure(processors=[mark, *structlog.get_config()["processors"]])
