"""Fitted state in one safetensors file: named arrays, and JSON in the header for everything else."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from emberharmony.errors import DataError
from emberharmony.io.store.errors import translated
from emberharmony.typing import Arrays

VERSION = 1
_FORMAT = "emberharmony"


@translated()
def write_state_file(path: str | os.PathLike[str], kind: str, data: Mapping[str, Any], arrays: Arrays) -> None:
    """Write a state atomically: readers see the complete file or the previous one.

    Parameters
    ----------
    path : str or path
        File to write.
    kind : str
        Class that the state belongs to; `read_state_file` checks it.
    data : mapping
        Values that JSON can hold.
    arrays : mapping of str to array
        Arrays, kept bit by bit.
    """
    target = Path(path)
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    header = {"kind": kind, "version": VERSION, "data": data, "sha256": _digest(data, arrays)}
    content = safetensors.numpy.save(arrays, {_FORMAT: json.dumps(header)})
    descriptor, unfinished = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # readable by its owner alone
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(unfinished).replace(target)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise


@translated()
def read_state_file(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Any], Arrays]:
    """Return the data and arrays that `write_state_file` wrote.

    Raises
    ------
    DataError
        If the file is no state of this kind and version, or is damaged.
    """
    if not Path(path).is_file():
        raise DataError(f"{path} is no file. Name a file that `save` has written.")
    content = Path(path).read_bytes()
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_FORMAT])
        arrays = safetensors.numpy.load(content)
        found, version, data, digest = (header[name] for name in ("kind", "version", "data", "sha256"))
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is not a state that `save` wrote, or is damaged. Save it again.") from error
    if (found, version) != (kind, VERSION):
        raise DataError(
            f"{path} is a state of {found}, version {version}; {kind} of this library reads version {VERSION}. Load it with "
            f"the class and version that saved it, or save it again."
        )
    if digest != _digest(data, arrays):
        raise DataError(f"{path} is damaged: its content is not what was saved. Save it again.")
    return data, arrays


def _digest(data: Mapping[str, Any], arrays: Arrays) -> str:
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.asarray(arrays[name], order="C").tobytes())
    return digest.hexdigest()
