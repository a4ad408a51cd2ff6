"""Values as text, the way Go's package fmt prints them (its documentation, Go 1.24), within a bound."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from airis_mon.errors import TemplateError
from airis_mon.query.template_times import Moment, Span
from airis_mon.query.template_values import SAMPLE, Struct, check_length, type_name

_WIDEST = 1_000_000  # a width or precision beyond it is Go's %!(BADWIDTH) or %!(BADPREC)
_DIRECTIVE = re.compile(
    r"""%(?P<flags>[-+\#\ 0]*)
         (?:(?P<width_from>\[[^\]]*\]?)(?=\*))? (?P<width>\*|[0-9]+)?
         (?:\.(?:(?P<precision_from>\[[^\]]*\]?)(?=\*))? (?P<precision>\*|[0-9]*))?
         (?P<value_from>\[[^\]]*\])? (?P<verb>.?)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}


@dataclass(frozen=True, slots=True)
class Flags:
    """What stands between % and the verb."""

    flags: str = ""
    width: int = 0
    precision: int | None = None

    @property
    def zero(self) -> bool:
        """Whether zeros fill the width."""
        return "0" in self.flags and "-" not in self.flags

    def pad(self, text: str, *, zero: bool = True) -> str:
        """The text at its width."""
        if "-" in self.flags:
            return text.ljust(self.width)
        return text.rjust(self.width, "0" if zero and self.zero else " ")

    def sign(self, *, negative: bool) -> str:
        """What stands before a number."""
        return "-" if negative else "+" if "+" in self.flags else " " if " " in self.flags else ""


PLAIN = Flags()


@dataclass(slots=True)
class Printer:
    """Text in pieces. Raises TemplateError when it becomes longer than a template may make it."""

    parts: list[str] = field(default_factory=list)
    size: int = 0

    def write(self, text: str) -> None:
        """Adds to the text."""
        self.size += len(text)
        check_length(self.size)
        self.parts.append(text)

    def __str__(self) -> str:
        return "".join(self.parts)

    def value(self, value: object, verb: str = "v", flags: Flags = PLAIN) -> None:
        """Adds a value, formatted by a verb."""
        check_length(max(flags.width, flags.precision or 0))
        match value:
            case _ if verb == "T":
                self._simple(type_name(value), "s", flags)
            case None:
                self.write(flags.pad("<nil>") if verb == "v" else f"%!{verb}(<nil>)")
            case dict():
                self._map(value, verb, flags)
            case list():
                self._list(value, verb, flags)
            case Struct():
                self.write("&" if value.type == SAMPLE else "")
                self.struct(value, verb, flags)
            case _:
                self._simple(value, verb, flags)

    def struct(self, struct: Struct, verb: str = "v", flags: Flags = PLAIN) -> None:
        """Adds the fields of a struct."""
        self.write("{")
        for i, (name, item) in enumerate(struct.fields.items()):
            self.write(" " if i else "")
            self.write(f"{name}:" if "+" in flags.flags else "")
            self.value(item, verb, flags)
        self.write("}")

    def _map(self, items: dict[str, object], verb: str, flags: Flags) -> None:
        self.write("map[")
        for i, key in enumerate(sorted(items)):
            self.write(" " if i else "")
            self.value(key, verb, flags)
            self.write(":")
            self.value(items[key], verb, flags)
        self.write("]")

    def _list(self, items: list[object], verb: str, flags: Flags) -> None:
        self.write("[")
        for i, item in enumerate(items):
            self.write(" " if i else "")
            self.value(item, verb, flags)
        self.write("]")

    def _simple(self, value: object, verb: str, flags: Flags) -> None:
        given = flags.flags
        if verb == "v":  # %+v is about the names of fields
            flags = replace(flags, flags=flags.flags.replace("+", ""))
        text = _FORMATS[type(value)](value, verb, flags)
        if text is not None:
            self.write(text)
            return
        plain = _FORMATS[type(value)](value, "v", replace(flags, flags=given.replace("#", "")))
        self.write(f"%!{verb}({type_name(value)}={plain})")


