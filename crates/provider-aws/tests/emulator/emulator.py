"""An AWS for tests: moto, made to follow AWS's documented rules, on a clock of its own.

    python emulator.py --host 127.0.0.1 --port 0 --clock manual --seed 1

Prints `ready PORT` once it listens.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import socket
import sys
import threading
import time
import traceback
from typing import Any, Callable, Iterable
from urllib.parse import parse_qsl

# moto's launch template versions assert on user data that is right, so asserts must be off; and
# a thousand built-in images would make every search slow.
ENVIRONMENT = {
    "PYTHONOPTIMIZE": "1",
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    "MOTO_ENABLE_AMI_VALIDATION": "true",
    "MOTO_DISABLE_GLOBAL_CORS": "true",
}
TICK_SECONDS = 0.05
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 500: "Internal Server Error", 503: "Service Unavailable"}


def restart_with_environment() -> None:
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()) or not sys.flags.optimize:
        os.environ.update(ENVIRONMENT)
        os.execv(sys.executable, [sys.executable, os.path.abspath(__file__), *sys.argv[1:]])


class Emulator:
    """The WSGI application: control endpoints, faults, buckets, and moto behind them."""

    def __init__(self) -> None:
        import moto.backends
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        import compute
        import dns
        import group_api
        import instance_api
        import quotas
        import targets
        from control import Control

        for module in (compute, dns, group_api, instance_api, quotas, targets):
            module.install()
        use_clock_in_moto()

        def create_loud_app(service: Any) -> Any:
            """moto's application, that does not turn exceptions into HTML."""
            app = create_backend_app(service)
            app.config["PROPAGATE_EXCEPTIONS"] = True
            app.log_exception = lambda error: None
            return app

        modules = tuple(moto.backends.list_of_moto_modules())
        # moto lists its directory twice for every request.
        moto.backends.list_of_moto_modules = lambda: modules  # type: ignore[assignment]
        self.moto = DomainDispatcherApplication(create_loud_app)
        self.control = Control()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        chunked = environ.get("wsgi.input_terminated") and not environ.get("CONTENT_LENGTH")
        body = environ["wsgi.input"].read() if chunked else environ["wsgi.input"].read(length)
        path = environ.get("PATH_INFO", "/")
        if path.startswith("/control/"):
            return self._control(environ, path.removeprefix("/control/"), body, start_response)
        if path.startswith("/moto-api/"):
            environ["wsgi.input"] = io.BytesIO(body)
            return self.moto(environ, start_response)
        return self._api(environ, body, start_response)

    def _control(self, environ: dict[str, Any], path: str, body: bytes, start_response: Any) -> Iterable[bytes]:
        from control import NotFound
        from world import WORLD

        status, answer = 200, None
        try:
            query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
            with WORLD.lock:
                answer = self.control.answer(environ["REQUEST_METHOD"], path, json.loads(body or b"{}"), query)
        except NotFound as error:
            status, answer = 404, {"error": str(error)}
        except (ValueError, KeyError, TypeError) as error:
            status, answer = 400, {"error": f"{type(error).__name__}: {error}"}
        return respond(start_response, status, "application/json", json.dumps(answer).encode())

    def _api(self, environ: dict[str, Any], body: bytes, start_response: Any) -> Iterable[bytes]:
        import cloudwatch
        from faults import wait
        from services import Call, throttle_answer
        from world import WORLD

        operation = None
        if cloudwatch.is_rpc(environ):
            operation, body = cloudwatch.to_query(environ, body)
        call = Call(environ, body)
        with WORLD.lock:
            faults = self.control.faults.of(call)
            answers = [answer for answer in (fault.answer(call) for fault in faults) if answer is not None]
            throttled = not self.control.buckets.allows(call)
            refused = throttle_answer(call) if throttled else (answers[0] if answers else None)
            throttled = throttled or any(fault.kind == "throttle" for fault in faults)
            self.control.calls.count(call, throttled)
        wait(faults)
        kinds = {fault.kind for fault in faults}
        if "cut" in kinds:
            hang_up(environ)
        if refused is not None:
            code, content_type, data = refused
            status, headers = f"{code} {REASONS.get(code, 'Error')}", [("Content-Type", content_type)]
        else:
            status, headers, data = self._execute(call, environ, body)
        if operation is not None:
            status, headers, data = cloudwatch.to_cbor(operation, status, data)
        if "lost" in kinds:
            hang_up(environ)
        start_response(status, headers)
        return [data]

    def _execute(self, call: Any, environ: dict[str, Any], body: bytes) -> tuple[str, list[Any], bytes]:
        """Lets moto answer, with the groups brought up to the present before and after."""
        from botocore.model import OperationNotFoundError

        from services import error_answer
        from world import WORLD

        started: list[tuple[str, list[Any]]] = []

        def remember(status: str, headers: list[Any], exc_info: Any = None) -> Callable[[bytes], Any]:
            started.append((status, headers))
            return lambda data: None

        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        with WORLD.lock:
            WORLD.settle()
            try:
                answer = self.moto(environ, remember)
                data = b"".join(answer)
                if hasattr(answer, "close"):
                    answer.close()
                WORLD.settle()
                status, headers = started[-1]
                return status, headers, data
            except (NotImplementedError, OperationNotFoundError):
                failure = error_answer(call, 400, "InvalidAction", f"The action {call.action} is not valid for this endpoint.")
            except Exception as error:  # noqa: BLE001: moto must not answer with HTML
                failure = explain(call, error)
        code, content_type, data = failure
        return f"{code} {REASONS.get(code, 'Error')}", [("Content-Type", content_type)], data


