"""A local HTTP server for tests of what downloads."""

import http.server
import socket
import threading


class FileServer:
    """Serves a dict of files below a folder (such as /mnist), with Range.

    It can corrupt files or drop their first transfer midway.
    """

    def __init__(self, files, folder="", corrupt=(), drop_once=(), ranges=True):
        self.files, self.folder, self.ranges = files, folder, ranges
        self.corrupt, self.drop_once = set(corrupt), set(drop_once)
        self.requests = []  # (file name, Range header or None)
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}{folder}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, handler):
        name, wanted = handler.path.removeprefix(self.folder + "/"), handler.headers.get("Range")
        self.requests.append((name, wanted))
        if name not in self.files:
            return handler.send_error(404)
        data, first = self.files[name], 0
        if name in self.corrupt:
            data = bytes(byte ^ 1 for byte in data)
        if wanted and self.ranges:
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if first >= len(data):
                return handler.send_error(416)
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        else:
            handler.send_response(200)
        handler.send_header("Content-Length", str(len(data) - first))
        handler.end_headers()
        end = len(data)
        if name in self.drop_once:
            self.drop_once.remove(name)
            end = len(data) // 2
        handler.wfile.write(data[first:end])
        handler.close_connection = True

    def close(self):
        self.http.shutdown()
        self.http.server_close()


def closed_url():
    """An address where nobody answers."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"
