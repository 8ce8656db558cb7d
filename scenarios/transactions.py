"""Clients of transactions for scenarios that kill nodes.

    transactions.py bank DIR URL…         moves money between accounts until DIR/stop exists
    transactions.py check-bank DIR URL    the total is right and every acknowledged transfer is there
    transactions.py once DIR URL…         sends each request, under its Idempotency-Key, until it is answered
    transactions.py check-once DIR URL    each took effect once, and all answers to it were the same
"""

import http.client
import json
import os
import random
import sys
import threading
import time
import urllib.parse

ACCOUNTS = 24
OPENING = 100
TOTAL = ACCOUNTS * OPENING
WRITERS = 6
# Seconds until a request must have been answered. The locks of a dead coordinator live up to 20.
PATIENCE = 60
MODES = [
    {},
    {"mode": "pessimistic"},
    {"isolation": "serializable"},
    {"commit": "two_phase"},
]


class Node:
    """A connection that is made anew after an error."""

    def __init__(self, url):
        self.address = urllib.parse.urlsplit(url)
        self.connection = None

    def ask(self, method, path, body=None, headers=None):
        """Status and JSON; status 0 if no answer came."""
        try:
            if self.connection is None:
                host, port = self.address.hostname, self.address.port
                self.connection = http.client.HTTPConnection(host, port, timeout=20)
            text = json.dumps(body) if body is not None else None
            head = {"Content-Type": "application/json", **(headers or {})}
            self.connection.request(method, path, text, head)
            reply = self.connection.getresponse()
            return reply.status, json.loads(reply.read())
        except (OSError, http.client.HTTPException, ValueError):
            self.connection = None
            return 0, {}


class Journal:
    """Lines on disk before anything else happens."""

    def __init__(self, folder, name):
        self.lock = threading.Lock()
        self.file = open(os.path.join(folder, name), "w", encoding="utf-8")

    def note(self, *words):
        with self.lock:
            self.file.write(" ".join(str(word) for word in words) + "\n")
            self.file.flush()


