"""Arrays with named columns, and the same as a DataFrame of pandas."""

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np


def rows_of(columns: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """One structured array of columns of one length: `rows["name"]` is a column, `rows[0]` the first row."""
    length = len(next(iter(columns.values())))
    rows = np.empty(length, [(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        rows[name] = column
    return rows


def frame(rows: np.ndarray[Any, Any]) -> Any:
    """A structured array as pandas.DataFrame."""
    try:
        pandas = importlib.import_module("pandas")
    except ImportError as error:
        raise ImportError("tables need pandas: pip install pandas") from error
    return pandas.DataFrame({name: rows[name] for name in rows.dtype.names or ()})
