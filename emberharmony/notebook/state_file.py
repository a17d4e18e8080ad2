"""Fitted state in one file: named arrays, and what is not an array as JSON in the header of the safetensors format."""

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
from emberharmony.io.store.errors import explained
from emberharmony.typing import Arrays

VERSION = 1
_FORMAT = "emberharmony"


@explained()
def write_state_file(path: str | os.PathLike[str], kind: str, data: Mapping[str, Any], arrays: Arrays) -> None:
    """Write a state of some kind; a reader sees the complete file or the one before it.

    Parameters
    ----------
    path : str or path
        File to write.
    kind : str
        What wrote it, which `read_state_file` asks for.
    data : mapping
        What JSON can hold.
    arrays : mapping of str to array
        Numbers, to the last bit.
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


@explained()
def read_state_file(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Any], Arrays]:
    """Read what `write_state_file` wrote.

    Raises
    ------
    DataError
        If the file is something else, of another kind or version, or damaged.
    """
    if not Path(path).is_file():
        raise DataError(f"{path} is no file; name one that `save` has written.")
    content = Path(path).read_bytes()
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_FORMAT])
        arrays = safetensors.numpy.load(content)
        found, version, data, digest = (header[name] for name in ("kind", "version", "data", "sha256"))
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is not a state that `save` wrote, or is damaged; save it anew.") from error
    if (found, version) != (kind, VERSION):
        raise DataError(
            f"{path} is a state of {found}, version {version}; {kind} of this library reads version {VERSION}. Load it with "
            f"the class and version that saved it, or save it anew."
        )
    if digest != _digest(data, arrays):
        raise DataError(f"{path} is damaged: its content is not what was saved. Save it anew.")
    return data, arrays


def _digest(data: Mapping[str, Any], arrays: Arrays) -> str:
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.asarray(arrays[name], order="C").tobytes())
    return digest.hexdigest()
