"""A digest of code changes with what can change a number, and with nothing else.

It is the same on every Python.
"""

import importlib
import sys

import pytest
from genmodel_bench.errors import BenchError
from genmodel_bench.storage.code import code_digests, forget_code
from genmodel_bench.storage.ingredients import changed_modules, code_digest
from genmodel_bench.storage.syntax import walked

CODE = '''"""Doc."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Protocol

import torch
from torch.nn.functional import softplus


class Able(Protocol):
    """What a thing can do."""

    size: int

    def do(self) -> int:
        """Do it."""


class Config:
    """Its settings."""

    SETTINGS: dict = {"digits": {"width": 4}}
    KIND = "net"

    def build(self, shape):
        return Net(3)


class Net(torch.nn.Module):
    """A net."""

    width: int = 3

    def __init__(self, k: int) -> None:
        """Make it."""
        if k < 1:
            raise ValueError(f"net: k is {k}, expected more")
        assert k < 100, "too many"
        self.k = k
        self.rate = 0.5

    def step(self, x: torch.Tensor) -> torch.Tensor:
        total = softplus(x).sum() + math.pi
        if total > 1e9:
            warnings.warn("large", RuntimeWarning, stacklevel=2)
        return total * self.rate + self.k
'''
HARMLESS = {
    "a comment": ("self.k = k", "self.k = k  # the size"),
    "layout": (
        "return total * self.rate + self.k",
        "return (\n            total * self.rate + self.k\n        )",
    ),
    "a docstring": ('"""A net."""', '"""A net of one layer."""'),
    "a docstring that goes": ('        """Make it."""\n', ""),
    "an annotation": ("k: int", "k: float"),
    "an annotation of a local": ("total = softplus", "total: torch.Tensor = softplus"),
    "a return annotation": ("-> None", "-> Sequence[int] | None"),
    "the text of an error": ("net: k is {k}, expected more", "net: got {k}; give more"),
    "the text of an assertion": ('"too many"', '"far too many"'),
    "the text of a warning": ('"large"', '"very large"'),
    "a Protocol": (
        "class Net",
        'class Other(Protocol):\n    def go(self) -> None:\n        """Go."""\n\n\nclass Net',
    ),
    "a method of a Protocol": ('"""Do it."""', '"""Do it."""\n\n    def undo(self) -> int:\n        ...'),
    "settings by data set": ('"width": 4', '"width": 5'),
    "the name of its kind": ('KIND = "net"', 'KIND = "net of one layer"'),
    "an import more": ("import math\n", "import math\nimport random\n"),
    "an import in another place": ("import torch\n", "import torch as torch\n"),
    "an imported name's own way": ("import softplus", "import softplus as softly"),
    "a pass": ("self.k = k", "self.k = k\n        pass"),
}
HARMFUL = {
    "a number": ("0.5", "0.6"),
    "an operator": ("total * self.rate", "total - self.rate"),
    "the type of a literal": ("self.rate = 0.5", "self.rate = True"),
    "another function under the same name": (
        "torch.nn.functional import softplus",
        "torch.nn.functional import relu as softplus",
    ),
    "the kind of an error": ("raise ValueError", "raise RuntimeError"),
    "what is asserted": ("k < 100", "k < 200"),
    "a default": ("width: int = 3", "width: int = 4"),
    "a field more": ("width: int = 3", "width: int = 3\n    depth: int"),
    "a class variable of a field": ("width: int = 3", "width: ClassVar[int] = 3"),
    "a base": ("torch.nn.Module", "torch.nn.Sequential"),
    "a Protocol that does something": ('"""Do it."""', '"""Do it."""\n        return 3'),
    "a condition": ("k < 1:", "k <= 1:"),
    "a value that an error carries": (
        'raise ValueError(f"net: k is {k}, expected more")',
        "raise ValueError(k)",
    ),
    "what bears the name of a setting elsewhere": ("self.rate = 0.5", "SETTINGS = 0.5"),
    "a decorator": ("    def step", "    @torch.no_grad()\n    def step"),
}


def edited(old, new):
    assert old in CODE
    text = CODE.replace(old, new)
    return text.replace("softplus(x)", "softly(x)") if "as softly" in text else text


@pytest.mark.parametrize("name", HARMLESS)
def test_what_changes_no_number_changes_no_digest(name):
    assert walked(edited(*HARMLESS[name])).digest == walked(CODE).digest


@pytest.mark.parametrize("name", HARMFUL)
def test_what_may_change_a_number_changes_the_digest(name):
    assert walked(edited(*HARMFUL[name])).digest != walked(CODE).digest


