import asyncio
import gzip
import io
import json
import struct
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped] # comes with Streamlit
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import mnist_app
from mnist_app.api import IMAGE_TYPES, MAX_STROKES_BYTES, MAX_WAITING, Batcher, api_routes, create_api
from mnist_app.api_schema import OPENAPI
from mnist_app.ink.photo import MAX_BYTES, open_image
from mnist_app.ink.preprocessing import prepare_image
from mnist_app.ink.strokes import MAX_POINTS, MAX_STROKES, Drawing
from mnist_app.models.registry import ModelError, load_card, model_folders
from mnist_app.reading.number import Reading, read_drawing
from mnist_app.reading.recognition import Recogniser, load_recogniser, recognise

from .conftest import ONE, SEVEN, TWO, ZERO

Strokes = list[list[list[float]]]
DIGITS = [(ZERO, 0), (ONE, 1), (TWO, 2), (SEVEN, 7)]
SOON = 5  # seconds within which everything that is not blocked happens, however busy the machine


class Caller:
    """Calls the API in its own event loop, mounted as in the server: a page answers all other paths."""

    def __init__(
        self,
        portal: BlockingPortal,
        load: Callable[[str], Recogniser],
        own_origins: list[str] | None = None,
        raises_faults: bool = True,
    ) -> None:
        self._portal = portal
        page = Route("/{rest:path}", lambda _: PlainTextResponse("a page"))
        app = Starlette(routes=[*api_routes("/api", load, own_origins), page])
        transport = httpx.ASGITransport(app, raise_app_exceptions=raises_faults)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://here")

    def begin(self, method: str, path: str | httpx.URL, **request: Any) -> "Future[httpx.Response]":
        async def send() -> httpx.Response:
            return await self._client.request(method, path, **request)

        return self._portal.start_task_soon(send)

    def __call__(self, method: str, path: str | httpx.URL, **request: Any) -> httpx.Response:
        return self.begin(method, path, **request).result(timeout=4 * SOON)

    def predict(self, content: Any, kind: str = "application/json", **request: Any) -> httpx.Response:
        headers = {"Content-Type": kind, **request.pop("headers", {})}
        return self("POST", "/api/predict", content=content, headers=headers, **request)


MakeApi = Callable[..., Caller]


@pytest.fixture(scope="module")
def make_api(shipped_model: Recogniser) -> Iterator[MakeApi]:
    with start_blocking_portal() as portal, pytest.MonkeyPatch.context() as patch:
        patch.setattr("mnist_app.api.PATIENCE", 60)  # so that on a busy machine no request waits too long

        def make(
            load: Callable[[str], Recogniser] = lambda _: shipped_model, own_origins: Any = (), **how: Any
        ) -> Caller:
            return Caller(portal, load, own_origins, **how)

        yield make


@pytest.fixture(scope="module")
def api(make_api: MakeApi) -> Caller:
    return make_api()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """A gate that is closed at first and always opened at the end."""
    event = threading.Event()
    yield event
    event.set()


def body(strokes: object, **more: object) -> bytes:
    return json.dumps({"strokes": strokes, **more}).encode()


def picture(strokes: Strokes, kind: str = "PNG") -> bytes:
    image = Image.new("L", (340, 340), 255)
    for stroke in strokes:
        ImageDraw.Draw(image).line([(x, y) for x, y in stroke], fill=0, width=18, joint="curve")
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    """Return a small file that claims a false size, with a correct checksum."""
    content = picture(SEVEN)
    header = b"IHDR" + struct.pack(">II", width, height) + content[24:29]
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


def error_of(answer: httpx.Response) -> str:
    """Return the one sentence of an error."""
    content = answer.json()
    assert list(content) == ["error"] and content["error"].endswith((".", "json"))
    return str(content["error"])


# Reading


def test_a_lab_model_reads_when_named_but_is_not_listed(make_api: MakeApi, a_toy: Path) -> None:
    api = make_api(load_recogniser)
    answer = api.predict(body(ONE, model="toy"))
    assert (answer.status_code, answer.json()["digit"], answer.json()["model"]) == (200, 1, "toy")
    assert "toy" not in [model["name"] for model in api("GET", "/api/models").json()["models"]]


