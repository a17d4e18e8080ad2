"""The package of backends: importing it costs nothing, and its backends offer the same functions."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

import emberharmony.backend

PRELUDE = "import sys, logging, os; before = set(os.environ), list(logging.root.handlers); "
CHECK = """
heavy = {'torch', 'mlx', 'prefect', 'pandas', 'pyarrow', 'sklearn'} & set(sys.modules)
assert not heavy, heavy
assert before == (set(os.environ), list(logging.root.handlers))
"""


@pytest.mark.parametrize("statement", ["import emberharmony", "import emberharmony.backend", "import emberharmony.ops"])
def test_importing_is_free(statement):
    subprocess.run([sys.executable, "-W", "error", "-c", PRELUDE + statement + CHECK], check=True)


def test_choosing_numpy_imports_no_other_backend():
    code = "from emberharmony import backend, ops; backend.backend_report(); backend.set_backend('numpy'); ops.zeros(1)"
    check = "import sys; assert not {'torch', 'mlx'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", f"{code}; {check}"], check=True)


INTERFACE = [
    "asarray", "cast", "default_device", "device_of", "devices", "from_dlpack", "full_device", "getitem",
    "has_float64", "native_dtype", "scalar", "setitem", "to_device", "to_numpy", "use_device",
]  # fmt: skip
FILES = {name: import_module(f"emberharmony.backend._{name}") for name in ("numpy", "torch", "mlx")}


@pytest.mark.parametrize("name", ["torch", "mlx"])
def test_backend_files_offer_the_same(name):
    """The same names, and wherever both sides are written in Python the same parameters in the same order."""
    ours, model = FILES[name], FILES["numpy"]
    assert sorted(ours.__all__) == sorted(model.__all__)
    for function in ours.__all__:
        assert hasattr(ours, function), function
    for function in INTERFACE:
        shapes = [
            [(p.name, p.kind) for p in inspect.signature(getattr(m, function)).parameters.values()] for m in (ours, model)
        ]
        assert shapes[0] == shapes[1], function


def test_all_is_true():
    for name in emberharmony.backend.__all__:
        assert hasattr(emberharmony.backend, name)