def lines(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return [line.split() for line in file if line.endswith("\n")]


def account(number):
    """Accounts begin differently, so that they lie in different Regions."""
    return f"{chr(0x30 + number * 3)}/account/{number:02}"


def insist(nodes, method, path, body=None):
    """Asks until the answer is 200."""
    status, reply = 0, {}
    for attempt in range(200):
        status, reply = nodes[attempt % len(nodes)].ask(method, path, body)
        if status == 200:
            return reply
        time.sleep(0.05)
    sys.exit(f"{method} {path}: {status} {reply}")


def steps_of_transfer(source, target, amount, receipt):
    return [
        {"add": {"key": source, "by": -amount}},
        {"add": {"key": target, "by": amount}},
        {"put": {"key": receipt, "value": str(amount)}},
    ]


def in_one_request(node, rng, transfer):
    source, target, amount, receipt = transfer
    condition = {"key": source, "value": {"ge_int": amount}}
    body = {"if": [condition], "then": steps_of_transfer(*transfer), **rng.choice(MODES)}
    status, reply = node.ask("POST", "/v1/txn?timeout=5s", body)
    return status, reply, status == 200 and reply["succeeded"]


def interactively(nodes, rng, transfer):
    """Begins at one node, goes on through others."""
    source, _, amount, _ = transfer
    settings = {**rng.choice(MODES), "ttl": "5s"}
    status, reply = rng.choice(nodes).ask("POST", "/v1/txns?timeout=5s", settings)
    if status != 201:
        return status, reply, False
    path = f"/v1/txns/{reply['txn']}"
    read = {"ops": [{"get": {"key": source, "for_update": True}}]}
    status, reply = rng.choice(nodes).ask("POST", path + "/ops?timeout=5s", read)
    if status != 200:
        return (409 if status else 0), reply, False
    if int(reply["results"][0]["value"]) < amount:
        status, reply = rng.choice(nodes).ask("DELETE", path)
        return status, reply, False
    steps = {"ops": steps_of_transfer(*transfer)}
    status, reply = rng.choice(nodes).ask("POST", path + "/ops?timeout=5s", steps)
    if status != 200:
        return (409 if status else 0), reply, False
    status, reply = rng.choice(nodes).ask("POST", path + "/commit?timeout=5s")
    return status, reply, status == 200 and reply["state"] == "committed"


def transferring(number, urls, journals, stop, failures):
    rng, nodes, count = random.Random(number), [Node(url) for url in urls], 0
    while not os.path.exists(stop):
        source, target = rng.sample(range(ACCOUNTS), 2)
        receipt = f"receipt/{number}/{count:06}"
        transfer = (account(source), account(target), rng.randint(1, 20), receipt)
        if rng.random() < 0.3:
            status, reply, done = interactively(nodes, rng, transfer)
        else:
            status, reply, done = in_one_request(rng.choice(nodes), rng, transfer)
        count += 1
        if done:
            journals["acknowledged"].note(receipt, transfer[2])
        elif status in (200, 409, 410):
            journals["refused"].note(receipt, reply.get("code", "condition"))
        elif status == 0 or status >= 500:
            journals["unknown"].note(receipt, status, reply.get("code", "none"))
            time.sleep(0.02)
        else:
            failures.append(f"transfer: {status} {reply}")
            return


def total(node, path="/v1/kv/get"):
    keys = [account(number) for number in range(ACCOUNTS)]
    status, reply = node.ask("POST", path, {"keys": keys})
    if status != 200:
        return None
    return sum(int(item["value"]) for item in reply["items"])


def auditing(number, urls, journals, stop, failures):
    rng, nodes = random.Random(1000 + number), [Node(url) for url in urls]
    while not os.path.exists(stop):
        found = total(rng.choice(nodes), rng.choice(["/v1/kv/get", "/v1/kv/get?consistency=follower"]))
        if found is None:
            time.sleep(0.02)
        elif found != TOTAL:
            failures.append(f"a snapshot has {found} in all, not {TOTAL}")
            return
        else:
            journals["audits"].note(found)


def together(workers, failures):
    threads = [threading.Thread(target=run, args=args, daemon=True) for run, args in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        sys.exit("\n".join(failures))


def bank(folder, *urls):
    nodes = [Node(url) for url in urls]
    rows = [{"key": account(number), "value": str(OPENING)} for number in range(ACCOUNTS)]
    insist(nodes, "POST", "/v1/kv/put", {"items": rows})
    names = ["acknowledged", "refused", "unknown", "audits"]
    journals = {name: Journal(folder, name) for name in names}
    stop, failures = os.path.join(folder, "stop"), []
    args = (urls, journals, stop, failures)
    workers = [(transferring, (number, *args)) for number in range(WRITERS)]
    workers += [(auditing, (number, *args)) for number in range(2)]
    together(workers, failures)


def check_bank(folder, url):
    nodes = [Node(url)]
    found = total(nodes[0])
    if found != TOTAL:
        sys.exit(f"{found} in all, not {TOTAL}")
    rows, cursor = {}, ""
    while cursor is not None:
        page = insist(nodes, "GET", f"/v1/kv/scan?prefix=receipt/&limit=1000{cursor}")
        rows.update({row["key"]: row["value"] for row in page["items"]})
        after = page.get("next_cursor")
        cursor = f"&cursor={after}" if after else None
    acknowledged = lines(folder, "acknowledged")
    lost = [key for key, amount in acknowledged if rows.get(key) != amount]
    ghosts = [line[0] for line in lines(folder, "refused") if line[0] in rows]
    if lost or ghosts:
        sys.exit(f"{len(lost)} transfers lost, {len(ghosts)} that were refused: {(lost + ghosts)[:9]}")
    unknown = [line[0] for line in lines(folder, "unknown")]
    landed = sum(key in rows for key in unknown)
    print(f"  {len(acknowledged)} acknowledged transfers are there, the total is {found}")
    print(f"  of {len(unknown)} with unknown outcome {landed} took effect; "
          f"{len(lines(folder, 'refused'))} were refused, none of them took effect")
    print(f"  {len(lines(folder, 'audits'))} snapshots read meanwhile had the right total")


def once(folder, *urls):
    """Each request goes first to one node; without an answer, to the others, until one comes."""
    journal, stop, failures = Journal(folder, "answers"), os.path.join(folder, "stop"), []
    workers = [(sending, (number, urls, journal, stop, failures)) for number in range(WRITERS)]
    together(workers, failures)


def sending(number, urls, journal, stop, failures):
    rng, nodes, count = random.Random(number), [Node(url) for url in urls], 0
    while not os.path.exists(stop):
        key = f"{number}-{count}"
        count += 1
        names = [account(rng.randrange(ACCOUNTS)) for _ in range(2)]
        body = {
            "then": [{"add": {"key": "counter/" + name, "by": 1}} for name in names]
            + [{"insert": {"key": f"did/{key}", "value": "+".join(names)}}],
            **rng.choice(MODES),
        }
        headers, tries = {"Idempotency-Key": f'"{key}"'}, 0
        extra = 1 if rng.random() < 0.1 else 0
        give_up = time.monotonic() + PATIENCE
        while True:
            node = nodes[0] if tries == 0 else rng.choice(nodes)
            status, reply = node.ask("POST", "/v1/txn?timeout=4s", body, headers)
            tries += 1
            if status == 200:
                journal.note(key, reply["commit_ts"], tries, int(reply.get("repeated", False)))
                if extra == 0:
                    break
                extra -= 1
            elif status in (400, 404, 412, 413, 422):
                failures.append(f"{key}: {status} {reply}")
                return
            elif time.monotonic() > give_up:
                failures.append(f"{key}: no answer after {tries} tries, last {status} {reply}")
                return
            else:
                after = (reply.get("retry") or {}).get("after_ms") or 20
                time.sleep(after / 1000)


def check_once(folder, url):
    nodes, answers, repeated, resent = [Node(url)], {}, 0, 0
    for key, commit_ts, tries, again in lines(folder, "answers"):
        if answers.setdefault(key, commit_ts) != commit_ts:
            sys.exit(f"{key} committed at {answers[key]} and at {commit_ts}")
        repeated += int(again)
        resent += int(tries) > 1
    expected, cursor, did = {}, "", 0
    while cursor is not None:
        page = insist(nodes, "GET", f"/v1/kv/scan?prefix=did/&limit=1000{cursor}")
        for row in page["items"]:
            did += 1
            for name in row["value"].split("+"):
                expected[name] = expected.get(name, 0) + 1
        after = page.get("next_cursor")
        cursor = f"&cursor={after}" if after else None
    counters = insist(nodes, "GET", "/v1/kv/scan?prefix=counter/&limit=1000")["items"]
    found = {row["key"].removeprefix("counter/"): int(row["value"]) for row in counters}
    if found != expected:
        sys.exit(f"the counters are {found}, not {expected}")
    if did < len(answers):
        sys.exit(f"{len(answers)} requests were answered, {did} took effect")
    print(f"  {len(answers)} requests were answered, {resent} of them sent again, each took effect once")
    print(f"  {repeated} answers were those of an earlier try; {did - len(answers)} got no answer and took effect once")


if __name__ == "__main__":
    commands = {"bank": bank, "check-bank": check_bank, "once": once, "check-once": check_once}
    commands[sys.argv[1]](*sys.argv[2:])