@pytest.mark.parametrize(("strokes", "digit"), DIGITS)
def test_strokes_are_answered_with_the_reading_of_read_drawing(
    api: Caller, shipped_model: Recogniser, strokes: Strokes, digit: int
) -> None:
    answer = api.predict(body(strokes))
    expected = read_drawing(shipped_model, Drawing.from_points(strokes))
    assert answer.status_code == 200
    assert answer.json() == json.loads(json.dumps(expected.to_json()))
    assert answer.json()["digit"] == digit


@pytest.mark.parametrize("kind", sorted(IMAGE_TYPES))
@pytest.mark.parametrize(("strokes", "digit"), DIGITS)
def test_a_picture_is_answered_with_the_prediction_of_recognise(
    api: Caller, shipped_model: Recogniser, strokes: Strokes, digit: int, kind: str
) -> None:
    content = picture(strokes, kind.removeprefix("image/"))
    answer = api.predict(content, kind).json()
    expected = recognise(shipped_model, prepare_image(open_image(content)).pixels[None])[0]
    assert (answer["digit"], answer["probabilities"]) == (digit, list(expected.probabilities))


@pytest.mark.parametrize("model", ["ink-cnn", None])
def test_a_request_may_name_a_model_or_get_the_default(
    make_api: MakeApi, shipped_model: Recogniser, model: str | None
) -> None:
    asked: list[str] = []

    def load(name: str) -> Recogniser:
        asked.append(name)
        return shipped_model

    api = make_api(load)
    assert api.predict(body(SEVEN, model=model)).json()["model"] == "ink-cnn"
    query = {"model": model} if model else {}
    assert api.predict(picture(SEVEN), "image/png", params=query).json()["model"] == "ink-cnn"
    assert asked == ["ink-cnn"] * 2


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", " application/json"])
def test_a_content_type_may_be_spelt_in_many_ways(api: Caller, kind: str) -> None:
    assert api.predict(body(SEVEN), kind).json()["digit"] == 7


def test_the_content_encoding_identity_is_accepted(api: Caller) -> None:
    assert api.predict(body(SEVEN), headers={"Content-Encoding": "identity"}).json()["digit"] == 7


