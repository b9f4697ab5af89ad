"""Asks the Materials Project for crystals, through its documented HTTP interface.

https://api.materialsproject.org/docs, route ``materials/summary``. Of the two official clients, mp-api brings cloud
and database libraries that two queries do not need; what is used here is a GET request, paged by ``_skip`` and
``_limit``, with the key in the header ``X-API-KEY``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lammps_dpgen.errors import StructureError

#: Where the key is looked for; it is sent in a header and never written anywhere.
KEY_VARIABLE = "MP_API_KEY"

#: Another server with the same interface. It comes from the environment alone, as the key does: a configuration file
#: of someone else's must not be able to send the key elsewhere.
ENDPOINT_VARIABLE = "MP_API_ENDPOINT"
ENDPOINT = "https://api.materialsproject.org"

FIELDS = ("material_id", "formula_pretty", "energy_above_hull", "structure")

#: Documents per request, the most that the server gives is 1000.
PAGE = 500

_OTHERWISE = "or download the structures elsewhere and use the generator 'file'"


def summaries(criteria: Mapping[str, Any], *, timeout: float = 60.0) -> list[dict[str, Any]]:
    """Return the summary documents (:data:`FIELDS`) of all materials that fit, none of them deprecated.

    Parameters
    ----------
    criteria
        Query parameters of the route, such as ``{"chemsys": "Al-Mg"}``.
    timeout
        Longest silence of the server in seconds.

    Raises
    ------
    StructureError
        There is no key, or it is refused; the server cannot be reached, or its answer cannot be understood.
    """
    import requests

    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise StructureError(
            f"materials_project: no key in the environment variable {KEY_VARIABLE}; get one at "
            f"https://materialsproject.org/api and set it, {_OTHERWISE}"
        )
    server = os.environ.get(ENDPOINT_VARIABLE, "").strip() or ENDPOINT
    url = f"{server.rstrip('/')}/materials/summary/"
    found: list[dict[str, Any]] = []
    with requests.Session() as session:
        session.headers["X-API-KEY"] = key
        while True:
            page = {"_fields": ",".join(FIELDS), "_limit": PAGE, "_skip": len(found), "deprecated": "false"}
            try:  # a redirection would take the key along, to whatever host
                response = session.get(url, params={**criteria, **page}, timeout=timeout, allow_redirects=False)
            except (requests.RequestException, ValueError) as error:
                # Nothing of the error's text: it may hold the header, and so the key.
                raise StructureError(
                    f"materials_project: {server} cannot be reached ({type(error).__name__}); check the network, set "
                    f"'store' to keep an answer, {_OTHERWISE}"
                ) from None
            documents, total = _read(response, server)
            found += documents
            if not documents or len(found) >= total:
                return found


def _read(response: Any, server: str) -> tuple[list[dict[str, Any]], int]:
    """Return the documents of a page, and how many there are on all pages."""
    if response.status_code in (401, 403):
        raise StructureError(
            f"materials_project: {server} refuses the key in {KEY_VARIABLE} (HTTP {response.status_code}); get a new "
            "one at https://materialsproject.org/api"
        )
    if response.status_code != 200:
        raise StructureError(
            f"materials_project: {server} answers HTTP {response.status_code}{_detail(response)}; try again later, "
            f"{_OTHERWISE}"
        )
    try:
        answer = response.json()
        documents = answer["data"]
        total = int(answer["meta"]["total_doc"])
        if not all(isinstance(one["structure"], dict) and isinstance(one["material_id"], str) for one in documents):
            raise ValueError("documents without material_id or structure")
    except (ValueError, KeyError, TypeError) as error:
        raise StructureError(
            f"materials_project: the answer of {server} cannot be understood ({type(error).__name__}: {error}); its "
            f"interface may have changed: report it, {_OTHERWISE}"
        ) from None
    return documents, total


def _detail(response: Any) -> str:
    """Return what the server says about an error, in short."""
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f" ({' '.join(str(detail).split())[:200]})"
