"""Which service and action an HTTP request is for, and how that service words an error."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

ROUTE53 = (
    ("POST", r"/hostedzone/[^/]+/rrset/?$", "ChangeResourceRecordSets"),
    ("GET", r"/hostedzone/[^/]+/rrset/?$", "ListResourceRecordSets"),
    ("GET", r"/change/[^/]+$", "GetChange"),
    ("GET", r"/hostedzonesbyname", "ListHostedZonesByName"),
    ("GET", r"/hostedzone/[^/]+$", "GetHostedZone"),
    ("DELETE", r"/hostedzone/[^/]+$", "DeleteHostedZone"),
    ("GET", r"/hostedzone$", "ListHostedZones"),
    ("POST", r"/hostedzone$", "CreateHostedZone"),
)
# The names that the control endpoints use, by the signing name of a service.
ALIASES = {"elasticloadbalancing": "elbv2", "monitoring": "cloudwatch"}
ELB_CLASSIC_VERSION = "2012-06-01"
# HTTP status and code of a throttled call. Source: "Common errors" of each API reference and
# "Error responses" of Amazon S3, read 2026-11.
THROTTLES = {
    "ec2": (503, "RequestLimitExceeded"),
    "s3": (503, "SlowDown"),
}
DEFAULT_THROTTLE = (400, "Throttling")


class Call:
    """An API call as it comes in."""

    def __init__(self, environ: dict[str, Any], body: bytes) -> None:
        self.method = environ["REQUEST_METHOD"]
        self.path = environ.get("PATH_INFO", "/")
        self.form: dict[str, str] = {}
        self.service = signed_service(environ.get("HTTP_AUTHORIZATION", ""))
        self.account = environ.get("HTTP_X_MOTO_ACCOUNT_ID") or access_key(environ.get("HTTP_AUTHORIZATION", ""))
        self.json_target = environ.get("HTTP_X_AMZ_TARGET", "")
        if "x-www-form-urlencoded" in environ.get("CONTENT_TYPE", ""):
            self.form = {key: values[0] for key, values in parse_qs(body.decode("utf-8", "replace")).items()}
        elif not body and "Action=" in environ.get("QUERY_STRING", ""):
            self.form = {key: values[0] for key, values in parse_qs(environ["QUERY_STRING"]).items()}
        if self.service == "elasticloadbalancing" and self.form.get("Version") == ELB_CLASSIC_VERSION:
            self.service = "elb"
        self.service = ALIASES.get(self.service, self.service)
        self.action = self._action()

    def _action(self) -> str:
        if "Action" in self.form:
            return self.form["Action"]
        if self.json_target:
            return self.json_target.rsplit(".", 1)[-1]
        if self.service == "route53":
            for method, pattern, name in ROUTE53:
                if method == self.method and re.search(pattern, self.path):
                    return name
        if self.service == "s3":
            return f"{self.method} {'object' if self.path.strip('/').count('/') else 'bucket'}"
        return f"{self.method} {self.path}"

    @property
    def name(self) -> str:
        return f"{self.service}:{self.action}"


def signed_service(authorization: str) -> str:
    found = re.search(r"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/", authorization)
    return found.group(1).lower() if found else "unknown"


def access_key(authorization: str) -> str:
    found = re.search(r"Credential=([^/]+)/", authorization)
    return found.group(1) if found else ""


def error_answer(call: Call, status: int, code: str, message: str) -> tuple[int, str, bytes]:
    """Status, content type and body of an error in the envelope of the service."""
    request_id = "00000000-0000-4000-8000-000000000000"
    code_xml, message_xml = escape(code), escape(message)
    kind = "Sender" if status < 500 else "Receiver"
    if call.json_target:
        body = json.dumps({"__type": code, "message": message})
        return status, "application/x-amz-json-1.1", body.encode()
    if call.service == "ec2":
        body = (
            f"<Response><Errors><Error><Code>{code_xml}</Code><Message>{message_xml}</Message></Error></Errors>"
            f"<RequestID>{request_id}</RequestID></Response>"
        )
    elif call.service == "s3":
        body = f"<Error><Code>{code_xml}</Code><Message>{message_xml}</Message><RequestId>{request_id}</RequestId></Error>"
    else:
        body = (
            f"<ErrorResponse><Error><Type>{kind}</Type><Code>{code_xml}</Code><Message>{message_xml}</Message></Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    return status, "text/xml", ('<?xml version="1.0" encoding="UTF-8"?>\n' + body).encode()


def throttle_answer(call: Call) -> tuple[int, str, bytes]:
    status, code = THROTTLES.get(call.service, DEFAULT_THROTTLE)
    return error_answer(call, status, code, "Rate exceeded")