FORMS = """
def f(x, /, y=1, *args, z=None, **named):
    match x:
        case {"a": [1, *rest], **others} if rest:
            return f"{x!r:>{y}} and {y=}" f" more {z}" "end", rest, others
        case None | True | 1.5 | -2j | b"\\x00":
            return lambda a, *, b=2: (yield a)
        case str(named) as whole:
            return {**named, "k": [i for i in whole if i][::2]}
    try:
        async def g():
            async with x as y, z:
                await y
    except* (ValueError, TypeError) as group:
        raise RuntimeError(f"no {group}") from group
    else:
        del x[1:, ...]
    finally:
        global q
        q = (n := 10) if x is not None else 1_000_000
    with (open("a") as a, open("b") as b):
        return f"{{{a}}}" + rf"\\d{b:{y}.{z}}"
"""


def test_a_digest_is_the_same_on_every_python():
    # Python 3.11, 3.12, 3.13 and 3.14 gave these.
    assert walked(CODE).digest == "00ec9007d46b26aa"
    assert walked(FORMS).digest == "df6c6edcceb03fd0"


MODEL = """
import plain.quiet
from plain import part, twin
from plain.part import f

def g(x: twin.T):
    return f(x) + part.p(x)
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A package of a model, a module it imports and one it does not.

    Returns a function that edits one of them and returns the digests.
    """
    folder = tmp_path / "plain"
    folder.mkdir()
    files = {
        "__init__": "",
        "part": '"""Doc."""\n\ndef f(x):\n    """Doc."""\n    return x + 1\n\ndef p(x):\n    return x\n',
        "twin": "def f(x):\n    return x + 2\n\ndef t(x):\n    return x\n",
        "model": MODEL,
        "quiet": "import torch\n\ntorch.backends.cudnn.benchmark = True\n",
        "other": "x = 1\n",
    }
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))

    def digests(module=None, old="", new=""):
        if module:
            path = folder / f"{module}.py"
            assert old in path.read_text()
            path.write_text(path.read_text().replace(old, new))
        forget_code()
        for name in [m for m in sys.modules if m.startswith("plain")]:
            del sys.modules[name]
        return code_digests("plain.model")

    yield digests
    forget_code()


def test_a_module_outside_the_project_is_followed_and_what_only_annotations_name_is_not(project):
    # twin is named by an annotation only
    assert set(project()) == {
        "plain",
        "plain.model",
        "plain.part",
        "plain.quiet",
        "imports",
    }


def test_code_of_the_module_and_of_its_imports_counts(project):
    before = code_digest(project())
    assert code_digest(project("part", "x + 1", "x + 2")) != before
    assert code_digest(project("part", "x + 2", "x + 1")) == before
    assert code_digest(project("model", "def g", "def h")) != before
    assert code_digest(project("quiet", "True", "False")) != before
    before = project()
    assert project("other", "x = 1", "x = 2") == before


def test_another_function_of_the_same_name_in_another_module_is_another_code(project):
    project("model", "part.p(x)", "part.p(x) + twin.t(x)")
    before = project()
    after = project("model", "from plain.part import f", "from plain.twin import f")
    assert {name: value for name, value in before.items() if name != "imports"} == {
        k: v for k, v in after.items() if k != "imports"
    }
    assert code_digest(before) != code_digest(after)
    assert changed_modules(before, after) == ["imports"]
    first = project("model", "f(x) + part.p(x) + twin.t(x)", "f(x) + part.f(x)")
    assert code_digest(project("model", "f(x) + part.f(x)", "part.f(x) + f(x)")) != code_digest(first)


def test_a_file_that_moves_changes_nothing(project, tmp_path, monkeypatch):
    monkeypatch.setattr("genmodel_bench.storage.packages.HOME", ("plain",))
    before = project()
    folder = tmp_path / "plain"
    (folder / "parts").mkdir()
    (folder / "parts" / "__init__.py").write_text("")
    (folder / "part.py").rename(folder / "parts" / "first.py")
    project("model", "from plain.part import f", "from plain.parts.first import f")
    after = project(
        "model",
        "from plain import part, twin",
        "from plain import twin\nfrom plain.parts import first as part",
    )
    assert "plain.parts.first" in after
    assert code_digest(after) == code_digest(before)


