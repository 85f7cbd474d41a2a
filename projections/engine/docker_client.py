"""The Docker SDK's own client, with the patience of our calls in place of the SDK's.

Imported when an engine is first asked, because with the SDK come an HTTP client, certificates and encodings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import requests
from docker.api import APIClient
from docker.utils import kwargs_from_env

from projections.engine.api import DockerApi
from projections.engine.calls import patience_seconds
from projections.engine.listening import note_response


def open_client(url: str, *, variables: Mapping[str, str]) -> DockerApi:
    """A client of the engine at `url`; making it asks the engine for its API version.

    `variables` say with which certificates. Raises what the SDK raises.
    """
    tls: Any = kwargs_from_env(environment=variables).get("tls", False)
    client: object = _PatientClient(base_url=url, version="auto", tls=tls)
    return cast("DockerApi", client)


class _PatientClient(APIClient):
    """The SDK's client with the deadline of the call in place of the SDK's own, which differ by method."""

    def request(
        self,
        method: str | bytes,
        url: str | bytes,
        *args: Any,  # noqa: ANN401  # passed on as they come
        **kwargs: Any,  # noqa: ANN401  # as above
    ) -> requests.Response:
        """One request of whatever method of the SDK."""
        kwargs["timeout"] = patience_seconds()
        response = super().request(method, url, *args, **kwargs)
        note_response(response)
        return response
