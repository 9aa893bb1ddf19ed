"""Spans with OpenTelemetry's GenAI attributes, built off the path of requests from the record that the access log gets.

The attributes of the `gen_ai` namespace have the status Development (semantic conventions 1.41, package 0.66b2) and may be
renamed by a later release; those of `pilotbase` are ours and stay. Content, keys and addresses are never among them.
This module needs the extra `telemetry`: whoever starts the gateway loads it only where telemetry is asked for.
"""

from collections.abc import Mapping, Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from pilotbase import __version__
from pilotbase.errors import UserError
from pilotbase.gateway.entry import Entry, drawn
from pilotbase.gateway.outbox import Outbox

__all__ = ["Telemetry", "attributes", "otlp", "to_collector"]

_OPERATIONS = {"chat": "chat", "responses": "chat", "completions": "text_completion", "embeddings": "embeddings"}
_LONGEST_STATE = 512  # W3C Trace Context, 3.3.1.5: at least so many characters of tracestate are passed on
_LONGEST = 200


class Telemetry:
    """Turns a `share` (0 to 1) of the entries, chosen by request id, into spans and hands them to an exporter in batches.

    The caller's `traceparent` is the parent where it is valid (W3C Trace Context, level 1). Its sampled flag decides nothing:
    a caller may not fill the collector. `service` and `version` name this gateway in every span.
    """

    __slots__ = ("_exporter", "_finished", "_parents", "_provider", "_tracer", "outbox", "share")

    def __init__(
        self, exporter: SpanExporter, *, share: float = 1.0, service: str = "pilotbase", version: str = "", most: int = 20_000
    ) -> None:
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"a share of {share} is out of range: it runs from 0 to 1")
        self.share = share
        self._exporter = exporter
        self._finished = _Finished()
        resource = Resource({"service.name": service, **({"service.version": version} if version else {})})
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(self._finished)
        self._tracer = self._provider.get_tracer("pilotbase.gateway", version or None)
        self._parents = TraceContextTextMapPropagator()
        self.outbox: Outbox[Entry] = Outbox(self._export, most=most, every=1.0)

    def add(self, entry: Entry) -> bool:
        """Take an entry; False where it is not in the sample or was dropped."""
        return drawn(entry.id, self.share) and self.outbox.add(entry)

    async def aclose(self, seconds: float = 5.0) -> None:
        """Export what waits, within this time, and end the exporter."""
        await self.outbox.aclose(seconds)
        self._exporter.shutdown()

    def _export(self, entries: Sequence[Entry]) -> int:
        for entry in entries:
            self._build(entry)
        spans = self._finished.take()
        if self._exporter.export(spans) is not SpanExportResult.SUCCESS:
            raise UserError(
                f"the collector did not take {len(spans)} spans",
                hint="check its address and that it runs; requests go on without",
            )
        return 0

    def _build(self, entry: Entry) -> None:
        carrier = {"traceparent": entry.traceparent, "tracestate": entry.tracestate[:_LONGEST_STATE]}
        began = int(entry.at * 1_000_000) * 1000
        span = self._tracer.start_span(
            f"{_operation(entry)} {entry.route}",
            context=self._parents.extract(carrier) if entry.traceparent else None,
            kind=SpanKind.CLIENT,
            attributes=attributes(entry),
            start_time=began,
        )
        if entry.error or entry.status >= 400:
            span.set_status(Status(StatusCode.ERROR))
        span.end(began + max(0, int(entry.seconds * 1_000_000)) * 1000)


def attributes(entry: Entry) -> Mapping[str, AttributeValue]:
    """What a span says of a request. Empty words are left out; zero tokens are not."""
    words: dict[str, AttributeValue] = {
        "gen_ai.operation.name": _operation(entry),
        "gen_ai.provider.name": entry.provider,
        "gen_ai.request.model": entry.model or entry.route,
        "gen_ai.response.model": entry.response_model[:_LONGEST],
        "gen_ai.response.id": entry.response_id[:_LONGEST],
        "gen_ai.response.finish_reasons": [word[:_LONGEST] for word in entry.finish],
        "error.type": entry.error[:_LONGEST] or (str(entry.status) if entry.status >= 400 else ""),
        "pilotbase.request_id": entry.id,
        "pilotbase.route": entry.route,
        "pilotbase.key_id": entry.key,
        "pilotbase.outcome": entry.outcome,
        "pilotbase.upstream": entry.upstream,
        "pilotbase.currency": entry.currency,
        "pilotbase.dossier": entry.dossier,
        "pilotbase.guards": list(entry.guards),
    }
    numbers: dict[str, AttributeValue] = {
        "gen_ai.request.stream": entry.stream,
        "gen_ai.usage.input_tokens": entry.read,
        "gen_ai.usage.output_tokens": entry.wrote,
        "gen_ai.usage.cache_read.input_tokens": entry.cached,
        "pilotbase.cost_nanos": entry.cost,
        "pilotbase.attempts": entry.attempts,
        "pilotbase.usage_source": entry.source,
    }
    if entry.ttft is not None:
        numbers["gen_ai.response.time_to_first_chunk"] = entry.ttft
    if entry.status:
        numbers["http.response.status_code"] = entry.status
    return {name: value for name, value in words.items() if value} | numbers


def _operation(entry: Entry) -> str:
    return _OPERATIONS.get(entry.endpoint, entry.endpoint) or "unknown"


def otlp(endpoint: str, headers: Mapping[str, str] | None = None, *, seconds: float = 10.0) -> SpanExporter:
    """An exporter to an OTLP/HTTP collector: `endpoint` is the full address of its traces, as in `http://host:4318/v1/traces`."""
    return OTLPSpanExporter(endpoint=endpoint, headers=dict(headers or {}), timeout=seconds)


def to_collector(address: str) -> Telemetry:
    """The entry point `otlp`: spans of every request to the collector at `address`, which is its root or its traces' address."""
    endpoint = address if address.endswith("/v1/traces") else f"{address.rstrip('/')}/v1/traces"
    return Telemetry(otlp(endpoint), version=__version__)


class _Finished(SpanProcessor):
    """Gathers the spans that ended."""

    def __init__(self) -> None:
        self._spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self._spans.append(span)

    def take(self) -> Sequence[ReadableSpan]:
        spans, self._spans = self._spans, []
        return spans
