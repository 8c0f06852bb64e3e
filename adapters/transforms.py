"""What may be done to a cell before it is compared with anything: a small, closed set of steps. Pure.

A step is written as a word (``upper``) or as a word with its argument (``{pad: 6}``). Nothing here can run what
somebody typed: there are no expressions, and none are meant to come.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime

__all__ = ["STEPS", "Step", "step_of"]

Step = Callable[[str], str]
"""Raises `ValueError`, in words, for a text that it cannot take."""

_MOST = 64
"""The longest that a step may make a text by filling it up."""


def _digits(text: str) -> str:
    found = "".join(re.findall(r"[0-9]+", unicodedata.normalize("NFKC", text)))
    if not found:
        raise ValueError(f"`{text}` has no digits")
    return found


def _pad(argument: object) -> Step:
    if not isinstance(argument, int) or isinstance(argument, bool) or not 1 <= argument <= _MOST:
        raise ValueError(f"`pad` takes a number of characters up to {_MOST}")
    return lambda text: text.rjust(argument, "0")


def _prefix(argument: object) -> Step:
    if not isinstance(argument, str) or not argument or len(argument) > _MOST:
        raise ValueError("`prefix` takes a text")
    return lambda text: text if text.startswith(argument) else argument + text


def _date(argument: object) -> Step:
    if not isinstance(argument, str) or "%" not in argument:
        raise ValueError('`date` takes how their days are written, such as "%d.%m.%Y"')

    def read(text: str) -> str:
        try:
            return datetime.strptime(text, argument).date().isoformat()  # noqa: DTZ007  # a day has no zone
        except ValueError:
            raise ValueError(f"`{text}` is no day as `{argument}` writes them") from None

    return read


def _split(argument: object) -> Step:
    if not isinstance(argument, str) or not argument:
        raise ValueError("`split` takes what stands between the values of a set")
    return lambda text: ";".join(part.strip() for part in text.split(argument) if part.strip())


_PLAIN: Mapping[str, Step] = {
    "upper": str.upper,
    "lower": str.lower,
    "normalize": lambda text: unicodedata.normalize("NFKC", text).strip(),
    "digits": _digits,
}
_WITH_ARGUMENT: Mapping[str, Callable[[object], Step]] = {
    "pad": _pad,
    "prefix": _prefix,
    "date": _date,
    "split": _split,
}
STEPS = (*_PLAIN, *_WITH_ARGUMENT)
"""The words for all of them."""


def step_of(value: object) -> Step:
    """The step that a setting names. Raises `ValueError`, in words, for anything else."""
    if isinstance(value, str):
        name, argument = value, None
    elif isinstance(value, Mapping) and len(value) == 1:
        ((name, argument),) = value.items()
    else:
        raise ValueError("a step is a word, or one word with its argument")
    if name in _PLAIN and argument is None:
        return _PLAIN[name]
    if name in _WITH_ARGUMENT:
        return _WITH_ARGUMENT[name](argument)
    near = difflib.get_close_matches(str(name), STEPS, n=1)
    raise ValueError(f"there is no step `{name}`" + (f" (did you mean `{near[0]}`?)" if near else ""))
