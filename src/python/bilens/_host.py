"""Where the log and the progress of the library go: Python's logging, and a bar of tqdm's protocol."""

import importlib
import logging
import warnings
from collections.abc import Callable
from typing import Any

logger = logging.getLogger("bilens")

_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)

Bar = Callable[..., Any]
_bar: Bar | None = None
_chosen = False


def set_progress(bar: Bar | None) -> None:
    """Choose what shows how far a long call is.

    Args:
        bar: a class of tqdm's protocol: called with `total`, `initial`, `desc` and `unit`, then `update(n)`,
            `set_postfix_str(text)` and `close()`. None shows nothing. Until this is called, it is `tqdm.auto.tqdm`
            where that is installed, which draws in notebooks and terminals.

    Example:
        >>> import bilens
        >>> bilens.set_progress(None)
    """
    global _bar, _chosen
    _bar, _chosen = bar, True


def _choose() -> Bar | None:
    if not _chosen:
        try:
            with warnings.catch_warnings():  # that a notebook without ipywidgets has a bar of text
                warnings.simplefilter("ignore")
                set_progress(importlib.import_module("tqdm.auto").tqdm)
        except ImportError:
            set_progress(None)
    return _bar


class Host:
    """What one call of the library logs and shows."""

    def __init__(self) -> None:
        self._shown: Any = None
        self._label = ""
        self._done = 0

    def log(self, level: int, message: str) -> None:
        logger.log(_LEVELS[level], "%s", message)

    def progress(self, label: str, unit: str, note: str, done: int, total: int, finished: bool) -> None:
        if self._shown is None or label != self._label:
            self._close()
            bar = _choose()
            if bar is None or finished or done >= total:
                return
            self._shown, self._label, self._done = bar(total=total, desc=label, unit=" " + unit), label, 0
        self._shown.update(done - self._done)
        self._done = done
        if note:
            self._shown.set_postfix_str(note)
        if finished:
            self._close()

    def _close(self) -> None:
        if self._shown is not None:
            self._shown.close()
            self._shown = None
