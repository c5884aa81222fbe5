"""The OpenAPI description of the REST API."""

from typing import Any

import mnist_app

_FOREIGN = {403: "The request came from a page of another origin."}
_REASONS = _FOREIGN | {
    400: "The body is not JSON.",
    404: "There is no such model.",
    408: "The body took too long to arrive.",
    413: "The body is too long.",
    415: "The body has an unsupported type or encoding.",
    422: "The body contains no valid drawing or picture, or no ink.",
    503: "There are too many requests at once, or the model cannot be loaded.",
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _errors(reasons: dict[int, str]) -> dict[str, Any]:
    return {str(status): _json(why, _ERROR) for status, why in reasons.items()}


_ERROR = _object(error={"type": "string", "description": "One sentence that says what is wrong."})
_POINT = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
_STROKES = {
    "type": "array",
    "maxItems": 200,
    "items": {"type": "array", "items": _POINT},
    "description": "Strokes in writing order, points [x, y] with y downwards, any unit; at most 20,000 points, 256 kB.",
}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_NAME = {"type": "string", "description": "A model's name, as listed by /models."}

_DIGIT = {"type": "integer", "minimum": 0, "maximum": 9}
_BOX = {
    "type": ["array", "null"],
    "items": {"type": "number"},
    "minItems": 4,
    "maxItems": 4,
    "description": "Left, top, right and bottom, in the drawing's unit; null for a picture.",
}
_ALONE = {"type": "boolean", "description": "False if it would not be read as a digit on its own."}
_READING = _object(
    text={"type": ["string", "null"], "description": "The digit or digits read; null if it is not a digit."},
    words={"type": "string", "description": "The confidence in words."},
    digits={
        "type": "array",
        "items": _object(digit=_DIGIT, is_digit=_ALONE, confidence=_SHARE, box=_BOX),
        "minItems": 1,
        "description": "From left to right.",
    },
    digit={**_DIGIT, "description": "The least confident digit; confidence and probabilities are those of this digit."},
    is_digit={"type": "boolean", "description": "False if the whole is probably no digit: a letter, a scribble."},
    confidence=_SHARE,
    probabilities={"type": "array", "items": _SHARE, "minItems": 10, "maxItems": 10},
    model=_NAME,
)
_MODEL = _object(name=_NAME, summary={"type": "string"}, parameters={"type": "integer"}, metrics={"type": "object"})

OPENAPI: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Draw a digit", "version": mnist_app.__version__},
    "servers": [{"url": "../api"}],
    "paths": {
        "/predict": {
            "post": {
                "summary": "Read a drawing or a picture of a digit.",
                "parameters": [{"name": "model", "in": "query", "schema": _NAME, "description": "For pictures."}],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["strokes"],
                                "properties": {"strokes": _STROKES, "model": _NAME},
                            }
                        },
                        "image/png": _BINARY,
                        "image/jpeg": _BINARY,
                        "image/webp": _BINARY,
                    },
                },
                "responses": {
                    "200": _json("What was read.", _READING),
                    **_errors(_REASONS),
                },
            }
        },
        "/models": {
            "get": {
                "summary": "List the models.",
                "responses": {
                    "200": _json(
                        "All models.", _object(models={"type": "array", "items": _MODEL}, default={"type": "string"})
                    ),
                    **_errors(_FOREIGN),
                },
            }
        },
        "/health": {
            "get": {
                "summary": "Check whether the server is up.",
                "responses": {
                    "200": _json(
                        "The server is up.",
                        _object(
                            version={"type": "string"}, default_model=_NAME, uptime={"type": "number", "minimum": 0}
                        ),
                    ),
                    **_errors(_FOREIGN),
                },
            }
        },
    },
}
