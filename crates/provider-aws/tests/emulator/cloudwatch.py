"""CloudWatch in the protocol that new clients speak (Smithy RPC v2 with CBOR), which moto does not know.

Requests become the older query protocol, and moto's answers become CBOR. Source: "Smithy RPC v2 CBOR
protocol" (smithy.io), read 2026-11. botocore knows both protocols; nothing is encoded here by hand.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import BaseCBORParser, QueryParser
from botocore.serialize import CBORSerializer, QuerySerializer

PREFIX = "/service/GraniteServiceVersion20100801/operation/"
CBOR = "application/cbor"
PROTOCOL = "rpc-v2-cbor"


class _Reader(BaseCBORParser):
    """Reads one CBOR value; botocore has this only as a part of its parser of answers."""

    def _do_parse(self, response: Any, shape: Any) -> Any:
        raise NotImplementedError

    def _do_error_parse(self, response: Any, shape: Any) -> Any:
        raise NotImplementedError


class _Writer(CBORSerializer):
    """Writes one value as CBOR."""

    TIMESTAMP_FORMAT = "unixtimestamp"

    def write(self, value: Any, shape: Any) -> bytes:
        data = bytearray()
        self._serialize_data_item(data, value, shape)
        return bytes(data)


@lru_cache
def _service() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("cloudwatch", "service-2"), "cloudwatch")


def is_rpc(environ: dict[str, Any]) -> bool:
    """Whether a request speaks the new protocol."""
    return environ.get("PATH_INFO", "").startswith(PREFIX)


def to_query(environ: dict[str, Any], body: bytes) -> tuple[OperationModel, bytes]:
    """Makes the request one of the query protocol, in place; answers its operation and new body."""
    operation = _service().operation_model(environ["PATH_INFO"].removeprefix(PREFIX))
    reader = _Reader()
    values = reader.parse_data_item(io.BufferedReader(io.BytesIO(body))) if body else {}
    form = QuerySerializer().serialize_to_request(values or {}, operation)["body"]
    environ["PATH_INFO"] = environ["RAW_URI"] = environ["REQUEST_URI"] = "/"
    environ["CONTENT_TYPE"] = "application/x-www-form-urlencoded; charset=utf-8"
    return operation, urlencode(form).encode()


def to_cbor(operation: OperationModel, status: str, data: bytes) -> tuple[str, list[tuple[str, str]], bytes]:
    """Makes an answer of the query protocol one of the new protocol."""
    headers = [("Content-Type", CBOR), ("smithy-protocol", PROTOCOL)]
    code = int(status.split(" ", 1)[0])
    parsed = QueryParser().parse({"status_code": code, "headers": {}, "body": data}, operation.output_shape)
    if code >= 300:
        error = parsed.get("Error", {})
        # A map of two texts, as every error is: {"__type": ..., "message": ...}.
        texts = ("__type", error.get("Code", "InternalFailure"), "message", error.get("Message", ""))
        return status, headers, b"\xa2" + b"".join(_text(text) for text in texts)
    parsed.pop("ResponseMetadata", None)
    if operation.output_shape is None:
        return status, headers, b"\xa0"
    return status, headers, _Writer().write(parsed, operation.output_shape)


def _text(text: str) -> bytes:
    data = text.encode()
    length = len(data)
    head = bytes([0x60 | length]) if length < 24 else b"\x79" + length.to_bytes(2, "big")
    return head + data
