# SPDX-License-Identifier: Apache-2.0
"""A stand-in of the Hugging Face Hub's HTTP interface on loopback, as far as push and pull need it.

Files of .safetensors go by the LFS protocol, as on the Hub; others in the commit itself.
"""

import base64
import contextlib
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_test"


class Hub(ThreadingHTTPServer):
    """Repositories by name, each a dict of files; `token` is who may write."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.objects: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def running():
    """Yields a hub that answers."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


def commit_of(files):
    """The commit of a repository's files, which their contents decide."""
    digests = {name: hashlib.sha1(content).hexdigest() for name, content in files.items()}
    return hashlib.sha1(json.dumps(digests).encode()).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.server.asked.append(self.path)
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            files = self.server.repositories.get("/".join(parts[2:4]))
            if files is None:
                return self.refuse(404, "RepoNotFound")
            siblings = [{"rfilename": name} for name in files]
            name = "/".join(parts[2:4])
            return self.answer({"id": name, "sha": commit_of(files), "siblings": siblings})
        files = self.server.repositories.get("/".join(parts[:2]))
        if files is None:
            return self.refuse(404, "RepoNotFound")
        content = files.get("/".join(parts[4:]))  # user/name/resolve/revision/file
        if content is None:
            return self.refuse(404, "EntryNotFound")
        digest = hashlib.sha256(content).hexdigest()
        self.send(200, content, {"ETag": f'"{digest}"', "X-Repo-Commit": commit_of(files)})

    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.objects[hashlib.sha256(content).hexdigest()] = content
        self.send(200, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(self.path)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}" and "yaml" not in self.path:
            return self.refuse(401, None)
        path = self.path.partition("?")[0]
        lines = [json.loads(line) for line in body.splitlines()]
        if path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if path == "/api/repos/create":
            name = f"{lines[0].get('organization') or 'me'}/{lines[0]['name']}"
            self.server.repositories.setdefault(name, {})
            return self.answer({"url": f"{self.server.url}/{name}"})
        if path.endswith("/lfs/objects/batch"):
            upload = {"href": f"{self.server.url}/upload"}
            objects = [o | {"actions": {"upload": upload}} for o in lines[0]["objects"]]
            return self.answer({"transfer": "basic", "objects": objects})
        name = "/".join(path.split("/")[3:5])
        if "/preupload/" in path:
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for file in lines[0]["files"]
            ]
            return self.answer({"files": modes})
        assert "/commit/" in path, path
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                content = base64.b64decode(value["content"])
                self.server.repositories[name][value["path"]] = content
            if line["key"] == "lfsFile":
                self.server.repositories[name][value["path"]] = self.server.objects[value["oid"]]
        commit = commit_of(self.server.repositories[name])
        self.answer({"commitUrl": f"{self.server.url}/{name}/commit/{commit}", "commitOid": commit})

    def answer(self, content):
        self.send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def refuse(self, status, code):
        self.send(status, b"{}", {"X-Error-Code": code} if code else {})

    def send(self, status, content, headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
