"""Expressions that try to end the process, evaluated in a thread with as little stack as macOS gives one.

Run as a program, for an overflow of the stack would end the tests too. It prints what escaped from the errors that are
meant for callers; the parser's panics also write to stderr.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

from airis_mon.errors import InputError, QueryError
from airis_mon.query.parse import MOST_DEPTH, formatted
from tests.query.source import Memory, ask, every

STACK_BYTES = 512 * 1024
TEXTS = 4_000
SHAPES = (
    ("(", "x", ")"),
    ("-", "x", ""),
    ("x^", "x", ""),
    ("", "x", "+x"),
    ("", "x", " == on (a) group_left (b) x"),
    ("", "x", " or x"),
    ("x and (", "x", ")"),
    ("abs(", "x", ")"),
    ("absent(", "x", ")"),
    ("sum by (a) (", "x", ")"),
    ("topk(1, ", "x", ")"),
    ("vector(scalar(", "x", "))"),
    ("clamp_max(x, scalar(", "x", "))"),
    ("max_over_time(", "x", "[5m:1m])"),
    ("predict_linear(", "x", "[5m:1m] @ 5 offset 5m, 60)"),
    ("label_replace(", "x", ', "b", "$1", "a", "(.*)")'),
    ("quantile_over_time(scalar(", "x", "), x[5m])"),
)
_WORDS = """
    x up a:b job sum avg topk by without rate absent label_replace quantile count_values vector scalar time fill limitk
    histogram_quantile absent_over_time predict_linear and or unless on ignoring atan2 bool group_left group_right
    offset @ start() end() ( ) [ ] { } , + - * / % ^ == != > < = =~ !~ # " ' ` "s" 't' `r` {"m"} x{a=~"("}
    x[5m] x[5m:1m] [5m:] 5m 1h30m 0s 1 -1 1e300 1e19 Inf NaN 0x1f 1_000 1e 99999999999y 9999999999999ms é
"""
_SAMPLES = (
    "sum by (job) (rate(x[5m]))",
    "x offset 5m @ 3",
    'label_replace(x, "a", "$1", "b", "(.*)")',
    "a + on (x) group_left (y) b",
    "max_over_time(rate(x[1m])[5m:30s] offset 1m)",
    '{__name__=~"a|b",c!=""}',
    "topk(3, x) == bool 2",
)


def deepest() -> Iterator[str]:
    """Each shape as deep as it is taken, and deeper."""
    for before, middle, after in SHAPES:
        for times in (MOST_DEPTH, MOST_DEPTH - 1, MOST_DEPTH // 2, MOST_DEPTH // 3):
            yield before * times + middle + after * times


def anything(rng: random.Random) -> str:
    """Words of the language at random, or an expression with some of its characters exchanged."""
    words = [*_WORDS.split(), "\x00", "\ud800"]
    if rng.random() < 0.5:
        return rng.choice(["", " "]).join(rng.choices(words, k=rng.randint(1, 12)))
    text = rng.choice(_SAMPLES)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice([*words, chr(rng.randrange(0x3000))]) + text[at + rng.randint(0, 4) :]
    return text


def escaped(texts: Iterator[str]) -> Iterator[str]:
    source = Memory({'x{a="1"}': every(60, *range(10))})
    for text in texts:
        for use in (lambda it: ask(source, it, 300), lambda it: ask(source, it, 300, 420), formatted):
            try:
                use(text)
            except (InputError, QueryError):
                pass
            except BaseException as error:  # noqa: BLE001  whatever it is, it is what is looked for
                yield f"{type(error).__name__}: {error}: {text[:200]!r}"


def main() -> None:
    rng = random.Random(7)  # noqa: S311  no secret
    print(*escaped(deepest()), sep="\n")
    print(*escaped(anything(rng) for _ in range(TEXTS)), sep="\n")


if __name__ == "__main__":
    threading.stack_size(STACK_BYTES)
    thread = threading.Thread(target=main)
    thread.start()
    thread.join()
    print("the end")
