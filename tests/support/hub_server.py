"""A model and data-set hub on 127.0.0.1, served from a folder.

    ROOT/models/<id>/…      ROOT/datasets/<id>/…

It speaks what the hub's client asks for: information, file listing, and files with
their ETag and commit; of an upload, what it takes to commit files as plain blobs.
By hand: `python hub_server.py ROOT [PORT]`, then set HF_ENDPOINT.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

API = re.compile(r"/api/(?P<kind>models|datasets)/(?P<id>.+?)(?P<tree>/tree/.+)?(/revision/[^/]+)?")
PUSH = re.compile(r"/api/models/(?P<id>.+?)/(?P<step>preupload|commit)/[^/]+")
FILE = re.compile(r"/((?P<kind>datasets)/)?(?P<id>.+?)/resolve/[^/]+/(?P<file>.+)")


@dataclass
class Hub:
    """A running hub; its fields may be changed between requests."""

    root: Path
    url: str
    gated: dict[str, int] = field(default_factory=dict)  # id: status of its files
    private: dict[str, int] = field(default_factory=dict)  # id: status of everything
    broken: int | None = None  # status of every answer
    stall: str | None = None  # "listing", or the end of a file name: half of it is sent
    endless: str | None = None  # the end of a file name: it goes on for ever
    claims: int | None = None  # what every file's size is said to be
    pause: float = 0.0  # seconds before each 64 KiB of a file
    requests: list[str] = field(default_factory=list)  # "GET /path", in order
    created: list[dict[str, object]] = field(default_factory=list)  # repositories, as asked for
    pushed: dict[str, bytes] = field(default_factory=dict)  # files of every commit, "id/path"
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def files_sent(self) -> set[str]:
        """Names of the files whose content was asked for."""
        paths = [line.partition(" ")[2] for line in self.requests if line.startswith("GET ")]
        return {match["file"] for path in paths if (match := FILE.fullmatch(path))}


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"POST {path}")
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.hub.broken is not None:
            self.send(b"", status=self.hub.broken)
        elif path == "/api/repos/create":
            self.hub.created.append(json.loads(sent))
            name = f"{json.loads(sent).get('organization', 'me')}/{json.loads(sent)['name']}"
            self.send_json({"url": f"{self.hub.url}/{name}", "name": name})
        elif path == "/api/validate-yaml":
            self.send_json({"errors": [], "warnings": []})
        elif match := PUSH.fullmatch(path):
            self.answer_push(match, [json.loads(line) for line in sent.splitlines()])
        else:
            self.send(b"", status=404)

    def answer_push(self, match: re.Match[str], lines: list[dict[str, Any]]) -> None:
        if match["step"] == "preupload":
            names = [file["path"] for file in lines[0]["files"]]
            plain = {"uploadMode": "regular", "shouldIgnore": False}
            self.send_json({"files": [{"path": name, **plain} for name in names]})
            return
        for line in lines:
            if line["key"] == "file":
                content = base64.b64decode(line["value"]["content"])
                self.hub.pushed[f"{match['id']}/{line['value']['path']}"] = content
        url = f"{self.hub.url}/{match['id']}/commit/{40 * '0'}"
        self.send_json({"success": True, "commitOid": 40 * "0", "commitUrl": url})

    def send_json(self, answer: object) -> None:
        self.send(json.dumps(answer).encode(), headers={"Content-Type": "application/json"})

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        if self.hub.broken is not None:
            self.send(b"", status=self.hub.broken)
        elif match := FILE.fullmatch(path):
            self.answer_file(self.hub.root / (match["kind"] or "models") / match["id"], match)
        elif match := API.fullmatch(path):
            self.answer_api(self.hub.root / match["kind"] / match["id"], match)
        else:
            self.send(b"", status=404)

    def answer_api(self, folder: Path, match: re.Match[str]) -> None:
        if match["id"] in self.hub.private:
            self.send(b"", status=self.hub.private[match["id"]])
            return
        if not folder.is_dir():
            self.send(b"", status=404, headers={"X-Error-Code": "RepoNotFound"})
            return
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        names = [path.relative_to(folder).as_posix() for path in files]
        answer: object = {
            "id": match["id"],
            "sha": commit(folder),
            "siblings": [{"rfilename": name} for name in names],
        }
        if match["tree"]:
            if self.hub.stall == "listing":
                self.hub.closing.wait()
            answer = [
                {
                    "type": "file",
                    "path": name,
                    "size": path.stat().st_size if self.hub.claims is None else self.hub.claims,
                    "oid": etag(path),
                }
                for name, path in zip(names, files, strict=True)
            ]
        self.send(json.dumps(answer).encode(), headers={"Content-Type": "application/json"})

    def answer_file(self, folder: Path, match: re.Match[str]) -> None:
        file = folder / match["file"]
        if match["id"] in self.hub.gated:
            status = self.hub.gated[match["id"]]
            self.send(b"", status=status, headers={"X-Error-Code": "GatedRepo"})
        elif not file.is_file():
            self.send(b"", status=404, headers={"X-Error-Code": "EntryNotFound"})
        else:
            headers = {"ETag": f'"{etag(file)}"', "X-Repo-Commit": commit(folder)}
            if self.hub.endless is not None and file.name.endswith(self.hub.endless):
                self.send_without_end(headers)
                return
            stall = self.hub.stall is not None and file.name.endswith(self.hub.stall)
            self.send(file.read_bytes(), headers=headers, stall=stall)

    def send_without_end(self, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        while self.command == "GET" and not self.hub.closing.is_set():
            self.wfile.write(bytes(2**16))

    def send(
        self,
        body: bytes,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        stall: bool = False,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if stall:
            self.wfile.write(body[: len(body) // 2])
            self.hub.closing.wait()
            self.close_connection = True
        else:
            for start in range(0, len(body), 2**16):
                self.hub.closing.wait(self.hub.pause if "/resolve/" in self.path else 0)
                self.wfile.write(body[start : start + 2**16])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: `requests` has it."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that went away: some tests end them in the middle."""


def etag(path: Path) -> str:
    return hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()


def commit(folder: Path) -> str:
    """A name for the folder's present state, shaped as a git commit."""
    digest = hashlib.sha1(usedforsecurity=False)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(folder)} {etag(path)}\n".encode())
    return digest.hexdigest()


@contextmanager
def serve_hub(root: Path, port: int = 0) -> Iterator[Hub]:
    """Serve `root` on 127.0.0.1 until the block ends."""

    class HubHandler(Handler):
        """The handler of this hub; another hub of the same process has its own."""

    server = Server(("127.0.0.1", port), HubHandler)
    hub = HubHandler.hub = Hub(root, url=f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def black_hole() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def closed_port() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


if __name__ == "__main__":
    with serve_hub(Path(sys.argv[1]), port=int(sys.argv[2]) if len(sys.argv) > 2 else 0) as served:
        print(f"HF_ENDPOINT={served.url}", flush=True)
        threading.Event().wait()
