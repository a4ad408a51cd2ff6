from __future__ import annotations

import cramjam
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from airis_mon.api.write import _otlp_example, _remote_write_example
from airis_mon.errors import AuthError, InputError, Refusal, StoreBusy
from tests.api.fake import T

PROTOBUF = "application/x-protobuf"
V2 = f"{PROTOBUF};proto=io.prometheus.write.v2.Request"
SNAPPY = {"Content-Type": PROTOBUF, "Content-Encoding": "snappy"}
REFUSALS = (Refusal("m{} @ 1.000", "1", "too old"),)


async def test_remote_write_answers_204_without_a_body(client, engine):
    answer = await client.post("/api/v1/write", content=b"wire", headers=SNAPPY)
    assert answer.status_code == 204
    assert answer.content == b""
    assert engine.calls == [("ingest", "remote_write", b"wire", PROTOBUF)]


async def test_a_2_0_sender_learns_what_was_written(client, engine):
    answer = await client.post("/api/v1/write", content=b"wire", headers={**SNAPPY, "Content-Type": V2})
    assert answer.headers["x-prometheus-remote-write-samples-written"] == "1"
    assert answer.headers["x-prometheus-remote-write-histograms-written"] == "0"
    assert answer.headers["x-prometheus-remote-write-exemplars-written"] == "0"
    assert engine.calls[0][3] == V2


async def test_refused_items_are_400_and_the_written_ones_are_still_told(client, engine):
    engine.refuses = REFUSALS
    answer = await client.post("/api/v1/write", content=b"wire", headers={**SNAPPY, "Content-Type": V2})
    assert answer.status_code == 400
    assert answer.json()["details"] == [{"path": "m{} @ 1.000", "value": "1", "reason": "too old"}]
    assert answer.headers["x-prometheus-remote-write-samples-written"] == "0"


async def test_native_histograms_alone_are_no_error_and_counted(client, engine):
    engine.unsupported = 1
    answer = await client.post("/api/v1/write", content=b"wire", headers=SNAPPY)
    assert answer.status_code == 204
    assert answer.headers["x-airis-histograms-refused"] == "1"
    engine.refuses = REFUSALS
    answer = await client.post("/api/v1/write", content=b"wire", headers=SNAPPY)
    assert answer.status_code == 400
    assert answer.json()["refused"] == 2


async def test_a_busy_store_is_503_so_that_the_sender_keeps_the_data(client, engine):
    engine.fails_with = StoreBusy("full", 4)
    answer = await client.post("/api/v1/write", content=b"wire", headers=SNAPPY)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "4"


@pytest.mark.parametrize("wrong", [{"Content-Type": "text/plain"}, {"Content-Encoding": "gzip"}])
async def test_remote_write_in_another_form_is_415(client, wrong):
    answer = await client.post("/api/v1/write", content=b"wire", headers={**SNAPPY, **wrong})
    assert answer.status_code == 415


def test_the_example_of_remote_write_is_one_series_with_one_sample():
    assert bytes(cramjam.snappy.decompress_raw(_remote_write_example(300))) == (
        b"\x0a\x34"  # a series
        b"\x0a\x15\x0a\x08__name__\x12\x09cpu_usage"  # two labels
        b"\x0a\x0d\x0a\x04host\x12\x05web-1"
        b"\x12\x0c\x09\x00\x00\x00\x00\x00\xe0\x57\x40\x10\xac\x02"  # 95.5 at 300 ms
    )


def test_the_example_of_otlp_is_an_export_request():
    from google.protobuf import json_format

    request = json_format.ParseDict(_otlp_example(T), ExportMetricsServiceRequest())
    point = request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0]
    assert (point.as_double, point.time_unix_nano) == (95.5, T * 1_000_000)


async def test_otlp_answers_in_the_form_of_the_request(client, engine):
    answer = await client.post("/v1/metrics", content=b"{}", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (200, {})
    answer = await client.post("/v1/metrics", content=b"", headers={"Content-Type": PROTOBUF})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == PROTOBUF
    assert [call[3] for call in engine.calls] == ["application/json", PROTOBUF]


async def test_otlp_tells_refused_points_as_partial_success(client, engine):
    engine.refuses = REFUSALS * 300
    answer = await client.post("/v1/metrics", content=b"{}", headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
    partial = answer.json()["partialSuccess"]
    assert partial["rejectedDataPoints"] == "300"
    assert "too old" in partial["errorMessage"]
    answer = await client.post("/v1/metrics", content=b"", headers={"Content-Type": PROTOBUF})
    said = ExportMetricsServiceResponse.FromString(answer.content).partial_success
    assert (said.rejected_data_points, said.error_message) == (300, partial["errorMessage"])


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(InputError("broken"), 400, 3), (StoreBusy("full"), 503, 14), (AuthError("who?"), 401, 16), (OSError(), 500, 13)],
)
async def test_otlp_errors_of_protobuf_are_a_protobuf_status(client, engine, error, status, code):
    engine.fails_with = error
    answer = await client.post("/v1/metrics", content=b"", headers={"Content-Type": PROTOBUF})
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROTOBUF
    assert answer.content[:2] == bytes([0x08, code])
    size = answer.content[3]
    assert answer.content[2] == 0x12
    assert len(answer.content) == 4 + size


async def test_otlp_errors_of_json_are_the_envelope(client, engine):
    engine.fails_with = InputError("broken")
    answer = await client.post("/v1/metrics", content=b"{", headers={"Content-Type": "application/json"})
    assert answer.json()["message"] == "broken"
    assert answer.json()["error"] == "Validation Error"
