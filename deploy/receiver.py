"""Prints what Alertmanager sends to its page, ticket and digest receivers, one line per alert."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_MAX_BYTES = 16 * 2**20


class Receiver(BaseHTTPRequestHandler):
    """Takes notifications; stands where your paging service would."""

    timeout = 10

    def do_POST(self) -> None:
        """Print the alerts of one notification."""
        length = int(self.headers.get("Content-Length", 0))
        if not 0 <= length <= _MAX_BYTES:
            self.send_error(413)
            return
        for alert in json.loads(self.rfile.read(length))["alerts"]:
            summary = alert["annotations"].get("summary", alert["labels"]["alertname"])
            print(f"{self.path[1:]}: {alert['status']}: {summary!r}", flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the output to the alerts."""


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9095
    ThreadingHTTPServer(("", port), Receiver).serve_forever()
