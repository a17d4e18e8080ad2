"""gRPC interceptors that record what is asked of BigQuery, and break it on purpose."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status


class Broken(grpc.RpcError, grpc.Call):
    """What a broken call raises, with the server's details about when to come back."""

    def __init__(self, code: grpc.StatusCode, text: str = "injected", retry_after_s: float | None = None):
        super().__init__(text)
        self._code, self._text, self._metadata = code, text, ()
        if retry_after_s is not None:
            delay = duration_pb2.Duration(nanos=int(retry_after_s * 1e9))
            packed = any_pb2.Any()
            packed.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
            status = status_pb2.Status(code=code.value[0], message=text, details=[packed])
            assert status.code in code_pb2.Code.values()
            self._metadata = rpc_status.to_status(status).trailing_metadata

    def code(self):
        return self._code

    def details(self):
        return self._text

    def trailing_metadata(self):
        return self._metadata

    def initial_metadata(self):
        return ()

    def is_active(self):
        return False

    def time_remaining(self):
        return None

    def cancel(self):
        return False

    def add_callback(self, callback):
        return False

    # The library has an interceptor of its own around this one, and asks an error for its outcome as if it were a call.
    def result(self, timeout=None):
        raise self

    def exception(self, timeout=None):
        return self


class _Failing:
    """A stream that yields some messages and then breaks."""

    def __init__(self, messages: Iterator[Any], error: Broken):
        self._messages, self._error = messages, error

    def __iter__(self):
        return self

    def __next__(self):
        for message in self._messages:
            return message
        raise self._error

    def __getattr__(self, name):
        return getattr(self._error, name)


@dataclass
class Faults(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamStreamClientInterceptor):
    """Records requests by method; `broken[method]` holds, per call to come, after how many messages which error comes."""

    requests: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    broken: dict[str, list[tuple[int, Broken] | None]] = field(default_factory=lambda: defaultdict(list))

    def intercept_unary_unary(self, continuation, client_call_details, request):
        name = client_call_details.method.rsplit("/", 1)[-1]
        self.requests[name].append(request)
        fault = self.broken[name].pop(0) if self.broken[name] else None
        return fault[1] if fault else continuation(client_call_details, request)

    def intercept_unary_stream(self, continuation, client_call_details, request):
        name = client_call_details.method.rsplit("/", 1)[-1]
        self.requests[name].append(request)
        fault = self.broken[name].pop(0) if self.broken[name] else None
        call = continuation(client_call_details, request)
        return _Failing(_first(call, fault[0]), fault[1]) if fault else call

    def intercept_stream_stream(self, continuation, client_call_details, request_iterator):
        name = client_call_details.method.rsplit("/", 1)[-1]
        fault = self.broken[name].pop(0) if self.broken[name] else None
        call = continuation(client_call_details, self._recorded(name, request_iterator))
        return _Failing(_first(call, fault[0]), fault[1]) if fault else call

    def _recorded(self, name, requests):
        for request in requests:
            self.requests[name].append(request)
            yield request


def _first(call: Any, count: int) -> Iterator[Any]:
    """Yield the first messages, and drop the next: a server that has begun it knows that these have left."""
    taken = [message for _, message in zip(range(count + 1), call, strict=False)]
    call.cancel()
    yield from taken[:count]