def test_rings_of_imports_have_a_digest(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    files = {
        "ring_a": "from ring_b import f\nfrom ring_b import *\n\ndef g(x):\n    return f(x)\n",
        "ring_b": "from ring_a import f\nfrom ring_a import *\nimport ring_b\nRATE = 0.5\n",
    }
    found = []
    for rate in ("0.5", "0.6", "0.5"):
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text.replace("0.5", rate))
        forget_code()
        importlib.invalidate_caches()
        found.append(code_digest(code_digests("ring_a")))
    assert found[0] == found[2] != found[1]
    forget_code()


def test_a_module_without_source_is_one_line():
    with pytest.raises(BenchError, match=r"'nowhere\.at\.all' has no source file to hash"):
        code_digests("nowhere.at.all")


def test_what_is_installed_is_not_followed():
    assert all(
        name.startswith(("genmodel_bench.models", "imports"))
        for name in code_digests("genmodel_bench.models.references")
    )


def test_the_closures_are_small():
    from genmodel_bench.cells.cell import ROLES

    held = {
        role: {name.rpartition(".")[2] for name in code_digests(*modules)} - {"imports"}
        for role, modules in ROLES.items()
    }
    assert held == {
        "training loop": {"loop", "graph", "seeding", "numerics"},
        "drawing": {"drawing", "seeding", "numerics"},
        "selection": {
            *("selection", "seeding", "numerics", "windows", "distances"),
            *("capabilities", "log_probs"),  # a model's own likelihood
        },
        "scoring": {"measure", "seeding", "numerics", "base"},
    }


