"""What goes wrong, with where it is, what was expected, what was found, and what to do."""

import re
from collections.abc import Iterable
from typing import NamedTuple


class Problem(NamedTuple):
    """One thing that is wrong."""

    where: str
    expected: str
    found: str
    fix: str


class Error(Exception):
    """Everything that a user can act on. Carries all problems that were found together.

    Attributes:
        problems: each with `where`, `expected`, `found` and `fix`; the error's own are those of the first.
        code: exit code of the same failure on the command line.
    """

    code = 1

    def __init__(self, message: str, problems: Iterable[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)

    @property
    def _first(self) -> Problem:
        return self.problems[0] if self.problems else Problem("", "", str(self), "")

    @property
    def where(self) -> str:
        """What the problem is in."""
        return self._first.where

    @property
    def expected(self) -> str:
        """What should have been there."""
        return self._first.expected

    @property
    def found(self) -> str:
        """What was there."""
        return self._first.found

    @property
    def fix(self) -> str:
        """What to do about it; empty where that is plain."""
        return self._first.fix


class UsageError(Error, ValueError):
    """Arguments or settings that are wrong, or contradict each other."""

    code = 2


class InputError(Error, ValueError):
    """A model, data or file that is missing or bad."""

    code = 3


class DivergedError(Error, ArithmeticError):
    """A training whose loss stayed non-finite."""

    code = 4


class ExhaustedError(Error, MemoryError):
    """Memory or disk that ran out."""

    code = 5


_KINDS = {kind.code: kind for kind in (Error, UsageError, InputError, DivergedError, ExhaustedError)}

# What the command line calls what here is an argument.
_WORDS = (
    (r"--set '?([\w.]+)=([\w\"\[\]{}:,.+-]+)'?", lambda m: _argument(m[1], m[2])),
    (r"--gate (\w+)", lambda m: f'activation="{m[1]}"'),
    (r"--gate\b", lambda m: "activation"),
    (r"--(resume|overwrite)\b", lambda m: f"{m[1]}=True"),
    (r"`bilens tokenizer train`", lambda m: "`bilens.train_tokenizer`"),
    (r"`bilens convert[^`]*`", lambda m: "`bilens.convert_checkpoint`"),
    (r"`bilens ([a-z]+)[^`]*`", lambda m: f"`bilens.{m[1]}`"),
    (r"--(out|data|minus|tokenizer|config|device|prompt|logit|surrogate|input|context|vocabulary)\b", lambda m: m[1]),
)


def _argument(key: str, word: str) -> str:
    """A setting "a.b=1" as an argument: a={"b": 1}."""
    name, _, inner = key.partition(".")
    number_or_list = re.fullmatch(r"-?[\d.]+|[\[{\"].*", word)
    value = {"true": "True", "false": "False"}.get(word, word if number_or_list else f'"{word}"')
    return f'{name}={{"{inner}": {value}}}' if inner else f"{name}={value}"


def in_python(text: str) -> str:
    """A message of the command line, with flags as the arguments that they are here."""
    for pattern, words in _WORDS:
        text = re.sub(pattern, words, text)
    return text


def problem(where: str, expected: str, found: str, fix: str = "") -> tuple[str, list[Problem]]:
    """Message and problems of an error, as the library words them."""
    text = f"{where}: expected {expected}, found {found}."
    return f"{text} {fix}".strip(), [Problem(where, expected, found, fix)]


def error_of(code: int, message: str, problems: Iterable[tuple[str, str, str, str]]) -> Error:
    """The exception for a failure of the library."""
    kind = _KINDS.get(code, Error)
    return kind(in_python(message), [Problem(*map(in_python, problem)) for problem in problems])
