#!/usr/bin/env python3
"""Reports what comes on standard input as a Holdfast run, every line once.

    my-agent | python3 reporter.py my-run

A line that is a JSON object with an "event_type" is that event; any other line is a message of the assistant.
Lines wait in an outbox file until the server has them. A server that is down is waited for, while the agent
goes on; a reporter that was killed sends what is left when it is started again. Python 3.8, nothing else.
"""

import http.client
import json
import os
import random
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid

URL = os.environ.get("HOLDFAST_URL", "http://127.0.0.1:8765").rstrip("/")
TOKEN = os.environ.get("HOLDFAST_TOKEN")
BATCH_EVENTS, BATCH_BYTES = 100, 1024 * 1024


class Refused(Exception):
    """The server will not take this request, however often it is sent."""


def call(method, path, body):
    """One request, repeated with growing pauses until it is answered. A repeat is harmless: every event has an id."""
    headers = {"Content-Type": "application/json"}
    if TOKEN:
        headers["Authorization"] = "Bearer " + TOKEN
    for attempt in range(1_000_000):
        try:
            request = urllib.request.Request(URL + path, body.encode(), headers, method=method)
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code != 429 and error.code < 500:
                raise Refused(error.read().decode(errors="replace")) from None
        except (OSError, http.client.HTTPException, ValueError):
            pass  # No answer, or half of one.
        # Full jitter, so that many reporters do not come back at once.
        time.sleep(random.uniform(0, min(10, 0.2 * 2 ** min(attempt, 10))))


class Outbox:
    """Events on disk, one a line, and how many bytes of them the server has."""

    def __init__(self, path):
        self.path, self.place = path, path + ".sent"
        open(path, "ab").close()
        self.sent = int(open(self.place).read()) if os.path.exists(self.place) else 0
        with open(path, "rb+") as file:  # A line that a crash cut off was never reported as taken.
            file.truncate(file.read().rfind(b"\n") + 1)
        self.file = open(path, "ab")

    def add(self, event):
        event.setdefault("id", uuid.uuid4().hex)
        self.file.write(json.dumps(event).encode() + b"\n")
        self.file.flush()
        os.fsync(self.file.fileno())

    def batch(self):
        """The next lines to send, and where they end."""
        lines, end = [], self.sent
        with open(self.path, "rb") as file:
            file.seek(self.sent)
            for line in file:
                full = len(lines) >= BATCH_EVENTS or (lines and end + len(line) - self.sent > BATCH_BYTES)
                if full or not line.endswith(b"\n"):
                    break
                lines.append(line.decode())
                end += len(line)
        return lines, end

    def done(self, end):
        with open(self.place + ".new", "w") as file:
            file.write(str(end))
        os.replace(self.place + ".new", self.place)
        self.sent = end

    def remove(self):
        self.file.close()
        os.remove(self.path)
        os.remove(self.place)


def send(session, lines):
    """A batch is taken whole or not at all, so one that is refused is sent line by line to find what is wrong."""
    try:
        call("POST", "/sessions/%s/events" % session, "[%s]" % ",".join(lines))
    except Refused as refusal:
        if len(lines) == 1:
            print("reporter: the server refused %s: %s" % (lines[0].strip(), refusal), file=sys.stderr)
        else:
            for line in lines:
                send(session, [line])


def deliver(session, outbox, closed):
    try:
        call("POST", "/sessions", json.dumps({"session_id": session, "session_name": session, "agent_name": "reporter.py"}))
    except Refused as refusal:
        if '"conflict"' not in str(refusal):  # Somebody created it in other words: it is there.
            raise
    while True:
        last = closed.is_set()
        lines, end = outbox.batch()
        if lines:
            send(session, lines)
            outbox.done(end)
        elif last:
            return
        else:
            time.sleep(0.05)


def event_from(line):
    try:
        event = json.loads(line)
        if isinstance(event, dict) and "event_type" in event:
            return event
    except ValueError:
        pass
    return {"event_type": "message", "role": "assistant", "content": line}


def main():
    session = sys.argv[1]
    outbox, closed = Outbox(session + ".outbox"), threading.Event()
    sender = threading.Thread(target=deliver, args=(session, outbox, closed), daemon=True)
    sender.start()
    for line in sys.stdin:
        outbox.add(event_from(line.rstrip("\n")))
    outbox.add({"event_type": "session_stop", "exit_code": 0})
    closed.set()
    sender.join()
    if outbox.batch()[0]:
        sys.exit("reporter: the server took nothing; all is in %s" % outbox.path)
    outbox.remove()


if __name__ == "__main__":
    main()