FILES = {
    "local vs module attr": (
        {
            "m.py": "import a\ndef f(x): return x\ndef g(): return a.f(1)\ndef h(): return a.f(2)+f(2)\n",
            "a.py": "def f(x): return 2*x\n",
        },
        {"m.py": "import a\ndef f(x): return x\ndef g(): return f(1)\ndef h(): return a.f(2)+f(2)\n"},
        True,
    ),
    "two function imports same name, edit first": (
        {
            "m.py": "def g():\n from a import f\n return f(1)\ndef h():\n from b import f\n return f(1)\n",
            "a.py": "def f(x): return 2*x\n",
            "b.py": "def f(x): return 3*x\n",
        },
        {"a.py": "def f(x): return 5*x\n"},
        True,
    ),
    "import p.a; import p.b edit p.a": (
        {
            "m.py": "import p.a\nimport p.b\ndef g(): return p.a.f(1)+p.b.f(1)\n",
            "p/__init__.py": "",
            "p/a.py": "def f(x): return 2*x\n",
            "p/b.py": "def f(x): return 3*x\n",
        },
        {"p/a.py": "def f(x): return 5*x\n"},
        True,
    ),
    "two stars edit first": (
        {
            "m.py": "from a import *\nfrom b import *\ndef g(): return f(1)+k(1)\n",
            "a.py": "def f(x): return 2*x\n",
            "b.py": "def k(x): return 3*x\n",
        },
        {"a.py": "def f(x): return 5*x\n"},
        True,
    ),
    "try/except fallback edit first": (
        {
            "m.py": "try:\n from a import f\nexcept ImportError:\n from b import f\ndef g(): return f(1)\n",
            "a.py": "def f(x): return 2*x\n",
            "b.py": "def f(x): return 3*x\n",
        },
        {"a.py": "def f(x): return 5*x\n"},
        True,
    ),
    "re-export of another name": (
        {
            "m.py": "from hub import k\ndef g(): return k(1)\n",
            "hub.py": "from a import fast as k\n",
            "a.py": "def fast(x): return 2*x\ndef slow(x): return 3*x\n",
        },
        {"hub.py": "from a import slow as k\n"},
        True,
    ),
    "re-export swapped": (
        {
            "m.py": "from hub import f,k\ndef g(): return f(1)-k(1)\n",
            "hub.py": "from a import f\nfrom b import f as k\n",
            "a.py": "def f(x): return 2*x\n",
            "b.py": "def f(x): return 3*x\n",
        },
        {"hub.py": "from b import f\nfrom a import f as k\n"},
        True,
    ),
    "raise carries value": (
        {
            "m.py": "class Done(Exception): pass\ndef g():\n try:\n  raise Done(0.1)\n except Done as e:\n  return e.args[0]\n"
        },
        {
            "m.py": "class Done(Exception): pass\ndef g():\n try:\n  raise Done(0.9)\n except Done as e:\n  return e.args[0]\n"
        },
        True,
    ),
    "module const KIND": (
        {"m.py": "KIND='relu'\ndef g(): return KIND\n"},
        {"m.py": "KIND='tanh'\ndef g(): return KIND\n"},
        True,
    ),
    "local var INPUTS": (
        {"m.py": "def g():\n INPUTS=3\n return INPUTS\n"},
        {"m.py": "def g():\n INPUTS=4\n return INPUTS\n"},
        True,
    ),
    "module const SETTINGS": (
        {"m.py": "SETTINGS={'noise':0.1}\ndef g(): return SETTINGS['noise']\n"},
        {"m.py": "SETTINGS={'noise':0.9}\ndef g(): return SETTINGS['noise']\n"},
        True,
    ),
    "nn.Module class attr ONLY": (
        {"m.py": "class N:\n ONLY=3\n def s(self): return self.ONLY\n"},
        {"m.py": "class N:\n ONLY=4\n def s(self): return self.ONLY\n"},
        True,
    ),
    "protocol default": (
        {
            "m.py": "from typing import Protocol\nclass P(Protocol):\n scale: float=0.5\nclass N(P):\n def s(self): return self.scale\n"
        },
        {
            "m.py": "from typing import Protocol\nclass P(Protocol):\n scale: float=0.7\nclass N(P):\n def s(self): return self.scale\n"
        },
        True,
    ),
    "own warn function": (
        {"m.py": "def warn(x): S.append(x)\nS=[]\ndef g():\n warn(1)\n return S\n"},
        {"m.py": "def warn(x): S.append(x)\nS=[]\ndef g():\n warn(2)\n return S\n"},
        True,
    ),
    "method warn": (
        {"m.py": "def g(o):\n o.warn(1)\n return o\n"},
        {"m.py": "def g(o):\n o.warn(2)\n return o\n"},
        True,
    ),
    "identical texts swapped": (
        {
            "m.py": "from p.i import f as e\nfrom q.i import f as d\ndef g(): return e(1)-d(1)\n",
            "p/__init__.py": "",
            "q/__init__.py": "",
            "p/i.py": "from .c import K\ndef f(x): return K*x\n",
            "q/i.py": "from .c import K\ndef f(x): return K*x\n",
            "p/c.py": "K=2\n",
            "q/c.py": "K=3\n",
        },
        {"m.py": "from q.i import f as e\nfrom p.i import f as d\ndef g(): return e(1)-d(1)\n"},
        True,
    ),
    "package init behaviour": (
        {
            "m.py": "from p.a import f\ndef g(): return f(1)\n",
            "p/__init__.py": "import p.a\np.a.K=2\n",
            "p/a.py": "K=1\ndef f(x): return K*x\n",
        },
        {"p/__init__.py": "import p.a\np.a.K=3\n"},
        True,
    ),
    "__all__ with star": (
        {
            "m.py": "def k(x): return x\nfrom a import *\ndef g(): return k(1)\n",
            "a.py": "__all__=['f']\ndef f(x): return 2*x\ndef k(x): return 9*x\n",
        },
        {"a.py": "__all__=['f','k']\ndef f(x): return 2*x\ndef k(x): return 9*x\n"},
        True,
    ),
    "order of two imports binding same name": (
        {
            "m.py": "from a import f\nfrom b import f\nfrom a import f as z\ndef g(): return f(1)+z(1)\n",
            "a.py": "def f(x): return 2*x\n",
            "b.py": "def f(x): return 3*x\n",
        },
        {"m.py": "from b import f\nfrom a import f\nfrom a import f as z\ndef g(): return f(1)+z(1)\n"},
        True,
    ),
    "import after use shadows def": (
        {"m.py": "from torch import relu as f\ndef f(x): return x\ndef g(): return f(1)\n"},
        {"m.py": "def f(x): return x\nfrom torch import relu as f\ndef g(): return f(1)\n"},
        True,
    ),
    "import star shadows def order": (
        {
            "m.py": "from a import *\ndef f(x): return x\ndef g(): return f(1)\n",
            "a.py": "def f(x): return 2*x\n",
        },
        {"m.py": "def f(x): return x\nfrom a import *\ndef g(): return f(1)\n"},
        True,
    ),
    "followed import shadows def order": (
        {
            "m.py": "from a import f\ndef f(x): return x\ndef g(): return f(1)\n",
            "a.py": "def f(x): return 2*x\n",
        },
        {"m.py": "def f(x): return x\nfrom a import f\ndef g(): return f(1)\n"},
        True,
    ),
    "conditional import which branch": (
        {
            "m.py": "FAST=True\nif FAST:\n from a import f\nelse:\n from b import f\ndef g(): return f(1)\n",
            "a.py": "def f(x): return 2*x\n",
            "b.py": "def f(x): return 3*x\n",
        },
        {"a.py": "def f(x): return 7*x\n"},
        True,
    ),
    "string attr: unfollowed star torch": (
        {"m.py": "from math import *\ndef g(): return sin(1)\n"},
        {"m.py": "from cmath import *\ndef g(): return sin(1)\n"},
        True,
    ),
    "InitVar / KW_ONLY": (
        {"m.py": "from dataclasses import dataclass, InitVar\n@dataclass\nclass A:\n x: InitVar[int]=1\n"},
        {"m.py": "from dataclasses import dataclass, InitVar\n@dataclass\nclass A:\n x: int=1\n"},
        True,
    ),
    "namespace package import": (
        {"m.py": "import ns.a\ndef g(): return ns.a.f(1)\n", "ns/a.py": "def f(x): return 2*x\n"},
        {"ns/a.py": "def f(x): return 3*x\n"},
        True,
    ),
    "from . import sibling": (
        {
            "m.py": "from p.x import g\nG=g\n",
            "p/__init__.py": "",
            "p/x.py": "from . import y as z\ndef g(): return z.f(1)\n",
            "p/y.py": "def f(x): return 2*x\n",
        },
        {"p/y.py": "def f(x): return 3*x\n"},
        True,
    ),
    "assert side msg": (
        {"m.py": "def g(x):\n assert x, 'a'\n return x\n"},
        {"m.py": "def g(x):\n assert x, 'b'\n return x\n"},
        False,
    ),
    "harmless annotation": (
        {"m.py": "def g(x:int)->int:\n 'd'\n return x\n"},
        {"m.py": "from typing import Any\ndef g(x:Any):\n  'other'\n  y: int\n  return x\n"},
        False,
    ),
    "harmless quoted TYPE_CHECKING": (
        {"m.py": "def g(x): return x\n", "a.py": "A=1\n"},
        {
            "m.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n from a import A\ndef g(x: 'A'): return x\n"
        },
        False,
    ),
    "harmless unused alias rename": (
        {"m.py": "import a as b\ndef g(): return b.f(1)\n", "a.py": "def f(x): return 2*x\n"},
        {"m.py": "from a import f as zz\ndef g(): return zz(1)\n"},
        False,
    ),
    "dynamic attr on followed module": (
        {
            "m.py": "import a\nclass N:\n def s(self): return a.f(1)\n",
            "a.py": "from b import f\n",
            "b.py": "def f(x): return x\n",
        },
        {"b.py": "def f(x): return 2*x\n"},
        True,
    ),
}
"""The files, those that change, and whether m.py then has other code."""