def explain(call: Any, error: Exception) -> tuple[int, str, bytes]:
    """The answer to a call at which moto raised something that is not an AWS error."""
    from services import error_answer
    from world import WORLD

    group = call.form.get("AutoScalingGroupName")
    # moto looks groups up without asking whether they exist.
    known = {name for _, _, name in WORLD.engines}
    if call.service == "autoscaling" and group and group not in known and isinstance(error, (IndexError, KeyError)):
        return error_answer(call, 400, "ValidationError", "AutoScalingGroup name not found - null")
    traceback.print_exc()
    return error_answer(call, 500, "InternalFailure", f"{type(error).__name__}: {error}")


def respond(start_response: Any, status: int, content_type: str, body: bytes) -> Iterable[bytes]:
    headers = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    start_response(f"{status} {REASONS.get(status, 'Error')}", headers)
    return [body]


def hang_up(environ: dict[str, Any]) -> None:
    """Closes the connection without an answer."""
    connection = environ.get("werkzeug.socket")
    if connection is not None:
        connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("the connection is cut on purpose")


def use_clock_in_moto() -> None:
    """Makes moto stamp what it creates with the emulator's time."""
    import moto.autoscaling.models
    import moto.ec2.models.instances
    import moto.ec2.models.launch_templates
    import moto.route53.responses

    from world import WORLD

    for module in (
        moto.autoscaling.models,
        moto.ec2.models.instances,
        moto.ec2.models.launch_templates,
        moto.route53.responses,
    ):
        module.utcnow = lambda: WORLD.clock.now()  # type: ignore[attr-defined]


def tick_for_ever() -> None:
    """With the wall clock things also happen while nobody asks."""
    from world import WORLD

    while True:
        time.sleep(TICK_SECONDS)
        with WORLD.lock:
            try:
                WORLD.settle()
            except Exception:  # noqa: BLE001: the clock must go on
                traceback.print_exc()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--clock", choices=("real", "manual"), default="real")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    restart_with_environment()

    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from werkzeug.serving import make_server

    from world import WORLD

    class QuietHandler(MotoRequestHandler):
        def log(self, *_: Any) -> None:
            pass

    WORLD.clock.manual = arguments.clock == "manual"
    WORLD.set_seed(arguments.seed)
    server = make_server(arguments.host, arguments.port, Emulator(), threaded=True, request_handler=QuietHandler)
    if arguments.clock == "real":
        threading.Thread(target=tick_for_ever, daemon=True).start()
    print(f"ready {server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
