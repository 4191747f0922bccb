"""What goes wrong, with where it is, what was expected, what was found, and what to do."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bilens._words import Word, in_python, of_problem, replaced


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


def problem(where: str, expected: str, found: str, fix: str = "") -> tuple[str, list[Problem]]:
    """Message and problems of an error, as the library words them."""
    text = f"{where}: expected {expected}, found {found}."
    return f"{text} {fix}".strip(), [Problem(where, expected, found, fix)]


def error_of(code: int, message: str, problems: Iterable[tuple[str, str, str, str]]) -> Error:
    """The exception for a failure of the library."""
    told = [Problem(*of_problem(*problem)) for problem in problems]
    return _KINDS.get(code, Error)("\n".join(map(_sentence, told)) or in_python(message), told)


def _sentence(told: Problem) -> str:
    where, expected, found, fix = told
    text = where
    if expected:
        text += (": " if text else "") + f"expected {expected}"
    if found:
        text += (", " if expected else ": ") + f"found {found}"
    return text + (f". {fix}" if fix else "")


@contextlib.contextmanager
def worded(*words: Word) -> Iterator[None]:
    """Errors inside the block are told with each pattern as what stands for it, such as an argument for the file that
    it was written to."""
    try:
        yield
    except Error as error:
        told = [Problem(*(replaced(part, words) for part in problem)) for problem in error.problems]
        raise type(error)(replaced(str(error), words), told) from None
