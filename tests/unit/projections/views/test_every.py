"""No view is forgotten when all are made anew."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import projections.views
from events.schemas import SCHEMAS
from projections.view import View
from projections.views.every import VIEWS


def test_every_view_is_among_those_that_are_made_anew_and_compared() -> None:
    modules = pkgutil.walk_packages(projections.views.__path__, "projections.views.")
    found = {
        value.name
        for module in modules
        for value in vars(import_module(module.name)).values()
        if isinstance(value, View)
    }
    assert found == {view.name for view in VIEWS}


def test_views_share_no_table_and_no_name() -> None:
    tables = [table for view in VIEWS for table in view.tables]
    assert len(set(tables)) == len(tables)
    assert len({view.name for view in VIEWS}) == len(VIEWS)


def test_what_concerns_a_view_is_known() -> None:
    assert frozenset[str]().union(*(view.concerns for view in VIEWS)) <= set(SCHEMAS)
