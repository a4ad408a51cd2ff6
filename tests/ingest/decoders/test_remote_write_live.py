"""What a real Prometheus sends, decoded by the walker and by protobuf; and what it makes of bodies that we encode."""

import json
import queue
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from airis_mon.ingest.decoders.remote_write import RemoteWrite, unsnap
from airis_mon.ingest.write_request import parse1
from airis_mon.series.catalogue import Catalogue, MetricType
from airis_mon.series.encode import label_block, write_request
from airis_mon.series.labels import canonical, metric_of
from airis_mon.series.wire import DONE, Walk1
from tools import servers

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.fixture
def receiver():
    """(url, bodies): keeps what is posted."""
    bodies = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.put(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/write", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_walker_takes_what_prometheus_sends(receiver, node_exporter, prometheus_server):
    url, bodies = receiver
    config = f"""
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: node
    static_configs: [{{targets: ["{node_exporter.url.removeprefix("http://")}"]}}]
remote_write:
  - url: {url}
    metadata_config: {{send_interval: 2s}}
    queue_config: {{batch_send_deadline: 1s}}
"""
    decoder = RemoteWrite(Catalogue())
    walk = Walk1(max_keys=100_000, max_bytes=1 << 26, max_rows=100_000)
    samples = 0
    with servers.prometheus(config):
        while samples < 3000 or decoder.catalogue.types.get("node_cpu_seconds_total") is None:
            body = bodies.get(timeout=30)
            plain = unsnap(body, 1 << 26)
            status, _ = walk.walk(np.frombuffer(plain, np.uint8))
            assert status == DONE  # not by way of protobuf
            batch = decoder.decode(body, "application/x-protobuf")
            expected = [
                (canonical((n.decode(), v.decode()) for n, v in item.pairs), t, value)
                for item in parse1(plain)[0]
                for t, value in item.samples
            ]
            labels = [decoder.catalogue.labels(s) for s in batch.sid.tolist()]
            assert list(zip(labels, batch.t.tolist(), strict=True)) == [e[:2] for e in expected]
            assert np.array_equal(batch.value, [e[2] for e in expected], equal_nan=True)
            assert batch.refused == 0
            samples += len(batch)
    assert decoder.catalogue.types["node_cpu_seconds_total"] is MetricType.COUNTER
    assert "node_memory_MemAvailable_bytes" in {metric_of(decoder.catalogue.labels(s)) for s in decoder.catalogue}


def test_prometheus_takes_what_we_encode(prometheus_server):
    now = int(time.time()) * 1000
    blocks = [label_block(canonical([("__name__", "encoded"), ("i", str(i))])) for i in range(3)]
    body = write_request(blocks, np.arange(3, dtype=np.int32), np.full(3, now), np.array([0.0, 1.5, -2.0]))
    headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
    sent = urllib.request.Request(f"{prometheus_server.url}/api/v1/write", body, headers)
    with urllib.request.urlopen(sent) as answer:
        assert answer.status == 204
    query = urllib.parse.urlencode({"query": "encoded", "time": now / 1000})
    with urllib.request.urlopen(f"{prometheus_server.url}/api/v1/query?{query}") as answer:
        found = json.load(answer)["data"]["result"]
    assert {r["metric"]["i"]: r["value"][1] for r in found} == {"0": "0", "1": "1.5", "2": "-2"}
