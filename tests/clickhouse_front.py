"""For tests only: enough of ClickHouse's HTTP interface, over the embedded engine, for the real client to talk to.

It proves what our side sends and reads. It proves nothing about a real server's HTTP code, authentication, TLS,
compression, replication or limits. Run: python tests/clickhouse_front.py FOLDER [PASSWORD]; it prints its port.
"""

from __future__ import annotations

import base64
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb

TRANSPORT = {
    "query", "database", "query_id", "session_id", "compress", "decompress", "buffer_size", "wait_end_of_query",
    "client_protocol_version", "role", "enable_http_compression", "send_progress_in_http_headers",
    "http_headers_progress_interval_ms", "default_format",
}  # fmt: skip
INSERT = re.compile(rb"\s*INSERT\s+INTO\s.*?\sFORMAT\s+(\w+)\s*\n", re.IGNORECASE | re.DOTALL)
FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
CODE = re.compile(r"Code: (\d+)")


class Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    folder = ""
    password = ""

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.answer(200, b"Ok.\n")

    def do_POST(self) -> None:
        body = self.body()
        if not self.is_allowed():
            self.answer(401, b"Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)", code="516")
            return
        asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        connection = chdb.connect(self.folder)
        try:
            self.run(connection, asked, body)
        except RuntimeError as error:
            text = str(error)
            found = CODE.search(text)
            self.answer(500, text.encode(), code=found[1] if found else "1001")
        finally:
            connection.close()

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def is_allowed(self) -> bool:
        token = base64.b64encode(f"default:{self.password}".encode()).decode()
        return not self.password or self.headers.get("Authorization") == f"Basic {token}"

    def run(self, connection: Any, asked: dict[str, str], body: bytes) -> None:
        if asked.get("database"):
            connection.query(f"USE `{asked['database']}`")
        parameters = {k[6:]: v for k, v in asked.items() if k.startswith("param_")}
        for name, value in asked.items():
            if name not in TRANSPORT and not name.startswith("param_"):
                quoted = value.replace("\\", "\\\\").replace("'", "\\'")
                connection.query(f"SET {name} = '{quoted}'")
        head = asked.get("query", "").encode()
        if insert := INSERT.match(head + b"\n" if head else body):
            sql = (head or body[: insert.end()]).decode()
            self.insert(connection, sql, insert[1].decode(), body if head else body[insert.end() :])
            return
        sql = (head or body).decode()
        found = FORMAT.search(sql)
        form = found[1] if found else asked.get("default_format", "TabSeparated")
        self.answer(200, connection.query(sql, form, params=parameters).bytes() or b"", form=form)

    def insert(self, connection: Any, sql: str, form: str, data: bytes) -> None:
        inserter = connection.send_insert(FORMAT.sub("", sql.strip()), form)
        inserter.append(data)
        rows = inserter.finish().rows_written
        self.answer(200, b"", summary=f'{{"written_rows":"{rows}","written_bytes":"{len(data)}"}}')

    def answer(self, status: int, body: bytes, *, form: str = "", code: str = "", summary: str = "{}") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-ClickHouse-Summary", summary)
        self.send_header("X-ClickHouse-Timezone", "UTC")
        if form:
            self.send_header("X-ClickHouse-Format", form)
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.send_header("Connection", "keep-alive")
        self._headers_buffer.append(b"\r\n" + body)  # type: ignore[attr-defined]  # one write: two wait for an ACK
        self.flush_headers()


def main() -> None:
    Front.folder, Front.password = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    root = chdb.connect(Front.folder)  # keeps the engine between requests
    server = ThreadingHTTPServer(("127.0.0.1", 0), Front)
    print(server.server_port, flush=True)
    try:
        server.serve_forever()
    finally:
        root.close()


if __name__ == "__main__":
    main()
