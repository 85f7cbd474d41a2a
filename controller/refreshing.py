"""When an environment's tags are to be looked up again by its `images.refresh`.

`daily` and its like are counted from when its registries were last asked, which is kept with what else was
observed: it is no fact about the past, and to lose it costs one question. A render counts too.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.context import Context
    from controller.decide.state import Render


def refresh_due(context: Context, project: str, name: str, *, render: Render) -> bool:
    """Whether tags are to be looked up now; then they count as looked up."""
    if not isinstance(render.refresh, float):
        return False
    now, title = context.clock.now(), f"{project}/{name}"
    asked = max(filter(None, (render.at, context.observed.images_asked_at(title))), default=None)
    if asked is not None and timedelta() <= now - asked < timedelta(seconds=render.refresh):
        return False
    context.observed.note_images_asked(title, now)
    return True