def sprint(values: Sequence[object]) -> str:
    """fmt.Sprint: blanks between two values of which none is a string."""
    printer = Printer()
    for i, value in enumerate(values):
        if i and not isinstance(value, str) and not isinstance(values[i - 1], str):
            printer.write(" ")
        printer.value(value)
    return str(printer)


def sprintln(values: Sequence[object]) -> str:
    """fmt.Sprintln: blanks between all values, and a line's end."""
    printer = Printer()
    for i, value in enumerate(values):
        printer.write(" " if i else "")
        printer.value(value)
    printer.write("\n")
    return str(printer)


def sprintf(form: str, values: Sequence[object]) -> str:
    """fmt.Sprintf: what does not fit is said in the text, as Go says it."""
    printer, given = Printer(), _Given(values)
    at = 0
    while found := _DIRECTIVE.search(form, at):
        printer.write(form[at : found.start()])
        at = found.end()
        _directive(printer, given, found)
    printer.write(form[at:])
    if not given.was_indexed and given.next < len(values):
        _extra(printer, values[given.next :])
    return str(printer)


def _extra(printer: Printer, values: Sequence[object]) -> None:
    printer.write("%!(EXTRA ")
    for i, value in enumerate(values):
        printer.write(", " if i else "")
        printer.write("" if value is None else f"{type_name(value)}=")
        printer.value(value)
    printer.write(")")


@dataclass(slots=True)
class _Given:
    """The values of a format, and which comes next."""

    values: Sequence[object]
    next: int = 0
    was_indexed: bool = False
    is_bad: bool = False

    def select(self, index: str | None) -> None:
        """Goes to the value that `[n]` names."""
        if index is None:
            return
        self.was_indexed = True
        number = index[1:-1]
        if index.endswith("]") and number.isdecimal() and len(number) < 9 and 1 <= int(number) <= len(self.values):
            self.next = int(number) - 1
        else:
            self.is_bad = True

    def amount(self, text: str | None) -> int | None:
        """A width or precision, given itself or by `*`; None when it is no usable one."""
        if text != "*":
            return None if text and (len(text) > 7 or int(text) > _WIDEST) else int(text or 0)
        value = self.values[self.next] if self.next < len(self.values) else None
        self.next += self.next < len(self.values)
        return value if type(value) is int and abs(value) <= _WIDEST else None


def _directive(printer: Printer, given: _Given, found: re.Match[str]) -> None:
    given.is_bad = False
    flags = _flags(printer, given, found)
    given.select(found["value_from"])
    verb = found["verb"]
    if not verb:
        printer.write("%!(NOVERB)")
    elif verb == "%":
        printer.write("%")
    elif given.is_bad:
        printer.write(f"%!{verb}(BADINDEX)")
    elif given.next >= len(given.values):
        printer.write(f"%!{verb}(MISSING)")
    else:
        given.next += 1
        printer.value(given.values[given.next - 1], verb, flags)


def _flags(printer: Printer, given: _Given, found: re.Match[str]) -> Flags:
    flags, precision = found["flags"], None
    given.select(found["width_from"])
    width = given.amount(found["width"])
    if width is None:
        printer.write("%!(BADWIDTH)")
    elif width < 0:
        flags, width = flags + "-", -width
    if found["precision"] is not None:
        given.select(found["precision_from"])
        precision = given.amount(found["precision"])
        if precision is None or (precision < 0 and found["precision"] == "*"):
            precision = None
            printer.write("%!(BADPREC)")
    return Flags(flags, width or 0, precision)


def float_text(value: float, verb: str = "g", flags: Flags = PLAIN) -> str:
    """A float by %e, %f or %g, without its sign and padding; %g without a precision is the shortest that reads back."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Inf"
    if flags.precision is None and verb in "gG":
        return _shortest(abs(value), verb, 21 if "#" in flags.flags else 6)
    alternative = "#" if "#" in flags.flags else ""
    return format(abs(value), f"{alternative}.{6 if flags.precision is None else flags.precision}{verb}")


def _shortest(value: float, verb: str, threshold: int) -> str:
    """%e below 1e-4 and from 10 to the threshold on, otherwise %f; the digits are those of Python's repr."""
    digits = "".join(map(str, Decimal(repr(value)).normalize().as_tuple().digits))
    exponent = Decimal(repr(value)).adjusted() if value else 0
    if -4 <= exponent < threshold:
        return format(Decimal(repr(value)).normalize(), "f")
    mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return f"{mantissa}{'E' if verb == 'G' else 'e'}{'-' if exponent < 0 else '+'}{abs(exponent):02}"


