"""Every error that AIRIS-MON raises on purpose.

AirisError
├── ConfigError            a setting is unknown, malformed or impossible
│   └── BadRules           rule files are faulty; carries every `fault`
├── InputError             what a client or file sent cannot be used; names field, value, limit and remedy
│   └── TooLarge           it is beyond a size limit
├── QueryError             a well-formed query has no answer: its matching, its size, an unsupported function
│   ├── QueryTimeout       it took longer than it was allowed
│   └── QueryCancelled     whoever asked has gone
├── TemplateError          the template of an annotation or label cannot be read or expanded
├── NotFound               the thing asked for does not exist
├── Conflict               the request contradicts the present state
├── AuthError              no key, a wrong key, or a key without the right
├── UpstreamError          a system beside us failed
│   ├── Transient          trying again may help; carries `retry_after_s`
│   └── Permanent          trying again will not help
├── StoreError             the store cannot do what was asked
│   └── StoreBusy          not now: the queue is full or the store is down; carries `retry_after_s`
├── ModelError             a model cannot be trained, loaded or used
└── MissingExtra           an optional library is not installed; names the extra
"""

from __future__ import annotations

from dataclasses import dataclass


class AirisError(Exception):
    """Base of every error raised on purpose."""


class ConfigError(AirisError):
    """A setting is unknown, malformed or impossible."""


@dataclass(frozen=True, slots=True)
class RuleFault:
    """One thing wrong with a rule file: where it stands (line and column from 1, 0 = the whole file) and why.

    group, rule (from 1, 0 = the group itself) and name say in which rule; empty and 0 outside of one.
    """

    file: str
    line: int
    column: int
    reason: str
    group: str = ""
    rule: int = 0
    name: str = ""

    def __str__(self) -> str:
        """`file:line:column: group "g", rule 1, "name": reason`, as far as it is known."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        of = [f'group "{self.group}"'] if self.group else []
        of += [f"rule {self.rule}"] if self.rule else []
        of += [f'"{self.name}"'] if self.name else []
        return ": ".join([place, ", ".join(of), self.reason] if of else [place, self.reason])


class BadRules(ConfigError):
    """Rule files are faulty, so none of them was taken; `faults` lists everything wrong with them."""

    def __init__(self, faults: tuple[RuleFault, ...]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Refusal:
    """One item of a request that cannot be used: where it stands, what it was, and why not."""

    path: str
    value: str
    reason: str


class InputError(AirisError):
    """What was sent cannot be used. `refusals` lists the faulty items, at most `MAX_REFUSALS` of them."""

    def __init__(self, message: str, refusals: tuple[Refusal, ...] = ()) -> None:
        super().__init__(message)
        self.refusals = refusals


class TooLarge(InputError):
    """The input is beyond a size limit."""


class QueryError(AirisError):
    """A well-formed query has no answer; the message says why and what to change."""


class QueryTimeout(QueryError):
    """A query took longer than it was allowed."""


class QueryCancelled(QueryError):
    """Whoever asked has gone, or the server stops."""


class TemplateError(AirisError):
    """A template cannot be read or expanded; the text is what Prometheus prints of it."""


class NotFound(AirisError):
    """The thing asked for does not exist."""


class Conflict(AirisError):
    """The request contradicts the present state."""


class AuthError(AirisError):
    """No key, a wrong key (`forbidden` is False), or a key without the right (`forbidden` is True)."""

    def __init__(self, message: str, *, forbidden: bool = False) -> None:
        super().__init__(message)
        self.forbidden = forbidden


class UpstreamError(AirisError):
    """A system beside us failed."""


class Transient(UpstreamError):
    """Trying again may help, at the earliest after `retry_after_s` if that is given."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Permanent(UpstreamError):
    """Trying again will not help."""


class StoreError(AirisError):
    """The store cannot do what was asked."""


class StoreBusy(StoreError):
    """The store takes nothing now: its queue is full or it is down. Try again after `retry_after_s`."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ModelError(AirisError):
    """A model cannot be trained, loaded or used."""


class MissingExtra(AirisError):
    """An optional library is not installed."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed; install it with: pip install 'airis-mon[{extra}]'")
        self.library = library
        self.extra = extra