@pytest.mark.parametrize("name", FILES)
def test_what_an_imported_name_stands_for_counts(name, tmp_path, monkeypatch):
    before, after, differs = FILES[name]
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def digest_of(files):
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text(text)
        forget_code()
        importlib.invalidate_caches()
        return code_digest(code_digests("m"))

    assert (digest_of(before) != digest_of(after)) == differs
    forget_code()


def test_a_relative_import_that_is_tried_outside_a_package_is_no_error(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    tried = "try:\n    from .tried_part import WIDTH\nexcept ImportError:\n    from tried_part import WIDTH\n"
    (tmp_path / "tried.py").write_text(tried)
    (tmp_path / "tried_part.py").write_text("WIDTH = 1\n")
    assert "tried_part" in code_digests("tried")


READ = """
class Config:
    INPUTS = ("a.npy", "b.npy")
    BOUNDS = {"rate": (0, 1)}

    def build(self, shape):
        return Net(shape, %s)
"""


@pytest.mark.parametrize(("name", "new"), [("INPUTS", '("b.npy", "a.npy")'), ("BOUNDS", '{"rate": (0, 2)}')])
def test_what_a_config_says_is_code_where_it_is_read(name, new):
    def digests(read):
        text = READ % read
        old = next(line for line in text.splitlines() if line.strip().startswith(name))
        return [walked(each).digest for each in (text, text.replace(old, f"    {name} = {new}"))]

    assert len(set(digests("1"))) == 1
    assert len(set(digests(f"self.{name}"))) == 2


def test_files_beside_a_module_that_imports_by_a_computed_name_count(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "computing.py").write_text(
        "import importlib\nWIDTH = importlib.import_module('wide').WIDTH\n"
    )
    found = []
    for width in (1, 2):
        (tmp_path / "wide.py").write_text(f"WIDTH = {width}\n")
        forget_code()
        found.append(code_digests("computing"))
    assert found[0] != found[1]
    forget_code()
