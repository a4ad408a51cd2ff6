"""The past that a server stores, replayed by the server itself: asked for, watched, fetched."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airis_mon.errors import AirisError, AuthError, ConfigError

if TYPE_CHECKING:
    from airis_mon.client import AIOpsClient
    from airis_mon.config.settings import Settings

Json = dict[str, Any]
POLL_S = 1.0


def stored(args: argparse.Namespace, settings: Settings, tell: Callable[[float, str], None]) -> Json:
    """The result of a replay that the server does. Interrupted, it is cancelled there too.

    Raises InputError for what cannot be asked, AuthError, Transient when nobody answers, AirisError in the words of
    the server when the replay failed there.
    """
    from airis_mon.cli.ask import local_server
    from airis_mon.client import AIOpsClient

    url = args.server or local_server(settings)
    with AIOpsClient(url, api_key=settings.client.api_key or None) as client:
        try:
            begun = client.start_replay("store", **_asked(args))
        except AuthError as error:
            remedy = "put a key (airis-mon keys create NAME) into AIRIS_CLIENT__API_KEY"
            raise AuthError(f"{url}: {error}; {remedy}", forbidden=error.forbidden) from None
        try:
            return _watched(client, begun["id"], tell)
        except KeyboardInterrupt:
            client.cancel_replay(begun["id"])
            raise


def _asked(args: argparse.Namespace) -> Json:
    given = {"days": args.days, "start": args.start, "end": args.end, "match": args.match}
    if len(args.rules) > 1:
        raise ConfigError("--stored takes one file with --rules; without it the rules that the server has loaded count")
    if args.rules:
        try:
            given["rules_text"] = Path(args.rules[0]).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--rules {args.rules[0]}: cannot be read: {error}") from None
    return given


def _watched(client: AIOpsClient, replay: str, tell: Callable[[float, str], None]) -> Json:
    while (now := client.replay(replay))["state"] in {"queued", "running"}:
        tell(now["progress"], now["note"] or now["state"])
        time.sleep(POLL_S)
    if now["state"] != "done":
        raise AirisError(f"the replay {replay} {now['state']} on the server: {now['error'] or 'somebody ended it'}")
    found: Json = now["result"]
    return found