def _float(value: float, verb: str, flags: Flags) -> str | None:
    if verb in "xXb":
        raise TemplateError(f"%{verb} of a float64 is not supported; use %g, %f or %e")
    if verb not in "veEfFgG":
        return None
    text = float_text(value, "g" if verb == "v" else verb, flags)
    sign = flags.sign(negative=math.copysign(1, value) < 0)
    if not math.isfinite(value):  # these show + by themselves, NaN has no sign, and zeros do not fill them
        return flags.pad((sign or "+") + text if text == "Inf" else flags.sign(negative=False) + text, zero=False)
    if flags.zero:
        return sign + text.rjust(flags.width - len(sign), "0")
    return flags.pad(sign + text)


def _int(value: int, verb: str, flags: Flags) -> str | None:
    if verb in "cqU":
        return _rune(value, verb, flags)
    base = {"v": "d", "d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}.get(verb)
    if base is None:
        return None
    sign, digits = flags.sign(negative=value < 0), format(abs(value), base)
    if flags.precision == 0 and value == 0:
        return flags.pad("", zero=False)
    if flags.precision is not None or flags.zero:
        digits = digits.rjust(flags.width - len(sign) if flags.precision is None else flags.precision, "0")
    prefix = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}.get(verb, "") if "#" in flags.flags else ""
    return flags.pad(sign + ("0o" if verb == "O" else prefix) + digits, zero=False)


def _rune(value: int, verb: str, flags: Flags) -> str:
    is_character = 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000
    character = chr(value) if is_character else "\ufffd"
    if verb == "U":
        return flags.pad(f"U+{value & ((1 << 64) - 1):04X}", zero=False)
    return flags.pad(character if verb == "c" else quoted(character, "'"))


def _str(value: str, verb: str, flags: Flags) -> str | None:
    if verb in "xX":
        return flags.pad(_hex(value, verb, flags))
    if flags.precision is not None:
        value = value[: flags.precision]
    if verb == "q" or (verb == "v" and "#" in flags.flags):
        if "#" in flags.flags and verb == "q" and "`" not in value and (value + "a").isprintable():
            return flags.pad(f"`{value}`")
        return flags.pad(quoted(value, ascii_only="+" in flags.flags and verb == "q"))
    return flags.pad(value) if verb in "sv" else None


def _hex(value: str, verb: str, flags: Flags) -> str:
    raw = value.encode(errors="replace")[: flags.precision]
    prefix = f"0{verb}" if "#" in flags.flags and raw else ""
    digits = raw.hex(" ") if " " in flags.flags else raw.hex()
    text = prefix + (digits.replace(" ", " " + prefix) if prefix else digits)
    return text.upper() if verb == "X" else text


def quoted(text: str, quote: str = '"', *, ascii_only: bool = False) -> str:
    """strconv.Quote: the text as Go's source would hold it."""
    return quote + "".join(_escaped(c, quote, ascii_only) for c in text) + quote


def _escaped(character: str, quote: str, ascii_only: bool) -> str:
    if character == quote:
        return "\\" + character
    if character in _ESCAPED:
        return _ESCAPED[character]
    code = ord(character)
    if character.isprintable() and (code < 0x80 or not ascii_only):
        return character
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _bool(value: object, verb: str, flags: Flags) -> str | None:
    return flags.pad("true" if value else "false") if verb in "tv" else None


def _moment(value: Moment, verb: str, flags: Flags) -> str | None:
    return _str(str(value), verb, flags)


def _span(value: Span, verb: str, flags: Flags) -> str | None:
    return _str(str(value), verb, flags) if verb in "svq" else _int(value.ns, verb, flags)


_FORMATS: dict[type, Callable[[Any, str, Flags], str | None]] = {
    bool: _bool,
    int: _int,
    float: _float,
    str: _str,
    Moment: _moment,
    Span: _span,
}
