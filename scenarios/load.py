"""Writers for scenarios that kill nodes: each write is recorded when the cluster acknowledged it.

    load.py write DIR URL…    writes until DIR/stop exists; DIR/acknowledged has a line a write
    load.py verify DIR URL    reads every acknowledged write back, and those of unknown outcome
"""

import base64
import http.client
import json
import os
import sys
import threading
import time
import urllib.parse

WRITERS = 8
BATCH = 500


class Node:
    """A connection that is made anew after an error."""

    def __init__(self, url):
        self.address = urllib.parse.urlsplit(url)
        self.connection = None

    def send(self, method, path, body, headers=None):
        if self.connection is None:
            host, port = self.address.hostname, self.address.port
            self.connection = http.client.HTTPConnection(host, port, timeout=15)
        try:
            self.connection.request(method, path, body, headers or {})
            reply = self.connection.getresponse()
            return reply.status, reply.read()
        except (OSError, http.client.HTTPException):
            self.connection = None
            raise


def key_of(writer, number):
    """Keys of different writers begin differently, so that they lie in different Regions."""
    return f"{chr(0x30 + writer * 8)}/load/{writer}/{number:08}"


class Journal:
    """What happened to each write, on disk before the next one begins."""

    def __init__(self, folder):
        self.lock = threading.Lock()
        self.acknowledged = open(os.path.join(folder, "acknowledged"), "w", encoding="utf-8")
        self.unknown = open(os.path.join(folder, "unknown"), "w", encoding="utf-8")

    def note(self, file, key, value):
        with self.lock:
            file.write(f"{time.monotonic():.3f} {key} {value}\n")
            file.flush()


def write(folder, *urls):
    """Starts the writers and waits for them."""
    journal, stop = Journal(folder), os.path.join(folder, "stop")
    failures = []
    threads = [
        threading.Thread(target=writer, args=(number, urls, journal, stop, failures), daemon=True)
        for number in range(WRITERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        sys.exit("\n".join(failures))


def writer(writer_number, urls, journal, stop, failures):
    nodes = [Node(url) for url in urls]
    at, number = writer_number % len(nodes), 0
    while not os.path.exists(stop):
        key, value = key_of(writer_number, number), f"{writer_number}-{number}-{os.urandom(8).hex()}"
        number += 1
        path = "/v1/raw/keys/" + urllib.parse.quote(key, safe="") + "?timeout=3s"
        try:
            status, body = nodes[at].send("PUT", path, value)
        except (OSError, http.client.HTTPException):
            journal.note(journal.unknown, key, value)
            at = (at + 1) % len(nodes)
            time.sleep(0.02)
            continue
        if status == 200:
            journal.note(journal.acknowledged, key, value)
        elif status >= 500 or status == 429:
            # Whatever a 5xx promises, the reader accepts both outcomes, and nothing else.
            journal.note(journal.unknown, key, value)
            at = (at + 1) % len(nodes)
            time.sleep(0.02)
        else:
            failures.append(f"PUT {path}: {status} {body[:500]!r}")
            return


def lines(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return [line.split()[1:] for line in file if line.endswith("\n")]


def verify(folder, url):
    """Fails unless every acknowledged write is there, and nothing that nobody wrote."""
    node, lost, ghosts, landed = Node(url), [], [], 0
    acknowledged, unknown = lines(folder, "acknowledged"), lines(folder, "unknown")
    for key, wrote, found in read(node, acknowledged):
        if found != wrote:
            lost.append(f"{key}: wrote {wrote}, found {found}")
    for key, wrote, found in read(node, unknown):
        landed += found == wrote
        if found not in (None, wrote):
            ghosts.append(f"{key}: wrote {wrote}, found {found}")
    if lost or ghosts:
        sys.exit("\n".join([f"{len(lost)} lost, {len(ghosts)} wrong:"] + (lost + ghosts)[:20]))
    print(f"  {len(acknowledged)} acknowledged writes are all there")
    print(f"  of {len(unknown)} with unknown outcome {landed} took effect")


def read(node, writes):
    for at in range(0, len(writes), BATCH):
        part = writes[at : at + BATCH]
        body = json.dumps({"keys": [key for key, _ in part]})
        headers = {"Content-Type": "application/json"}
        status, reply = node.send("POST", "/v1/raw/get?enc=b64", body, headers)
        if status != 200:
            sys.exit(f"cannot read back: {status} {reply[:500]!r}")
        for (key, wrote), item in zip(part, json.loads(reply)["items"]):
            found = item.get("value")
            yield key, wrote, base64.b64decode(found["b64"]).decode() if found else None


if __name__ == "__main__":
    {"write": write, "verify": verify}[sys.argv[1]](*sys.argv[2:])
