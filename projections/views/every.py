"""All views that there are: what is made anew together, and compared."""

from __future__ import annotations

from projections.view import View
from projections.views.at_hosts import RESIDENTS
from projections.views.delivery import DELIVERY
from projections.views.environment_fold import ENVIRONMENTS
from projections.views.release_fold import RELEASES
from projections.views.why.traces import TRACES

VIEWS: tuple[View, ...] = (ENVIRONMENTS, RELEASES, TRACES, RESIDENTS, DELIVERY)
