"""The generator materials_project against a server of our own; see tests/data/materials_project for its answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from pydantic import ValidationError

from lammps_dpgen.errors import StructureError
from lammps_dpgen.frame import Frame
from lammps_dpgen.geometry import shortest_distance
from lammps_dpgen.structures import materials_api
from lammps_dpgen.structures.materials_project import MaterialsProjectGenerator, MaterialsProjectSettings

ANSWER = json.loads((Path(__file__).parents[1] / "data" / "materials_project" / "al_mg.json").read_text())
KEY = "a-secret-key-of-32-characters-000"


class Server:
    """Answers as the route materials/summary does, page by page, and remembers what it was asked."""

    def __init__(self) -> None:
        self.queries: list[dict[str, list[str]]] = []
        self.keys: list[str | None] = []
        self.status = 200
        self.body: str | None = None
        self.documents: list[dict[str, Any]] = ANSWER["data"]
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.queries.append(parse_qs(urlsplit(self.path).query))
                outer.keys.append(self.headers.get("X-API-KEY"))
                text = outer.body if outer.body is not None else outer.page(outer.queries[-1])
                self.send_response(outer.status)
                if outer.status in (301, 302):
                    self.send_header("Location", f"{outer.url}/elsewhere")
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def page(self, query: dict[str, list[str]]) -> str:
        skip, limit = int(query["_skip"][0]), int(query["_limit"][0])
        chosen = self.documents[skip : skip + limit]
        return json.dumps({"data": chosen, "meta": {"total_doc": len(self.documents)}})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    one = Server()
    thread = threading.Thread(target=one.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("MP_API_ENDPOINT", one.url)
    monkeypatch.setenv("MP_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield one
    one.http.shutdown()
    one.http.server_close()
    thread.join()


def fetched(folder: Path | None = None, **settings: object) -> list[Frame]:
    valid = MaterialsProjectSettings.model_validate(settings, context={"folder": folder or Path.cwd()})
    return MaterialsProjectGenerator(valid).generate(np.random.default_rng(1))


def test_a_chemical_system(server: Server) -> None:
    frames = fetched(system="Mg-Al", subsystems=True)
    assert [f.origin.structure for f in frames] == ["mp-134-Al/1", "mp-153-Mg2/1", "mp-1038916-Al3Mg/1"]
    np.testing.assert_allclose([f.volume for f in frames], [16.0, 3.6**3, 4.2**3])
    distances = [4.0 / np.sqrt(2), 3.6 * np.sqrt(0.75), 4.2 / np.sqrt(2)]
    np.testing.assert_allclose([shortest_distance(f) for f in frames], distances)
    (query,) = server.queries
    assert query["chemsys"] == ["Al,Mg,Al-Mg"]
    assert query["_fields"] == ["material_id,formula_pretty,energy_above_hull,structure"]
    assert query["deprecated"] == ["false"]
    assert server.keys == [KEY]


def test_the_question(server: Server) -> None:
    fetched(system=["Al", "Mg"], max_energy_above_hull=0.05, max_atoms=20)
    assert {key: value for key, value in server.queries[0].items() if not key.startswith("_")} == {
        "chemsys": ["Al-Mg"],
        "energy_above_hull_max": ["0.05"],
        "nsites_max": ["20"],
        "deprecated": ["false"],
    }


def test_ids(server: Server) -> None:
    server.documents = ANSWER["data"][:2]
    assert len(fetched(ids=["mp-134", "mp-1038916"])) == 2
    assert server.queries[0]["material_ids"] == ["mp-134,mp-1038916"]
    with pytest.raises(StructureError, match=r"has no mp-153 \(material_ids=mp-134,mp-153\)"):
        fetched(ids=["mp-134", "mp-153"])


def test_pages(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(materials_api, "PAGE", 2)
    assert len(fetched(system="Al-Mg")) == 3
    assert [query["_skip"] for query in server.queries] == [["0"], ["2"]]


def test_supercells_scales_and_conventional_cells(server: Server) -> None:
    server.documents = ANSWER["data"][:1]
    frames = fetched(ids="mp-134", conventional=True, repeat=[2, 2, 2], scale=[1.0, 1.02])
    assert [f.origin.structure for f in frames] == ["mp-134-Al32/1", "mp-134-Al32/1.02"]
    np.testing.assert_allclose(frames[0].cell, 8.0 * np.eye(3), atol=1e-9)


def test_the_answer_is_kept(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fetched(tmp_path, system="Al-Mg", store="mp.json")
    server.status = 500
    monkeypatch.delenv("MP_API_KEY")
    again = fetched(tmp_path, system="Al-Mg", store="mp.json")
    assert [f.hash for f in again] == [f.hash for f in first]
    assert len(server.queries) == 1
    assert KEY not in (tmp_path / "mp.json").read_text()
    with pytest.raises(StructureError, match="holds the answer to another question"):
        fetched(tmp_path, system="Al-Cu", store="mp.json")
    (tmp_path / "mp.json").write_text("{}")
    with pytest.raises(StructureError, match="no stored answer"):
        fetched(tmp_path, system="Al-Mg", store="mp.json")


def test_an_answer_that_cannot_be_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(StructureError, match="cannot be stored"):
        fetched(tmp_path, system="Al-Mg", store="no/such/folder/mp.json")


def test_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MP_API_KEY", raising=False)
    with pytest.raises(StructureError, match=r"MP_API_KEY; get one at https://.*generator 'file'"):
        fetched(system="Al-Mg")


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, "{}", "refuses the key in MP_API_KEY"),
        (403, "{}", "refuses the key in MP_API_KEY"),
        (400, '{"detail": "no such field"}', r"HTTP 400 \(no such field\)"),
        (503, "<html>busy</html>", "HTTP 503; try again later"),
        (302, "", "HTTP 302"),
        (200, "<html>hello</html>", "cannot be understood"),
        (200, '{"data": [{"material_id": "mp-1"}], "meta": {"total_doc": 1}}', "cannot be understood"),
        (200, '{"data": [], "meta": {"total_doc": 0}}', r"has no such material \(chemsys=Al-Mg\)"),
        (
            200,
            '{"data": [{"material_id": "mp-1", "structure": {}}], "meta": {"total_doc": 1}}',
            "of mp-1 cannot be read",
        ),
    ],
)
def test_bad_answers(server: Server, status: int, body: str, message: str) -> None:
    server.status, server.body = status, body
    with pytest.raises(StructureError, match=message) as caught:
        fetched(system="Al-Mg")
    assert KEY not in str(caught.value)
    assert len(server.queries) == 1  # in particular, the key does not follow a redirection


def test_partly_occupied_sites(server: Server) -> None:
    broken = json.loads(json.dumps(ANSWER["data"][0]))
    broken["structure"]["sites"][0]["species"] = [{"element": "Al", "occu": 0.5}, {"element": "Mg", "occu": 0.5}]
    server.documents = [broken]
    with pytest.raises(StructureError, match="mp-134 has partly occupied sites"):
        fetched(ids=["mp-134"])


def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MP_API_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for key in (KEY, "no header\nvalue"):
        monkeypatch.setenv("MP_API_KEY", key)
        with pytest.raises(StructureError, match=r"cannot be reached \(\w+\); check the network") as caught:
            fetched(system="Al-Mg")
        assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give either ids"),
        ({"ids": ["mp-1"], "system": "Al"}, "give either ids"),
        ({"ids": ["2151"]}, "look like 'mp-2151'"),
        ({"ids": []}, "at least 1"),
        ({"ids": 2151}, "ids such as mp-2151"),
        ({"system": {"Al": 1}}, "such as Al-Mg"),
        ({"system": "Al-Xx"}, "'Xx' is no chemical symbol"),
        ({"ids": ["mp-1"], "subsystems": True}, "belong to system"),
        ({"system": "Al", "api_key": "x"}, "api_key"),
    ],
)
def test_bad_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MaterialsProjectSettings.model_validate(settings)
