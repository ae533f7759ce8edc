"""Runs and plans with the protocol and the executor given field by field, for tests."""

from dataclasses import fields, replace

from genmodel_bench.cells import plan as planning
from genmodel_bench.cells.protocol import Protocol
from genmodel_bench.commands import run as running
from genmodel_bench.execution.executor import Executor
from genmodel_bench.metrics import METRICS


def run(models=None, **settings):
    kind = {"kind": settings.pop("executor")} if "executor" in settings else {}
    executor = Executor(**kind, **taken(settings, Executor))
    return running.run(models, protocol=Protocol(**taken(settings, Protocol)), executor=executor, **settings)


def plan(data, models=None, *, metrics=METRICS, **settings):
    return planning.plan(data, models, metrics, protocol=Protocol(**taken(settings, Protocol)), **settings)


def altered(cell, **changes):
    """A cell with other values of its own and its protocol's fields."""
    protocol = replace(cell.protocol, **taken(changes, Protocol))
    return replace(cell, protocol=protocol, **changes)


def taken(settings, of):
    """Remove the settings that are fields of a class, and return them."""
    return {f.name: settings.pop(f.name) for f in fields(of) if f.name in settings}
