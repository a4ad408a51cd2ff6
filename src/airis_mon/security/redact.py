"""Keeps secrets out of what is shown and logged.

By the name of a field, in the login part and query of URLs, in authorization headers, and our own keys wherever they
stand in a text. It errs on the side of hiding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"

# Whole words of a name, so that `token` hides and `tokens_total` or `monkey` does not.
SECRET_NAME = re.compile(
    r"(^|[_\-.\s])(password|passwd|pwd|secret|token|api[_-]?key|apikey|authorization|cookie|credentials?|private[_-]?key)"
    r"($|[_\-.\s])"
)
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
LOGIN = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.\-]*://)(?P<login>[^/\s?#]*)@", re.IGNORECASE)
QUERY = re.compile(r"(?P<name>[?&][^=&\s#]+)=(?P<value>[^&\s#]+)")
BEARER = re.compile(r"\b(?P<kind>bearer|basic)\s+[A-Za-z0-9\-._~+/]+=*", re.IGNORECASE)
OUR_KEY = re.compile(r"\bairis_[A-Za-z0-9_\-]{16,}")


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret: `password`, `apiKey`, `X-Api-Key` do, `key_id` does not."""
    return SECRET_NAME.search(CAMEL.sub("_", name).lower()) is not None


def mask_text(text: str) -> str:
    """The text without passwords in URLs, secret query parameters, authorization headers and our own keys."""
    if "://" in text:
        text = LOGIN.sub(_masked_login, text)
        text = QUERY.sub(lambda m: f"{m['name']}={MASK}" if is_secret_name(m["name"][1:]) else m[0], text)
    return OUR_KEY.sub(f"airis_{MASK}", BEARER.sub(lambda m: f"{m['kind']} {MASK}", text))


def mask_secret(value: str) -> str:
    """A secret for showing: of a URL the address remains (no password, no query), of anything else nothing."""
    return mask_text(value.partition("?")[0]) if "://" in value else MASK


def mask_data(data: Any) -> Any:
    """Nested mappings, lists and texts with every secret masked; other values as they are."""
    if isinstance(data, str):
        return mask_text(data)
    if isinstance(data, Mapping):
        return {k: MASK if v and is_secret_name(str(k)) else mask_data(v) for k, v in data.items()}
    if isinstance(data, (list, tuple)):
        return [mask_data(v) for v in data]
    return data


def _masked_login(match: re.Match[str]) -> str:
    user, colon, _ = match["login"].partition(":")
    # A login without a colon may be a token (https://TOKEN@host): nothing of it is shown.
    return f"{match['scheme']}{user if colon else MASK}{':' + MASK if colon else ''}@"
