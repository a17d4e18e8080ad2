"""Errors of the pipeline in the words of the notebook's classes, which have arguments where a job has settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from emberharmony.errors import EmberharmonyError

EXTRACTOR_ARGUMENTS = {
    "columns.entity": "entity",
    "columns.null_time": "",
    "columns.target": "target_column",
    "columns.time": "index_col",
    "source.key": "index_col",
    "source.path": "table_or_path",
    "split.fractions": "fractions",
    "split.method": "split_method",
}
PROCESSOR_ARGUMENTS = {"pca.components": "pca_components", "windows.size": "window_size"}
"""Arguments by the setting of a job that they take the place of; empty if there is none."""

_SETTING = re.compile(r"(?P<open> \()?`(?P<name>[a-z]+\.[a-z_]+)(?:: (?P<value>[^`]*))?`(?(open)\))")


@contextmanager
def told_by(arguments: Mapping[str, str]) -> Iterator[None]:
    """Name arguments instead of settings in an error that the block raises.

    Parameters
    ----------
    arguments : mapping of str to str
        Arguments by setting. Other settings keep their names. One in parentheses is left out if its argument is empty.

    Examples
    --------
    >>> with told_by({"split.method": "split_method"}):
    ...     raise EmberharmonyError("Rows have no times. Set `split.method: sequential`.")
    Traceback (most recent call last):
    emberharmony.errors.EmberharmonyError: Rows have no times. Set `split_method='sequential'`.
    """

    def told(setting: re.Match[str]) -> str:
        if setting["name"] not in arguments:
            return setting[0]
        argument = arguments[setting["name"]]
        if setting["open"] and not argument:
            return ""
        given = f"`{argument}={setting['value']!r}`" if setting["value"] else f"`{argument}`"
        return f" ({given})" if setting["open"] else given

    try:
        yield
    except EmberharmonyError as error:
        message, *more = error.args
        error.args = (_SETTING.sub(told, message), *more)
        raise