def test_drawings_up_to_the_limits_are_read(api: Caller) -> None:
    line = [[n, n % 7] for n in range(MAX_POINTS // MAX_STROKES)]
    assert api.predict(body([line] * MAX_STROKES)).status_code == 200


# Refusals

REFUSED = {
    "not JSON": ({"content": b"{"}, 400, "not JSON"),
    "no body": ({"content": b""}, 400, "not JSON"),
    "not text": ({"content": b"\xff\xfe\x00"}, 400, "not JSON"),
    "nested deeply": ({"content": b'{"strokes":' + b"[" * 100_000}, 400, "not JSON"),
    "a number of many digits": ({"content": b'{"strokes":' + b"9" * 5000 + b"}"}, 400, "not JSON"),
    "no strokes": ({"content": b"{}"}, 422, '"strokes"'),
    "no object": ({"content": b'["strokes"]'}, 422, '"strokes"'),
    "a body that is packed": (
        {"content": gzip.compress(body(SEVEN)), "headers": {"Content-Encoding": "gzip"}},
        415,
        "compressed as 'gzip'",
    ),
    "a picture that is packed": (
        {"content": gzip.compress(picture(SEVEN)), "kind": "image/png", "headers": {"Content-Encoding": "GZip"}},
        415,
        "Send it uncompressed",
    ),
    "a stroke that is a number": ({"content": body([5])}, 422, "stroke must be a list of points, not int"),
    "strokes of text": ({"content": body("seven")}, 422, "strokes must be a list, not str"),
    "points of one number": ({"content": body([[[1], [2]]])}, 422, "pair of numbers"),
    "points of text": ({"content": body([[["1", "2"]]])}, 422, "pair of numbers"),
    "not a number": ({"content": b'{"strokes": [[[NaN, 1]]]}'}, 422, "finite"),
    "too large a number": ({"content": b'{"strokes": [[[1e999, 1]]]}'}, 422, "finite"),
    "too many strokes": ({"content": body([[[1, 1]]] * (MAX_STROKES + 1))}, 422, "at most 200 strokes"),
    "too many points": ({"content": body([[[1, 1]] * (MAX_POINTS + 1)])}, 422, "at most 20,000 points"),
    "a blank drawing": ({"content": body([])}, 422, "no ink"),
    "strokes without points": ({"content": body([[], []])}, 422, "no ink"),
    "a model that is a number": ({"content": body(SEVEN, model=5)}, 422, '"model" must be a string'),
    "an unknown model": ({"content": body(SEVEN, model="cnn-3")}, 404, "no model 'cnn-3'"),
    "a model's path": ({"content": body(SEVEN, model="../weights/mnist-cnn")}, 404, "no model"),
    "half a letter as a model": ({"content": body(SEVEN, model="\ud800")}, 404, "no model"),
    "an empty name as a model": ({"content": body(SEVEN, model="")}, 404, "no model ''"),
    "an unknown model for a picture": (
        {"content": picture(SEVEN), "kind": "image/png", "params": {"model": "x"}},
        404,
        "no model 'x'",
    ),
    "a picture cut short": ({"content": picture(SEVEN)[:200], "kind": "image/png"}, 422, "broken or incomplete"),
    "no picture": ({"content": b"hello", "kind": "image/png"}, 422, "not an image that can be read"),
    "a GIF": ({"content": picture(SEVEN, "GIF"), "kind": "image/png"}, 422, "not an image that can be read"),
    "an empty picture": ({"content": b"", "kind": "image/webp"}, 422, "not an image"),
    "a picture that unpacks into gigabytes": (
        {"content": png_that_claims(60_000, 60_000), "kind": "image/png"},
        422,
        "more than 64 million pixels",
    ),
    "a blank picture": ({"content": picture([]), "kind": "image/png"}, 422, "no ink"),
    "strokes that are too long": ({"content": b" " * (MAX_STROKES_BYTES + 1)}, 413, "longer than 256 kB"),
    "a picture that is too long": ({"content": bytes(MAX_BYTES + 1), "kind": "image/png"}, 413, "longer than 8192 kB"),
    "another kind": ({"content": b"x", "kind": "image/gif"}, 415, "application/json or one of image/jpeg, image/png"),
    "a form": ({"content": b"strokes=1", "kind": "application/x-www-form-urlencoded"}, 415, "Send application/json"),
    "no kind": ({"content": body(SEVEN), "kind": ""}, 415, "Send application/json"),
}


@pytest.mark.parametrize(("request_", "status", "words"), REFUSED.values(), ids=REFUSED)
def test_a_bad_request_is_refused_with_a_documented_status_and_its_reason(
    api: Caller, request_: dict[str, Any], status: int, words: str
) -> None:
    answer = api.predict(**request_)
    assert (answer.status_code, words in error_of(answer)) == (status, True), answer.text
    assert str(status) in OPENAPI["paths"]["/predict"]["post"]["responses"]


async def pieces(sent: list[int], kilobytes: int) -> AsyncIterator[bytes]:
    for number in range(kilobytes):
        sent.append(number)
        yield b" " * 1024


@pytest.mark.parametrize(("kind", "limit"), [("application/json", MAX_STROKES_BYTES), ("image/png", MAX_BYTES)])
def test_a_body_of_unannounced_length_is_abandoned_at_the_limit(api: Caller, kind: str, limit: int) -> None:
    sent: list[int] = []
    answer = api.predict(pieces(sent, 2 * limit // 1024), kind)
    assert answer.status_code == 413 and "longer than" in error_of(answer)
    assert len(sent) == limit // 1024 + 1


def test_a_body_announced_as_too_long_is_not_read(api: Caller) -> None:
    sent: list[int] = []
    answer = api.predict(pieces(sent, 1), headers={"Content-Length": "9" * 30})
    assert (answer.status_code, sent) == (413, [])


async def slowly(content: bytes, sending: threading.Event, end: threading.Event) -> AsyncIterator[bytes]:
    yield content
    sending.set()
    while not end.is_set():
        await asyncio.sleep(0.01)


def test_a_body_is_refused_while_unfinished_bodies_fill_the_memory_limit(
    make_api: MakeApi, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, content = make_api(), picture(SEVEN)
    monkeypatch.setattr("mnist_app.api.MAX_TAKEN_IN", 3 * len(content))
    png, sending = {"Content-Type": "image/png"}, [threading.Event() for _ in range(3)]
    slow = [api.begin("POST", "/api/predict", content=slowly(content, one, gate), headers=png) for one in sending]
    assert all(one.wait(SOON) for one in sending)
    refused = api.predict(content, "image/png")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert error_of(refused) == "Too much is being sent at once. Try again in a second."
    assert api.predict(body(SEVEN)).status_code == 200, "drawings have a memory limit of their own"
    gate.set()
    assert [one.result(SOON).json()["digit"] for one in slow] == [7] * 3
    assert api.predict(content, "image/png").status_code == 200


def test_a_body_that_never_ends_times_out_and_frees_its_room(
    make_api: MakeApi, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = make_api()
    monkeypatch.setattr("mnist_app.api.BODY_TIMEOUT", 0.1)
    monkeypatch.setattr("mnist_app.api.MAX_TAKEN_IN", len(body(SEVEN)))
    answer = api.predict(slowly(body(SEVEN), threading.Event(), gate))
    assert (answer.status_code, "seconds to arrive" in error_of(answer)) == (408, True)
    assert "408" in OPENAPI["paths"]["/predict"]["post"]["responses"]
    assert api.predict(body(SEVEN)).status_code == 200, "the memory that it took is free again"


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/nothing", "/api/predict/", "/api//health", "/api/%2e%2e/x"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_path_is_not_found(api: Caller, method: str, path: str) -> None:
    answer = api(method, path)
    assert (answer.status_code, error_of(answer)) == (404, "There is nothing at this path. See /api/openapi.json.")


def test_paths_outside_the_api_are_left_to_the_pages(api: Caller) -> None:
    assert [api("GET", path).text for path in ("/", "/apis", "/api.json")] == ["a page"] * 3


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "predict"), ("PUT", "predict"), ("OPTIONS", "predict"), ("POST", "models"), ("DELETE", "health")],
)
def test_an_unsupported_method_is_refused(api: Caller, method: str, path: str) -> None:
    answer = api(method, f"/api/{path}")
    assert (answer.status_code, "does not support that method" in error_of(answer)) == (405, True)
    assert answer.headers["allow"]


@pytest.mark.parametrize(
    "origin", ["http://elsewhere", "http://here.elsewhere", "http://here:81", "null", "here", "http://[", "", "x://"]
)
@pytest.mark.parametrize(("method", "path"), [("POST", "predict"), ("GET", "models"), ("GET", "nothing")])
def test_pages_of_another_origin_are_refused(make_api: MakeApi, origin: str, method: str, path: str) -> None:
    api = make_api(own_origins=["https://listed"])
    answer = api(method, f"/api/{path}", headers={"Origin": origin})
    assert (answer.status_code, error_of(answer)) == (403, "Pages of another origin may not call this API.")


@pytest.mark.parametrize("origin", ["http://here", "https://here", "https://listed"])
def test_pages_of_own_and_listed_origins_may_call(make_api: MakeApi, origin: str) -> None:
    api = make_api(own_origins=["https://listed"])
    assert api.predict(body(SEVEN), headers={"Origin": origin}).json()["digit"] == 7


def test_every_page_may_call_if_the_server_allows_all_origins(make_api: MakeApi) -> None:
    api = make_api(own_origins=None)
    assert api.predict(body(SEVEN), headers={"Origin": "http://elsewhere"}).json()["digit"] == 7


# Server errors


def test_a_model_that_cannot_be_loaded_is_reported(make_api: MakeApi) -> None:
    def broken(name: str) -> Recogniser:
        raise ModelError(f"{name} is broken.")

    answer = make_api(broken).predict(body(SEVEN))
    assert (answer.status_code, error_of(answer)) == (503, "This model cannot be loaded. See the server's log.")


def test_an_unexpected_error_reaches_the_server_but_not_the_client(make_api: MakeApi) -> None:
    def faulty(_: str) -> Recogniser:
        raise ZeroDivisionError("secret")

    answer = make_api(faulty, raises_faults=False).predict(body(SEVEN))
    assert (answer.status_code, "secret" in error_of(answer)) == (500, False)
    with pytest.raises(ZeroDivisionError):
        make_api(faulty).predict(body(SEVEN))


def slow(gate: threading.Event, model: Recogniser) -> Callable[[str], Recogniser]:
    def load(_: str) -> Recogniser:
        gate.wait(2 * SOON)
        return model

    return load


@pytest.mark.parametrize(
    ("content", "kind", "room"), [(body(SEVEN), "application/json", MAX_WAITING), (picture(SEVEN), "image/png", 8)]
)
def test_requests_are_refused_at_once_when_too_many_wait(
    make_api: MakeApi, shipped_model: Recogniser, gate: threading.Event, content: bytes, kind: str, room: int
) -> None:
    api = make_api(slow(gate, shipped_model))
    headers = {"Content-Type": kind}
    asked = [api.begin("POST", "/api/predict", content=content, headers=headers) for _ in range(room)]
    began = time.monotonic()
    refused = [api.predict(content, kind) for _ in range(5)]
    assert time.monotonic() - began < SOON / 2
    assert {(answer.status_code, answer.headers["retry-after"]) for answer in refused} == {(503, "1")}
    assert all("Try again in a second." in error_of(answer) for answer in refused)
    assert not any(future.done() for future in asked)
    gate.set()
    assert [future.result(SOON).json()["digit"] for future in asked] == [7] * room
    assert api.predict(content, kind).status_code == 200


def test_a_failing_batch_gives_all_its_items_the_error_and_the_next_is_served(shipped_model: Recogniser) -> None:
    reading = read_drawing(shipped_model, Drawing.from_points(SEVEN))
    served: list[list[str]] = []

    def serve(items: Sequence[str]) -> list[Reading]:
        served.append(list(items))
        if "poison" in items:
            raise ZeroDivisionError("a bug")
        return [reading] * len(items)

    async def ask() -> list[Reading | BaseException]:
        batcher = Batcher(serve, max_waiting=9, patience=SOON, max_batch=3)
        together = ("poison", "a", "b", "c", "poison", "d", "e")
        answers = await asyncio.wait_for(asyncio.gather(*map(batcher.ask, together), return_exceptions=True), SOON)
        return [*answers, await asyncio.wait_for(batcher.ask("later"), SOON)]

    with start_blocking_portal() as portal:
        answers = portal.call(ask)
    assert served == [["poison", "a", "b"], ["c", "poison", "d"], ["e"], ["later"]]
    assert all(isinstance(answer, ZeroDivisionError) for answer in answers[:6])
    assert answers[6:] == [reading, reading]


def test_a_request_is_refused_once_the_oldest_has_waited_too_long(
    shipped_model: Recogniser, gate: threading.Event
) -> None:
    reading = read_drawing(shipped_model, Drawing.from_points(SEVEN))

    def serve(items: Sequence[str]) -> list[Reading]:
        gate.wait(2 * SOON)
        return [reading] * len(items)

    async def ask() -> list[Reading]:
        batcher = Batcher(serve, max_waiting=9, patience=0.01, max_batch=9)
        first = asyncio.create_task(batcher.ask("first"))
        await asyncio.sleep(0.1)
        with pytest.raises(HTTPException) as refused:
            await batcher.ask("next")
        assert refused.value.status_code == 503
        gate.set()
        return [await first, await batcher.ask("later")]

    with start_blocking_portal() as portal:
        assert portal.call(ask) == [reading, reading]


def test_refused_requests_take_up_no_place_in_the_queue(api: Caller) -> None:
    for _ in range(2 * MAX_WAITING):
        assert api.predict(body([])).status_code == 422
    assert api.predict(body(SEVEN)).status_code == 200


def test_pictures_do_not_hold_up_strokes(make_api: MakeApi, shipped_model: Recogniser, gate: threading.Event) -> None:
    loading = threading.Event()

    def only_the_first_is_slow(name: str) -> Recogniser:
        if not loading.is_set():
            loading.set()
            gate.wait(2 * SOON)
        return shipped_model

    api = make_api(only_the_first_is_slow)
    held_up = api.begin("POST", "/api/predict", content=picture(SEVEN), headers={"Content-Type": "image/png"})
    assert loading.wait(SOON)
    assert api.predict(body(SEVEN)).json()["digit"] == 7
    assert not held_up.done()


def test_other_routes_answer_while_a_drawing_is_read(
    make_api: MakeApi, shipped_model: Recogniser, gate: threading.Event
) -> None:
    api = make_api(slow(gate, shipped_model))
    reading = api.begin("POST", "/api/predict", content=body(SEVEN), headers={"Content-Type": "application/json"})
    assert [api("GET", f"/api/{path}").status_code for path in ("health", "models", "openapi.json")] == [200] * 3
    assert not reading.done()


def test_concurrent_requests_each_get_their_own_answer(api: Caller) -> None:
    headers = {"Content-Type": "application/json"}
    asked = [
        (digit, api.begin("POST", "/api/predict", content=body(strokes), headers=headers))
        for strokes, digit in DIGITS * 10
    ]
    wait([future for _, future in asked], SOON)
    assert all(future.result().json()["digit"] == digit for digit, future in asked)


# Models, health and documentation


def test_the_listed_models_are_those_of_the_registry(api: Caller) -> None:
    answer = api("GET", "/api/models").json()
    cards = {name: load_card(folder) for name, folder in model_folders().items()}
    assert [(model["name"], model["parameters"]) for model in answer["models"]] == [
        (name, card.parameters) for name, card in cards.items()
    ]
    assert answer["default"] in cards


def test_a_broken_model_is_not_listed(api: Caller, own_home: Any) -> None:
    (own_home / "models" / "broken").mkdir(parents=True)
    names = [model["name"] for model in api("GET", "/api/models").json()["models"]]
    assert names == ["ink-cnn", "ensemble", "mnist-cnn", "robust-cnn"]


def test_health_tells_version_and_uptime(api: Caller) -> None:
    first, second = (api("GET", "/api/health").json() for _ in range(2))
    assert first["version"] == mnist_app.__version__
    assert 0 <= first["uptime"] <= second["uptime"]


def schema(path: str, method: str, status: int = 200) -> Any:
    response = OPENAPI["paths"][path][method]["responses"][str(status)]
    return response["content"]["application/json"]["schema"]


def test_the_openapi_document_lists_every_route_and_no_other(api: Caller, shipped_model: Recogniser) -> None:
    routes = [route for route in create_api(lambda _: shipped_model).routes if isinstance(route, Route)]
    offered = {route.path: {*(route.methods or ())} - {"HEAD"} for route in routes if route.path != "/openapi.json"}
    listed = {path: {method.upper() for method in methods} for path, methods in OPENAPI["paths"].items()}
    assert listed == offered
    assert api("GET", "/api/openapi.json").json() == OPENAPI


def test_the_openapi_responses_have_valid_fields_and_schemas() -> None:
    operations = [operation for path in OPENAPI["paths"].values() for operation in path.values()]
    for response in [response for operation in operations for response in operation["responses"].values()]:
        assert set(response) <= {"description", "headers", "content", "links"}  # OpenAPI 3.1's response object
        jsonschema.Draft202012Validator.check_schema(response["content"]["application/json"]["schema"])


@pytest.mark.parametrize("path", ["/models", "/health"])
def test_models_and_health_answers_match_their_schemas(api: Caller, path: str) -> None:
    jsonschema.validate(api("GET", f"/api{path}").json(), schema(path, "get"))


@pytest.mark.parametrize("strokes", [SEVEN, [[[0, 0]]], [[[0, 0], [1e-9, 9]], [[5, 5]]]])
def test_predict_requests_and_answers_match_their_schemas(api: Caller, strokes: Strokes) -> None:
    request = OPENAPI["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    jsonschema.validate({"strokes": strokes}, request)
    jsonschema.validate(api.predict(body(strokes)).json(), schema("/predict", "post"))


# Whatever is sent, the answer is well-formed

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
points = st.tuples(st.floats(-1e6, 1e6) | st.integers() | st.floats(), st.floats(-400, 400) | st.integers(-9, 9))
PICTURES = {kind: picture(SEVEN, kind.removeprefix("image/")) for kind in IMAGE_TYPES}
CHUNKS = b"tEXt zTXt iTXt iCCP gAMA eXIf tRNS PLTE pHYs sRGB cHRM acTL fcTL fdAT IHDR IDAT IEND".split()
unheard = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow's warnings are for the log
many = settings(max_examples=500, deadline=None)
some = settings(max_examples=300, deadline=None)


def assert_it_makes_sense(answer: httpx.Response) -> None:
    assert answer.headers["content-type"] == "application/json"
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.text
    documented = schema("/predict", "post", 200 if answer.status_code == 200 else 400)
    # Not jsonschema.validate(): it would check the schema itself every time, which an earlier test has done already.
    jsonschema.Draft202012Validator(documented).validate(answer.json())
    if answer.status_code == 200:
        assert sum(answer.json()["probabilities"]) == pytest.approx(1)


@many
@given(st.binary(max_size=60))
def test_any_bytes_get_a_well_formed_answer(api: Caller, content: bytes) -> None:
    assert_it_makes_sense(api.predict(content))


@many
@given(json_values, json_values)
def test_any_json_gets_a_well_formed_answer(api: Caller, strokes: object, model: object) -> None:
    assert_it_makes_sense(api.predict(body(strokes)))
    assert_it_makes_sense(api.predict(body(SEVEN, model=model)))


@many
@given(st.lists(st.lists(points, max_size=6), max_size=5))
def test_any_strokes_get_a_well_formed_answer(api: Caller, strokes: Any) -> None:
    assert_it_makes_sense(api.predict(body(strokes)))


@many
@given(st.integers(0, len(body(SEVEN)) - 1), st.integers(0, 20), st.binary(max_size=5))
def test_a_damaged_drawing_gets_a_well_formed_answer(api: Caller, at: int, length: int, instead: bytes) -> None:
    whole = body(SEVEN)
    assert_it_makes_sense(api.predict(whole[:at] + instead + whole[at + length :]))


@some
@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
    | st.sampled_from(["application/json", *IMAGE_TYPES])
)
def test_any_content_type_gets_a_well_formed_answer(api: Caller, kind: str) -> None:
    assert_it_makes_sense(api.predict(body(SEVEN), kind))


@some
@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"]),
    st.lists(st.sampled_from(["predict", "models", "health", "openapi.json", "", "é", "%00"]) | st.text("a/%5")),
)
def test_any_method_and_path_get_a_json_answer(api: Caller, method: str, parts: list[str]) -> None:
    answer = api(method, httpx.URL("http://here", path="/api/" + "/".join(parts)))
    assert answer.status_code in (200, 404, 405, 415) and answer.headers["content-type"] == "application/json"


@unheard
@some
@given(st.sampled_from(sorted(IMAGE_TYPES)), st.integers(0, 10**6), st.integers(0, 30), st.binary(max_size=8))
def test_a_damaged_picture_gets_a_well_formed_answer(
    api: Caller, kind: str, at: int, length: int, instead: bytes
) -> None:
    whole = PICTURES[kind]
    at %= len(whole)
    assert_it_makes_sense(api.predict(whole[:at] + instead + whole[at + length :], kind))


@unheard
@some
@given(st.lists(st.tuples(st.sampled_from(CHUNKS), st.binary(max_size=40)), max_size=4))
def test_a_png_with_strange_chunks_gets_a_well_formed_answer(api: Caller, chunks: list[tuple[bytes, bytes]]) -> None:
    whole = PICTURES["image/png"]
    strange = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    assert_it_makes_sense(api.predict(whole[:33] + b"".join(strange) + whole[33:], "image/png"))
