"""Spans with OpenTelemetry's GenAI attributes."""

import asyncio
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from pilotbase.gateway.entry import Entry
from pilotbase.gateway.telemetry import Telemetry

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def entry(name: str = "r1", **changes: object) -> Entry:
    given: dict[str, object] = {
        "id": name,
        "at": 1_780_000_000.5,
        "key": "k123",
        "route": "assistant",
        "endpoint": "chat",
        "status": 200,
        "outcome": "complete",
        "read": 12,
        "wrote": 0,
        "source": "upstream",
        "cost": 1500,
        "currency": "CNY",
        "seconds": 1.25,
        "upstream": "main",
        "provider": "openai",
        "model": "qwen3",
        "response_model": "qwen3-2507",
        "finish": ("stop",),
        "dossier": "sha256:ab",
        "attempts": 1,
    }
    return Entry(**{**given, **changes})  # type: ignore[arg-type]


def spans(*entries: Entry, share: float = 1.0) -> Sequence[ReadableSpan]:
    exporter = InMemorySpanExporter()

    async def story() -> None:
        telemetry = Telemetry(exporter, share=share, version="1.2")
        for one in entries:
            telemetry.add(one)
        await telemetry.aclose(20)
        assert telemetry.outbox.dropped == 0

    asyncio.run(story())
    return exporter.get_finished_spans()


def test_a_span_has_the_genai_attributes_and_ours() -> None:
    (span,) = spans(entry(ttft=0.3, guards=("pii/mobile",)))
    assert span.name == "chat assistant" and span.kind is SpanKind.CLIENT
    assert span.start_time == 1_780_000_000_500_000_000 and span.end_time == span.start_time + 1_250_000_000
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "qwen3",
        "gen_ai.response.model": "qwen3-2507",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.request.stream": False,
        "gen_ai.response.time_to_first_chunk": 0.3,
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 0,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "http.response.status_code": 200,
        "pilotbase.request_id": "r1",
        "pilotbase.route": "assistant",
        "pilotbase.key_id": "k123",
        "pilotbase.outcome": "complete",
        "pilotbase.upstream": "main",
        "pilotbase.currency": "CNY",
        "pilotbase.cost_nanos": 1500,
        "pilotbase.attempts": 1,
        "pilotbase.usage_source": "upstream",
        "pilotbase.dossier": "sha256:ab",
        "pilotbase.guards": ("pii/mobile",),
    }
    assert span.resource.attributes == {"service.name": "pilotbase", "service.version": "1.2"}
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(
    ("endpoint", "operation"),
    [
        ("chat", "chat"),
        ("responses", "chat"),
        ("completions", "text_completion"),
        ("embeddings", "embeddings"),
        ("rerank", "rerank"),
    ],
)
def test_the_operation_is_named_by_the_conventions(endpoint: str, operation: str) -> None:
    (span,) = spans(entry(endpoint=endpoint))
    assert span.attributes is not None and span.attributes["gen_ai.operation.name"] == operation


def test_an_error_is_one_by_its_code_or_else_by_its_status() -> None:
    coded, plain = spans(entry(status=504, error="upstream_timeout"), entry(status=500))
    assert coded.attributes is not None and coded.attributes["error.type"] == "upstream_timeout"
    assert plain.attributes is not None and plain.attributes["error.type"] == "500"
    assert coded.status.status_code is plain.status.status_code is StatusCode.ERROR


def test_the_callers_trace_goes_on_where_its_traceparent_is_valid() -> None:
    (span,) = spans(entry(traceparent=PARENT, tracestate="vendor=1"))
    assert span.parent is not None and span.context is not None
    assert f"{span.context.trace_id:032x}" == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert f"{span.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert span.parent.trace_state.get("vendor") == "1"


@pytest.mark.parametrize(
    "given",
    [
        "",
        "nonsense",
        PARENT[:-1],
        PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        PARENT.replace("00f067aa0ba902b7", "0" * 16),
        "ff" + PARENT[2:],
        PARENT + "-extra",
    ],
)
def test_a_traceparent_that_is_not_valid_begins_a_new_trace(given: str) -> None:
    (span,) = spans(entry(traceparent=given))
    assert span.parent is None and span.context is not None and span.context.trace_id != 0


def test_a_share_of_requests_is_sampled_and_no_caller_can_raise_it() -> None:
    entries = [entry(f"r{i}", traceparent=PARENT) for i in range(400)]
    some = [str((span.attributes or {})["pilotbase.request_id"]) for span in spans(*entries, share=0.1)]
    again = [str((span.attributes or {})["pilotbase.request_id"]) for span in spans(*entries, share=0.1)]
    assert 15 < len(some) < 75 and some == again
    assert len(spans(*entries, share=0.0)) == 0


def test_no_content_no_key_and_no_address_can_reach_a_span() -> None:
    """There is nowhere to put them: an entry has no field for a body, a key or a URL."""
    fields = set(Entry.__slots__)
    assert not {name for name in fields if any(word in name for word in ("body", "content", "message", "url", "secret", "token"))}


def test_a_collector_that_does_not_answer_costs_spans_and_nothing_else() -> None:
    class Broken(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            return SpanExportResult.FAILURE

    async def story() -> None:
        telemetry = Telemetry(Broken())
        telemetry.add(entry("a"))
        telemetry.add(entry("b"))
        await telemetry.aclose(20)
        assert telemetry.outbox.dropped == 2
        assert telemetry.outbox.trouble is not None and "did not take 2 spans" in telemetry.outbox.trouble

    asyncio.run(story())


def test_a_share_out_of_range_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="share"):
        Telemetry(InMemorySpanExporter(), share=2.0)
