"""Rows for the unicode scenario, and their comparison with what a cluster answers.

Each named character of Python's unicodedata is a row. Its key is the character itself in UTF-8, whose
order is that of the code points, so that a block of Unicode is a range of keys. Its value is a JSON
document about it.
"""

import base64
import hashlib
import http.client
import json
import sys
import unicodedata
import urllib.parse

BLOCKS = [
    ("Basic Latin", 0x0000, 0x007F),
    ("Latin-1 Supplement", 0x0080, 0x00FF),
    ("Greek and Coptic", 0x0370, 0x03FF),
    ("Cyrillic", 0x0400, 0x04FF),
    ("Hebrew", 0x0590, 0x05FF),
    ("Arabic", 0x0600, 0x06FF),
    ("Devanagari", 0x0900, 0x097F),
    ("Georgian", 0x10A0, 0x10FF),
    ("Ethiopic", 0x1200, 0x137F),
    ("General Punctuation", 0x2000, 0x206F),
    ("Mathematical Operators", 0x2200, 0x22FF),
    ("Braille Patterns", 0x2800, 0x28FF),
    ("Hiragana", 0x3040, 0x309F),
    ("Katakana", 0x30A0, 0x30FF),
    ("CJK Unified Ideographs", 0x4E00, 0x9FFF),
    ("Hangul Syllables", 0xAC00, 0xD7AF),
    ("Arabic Presentation Forms-A", 0xFB50, 0xFDFF),
    ("Cuneiform", 0x12000, 0x123FF),
    ("Egyptian Hieroglyphs", 0x13000, 0x1342F),
    ("Tangut", 0x17000, 0x187FF),
    ("Musical Symbols", 0x1D100, 0x1D1FF),
    ("Emoticons", 0x1F600, 0x1F64F),
    ("CJK Unified Ideographs Extension B", 0x20000, 0x2A6DF),
]


def document(char, name):
    """What is stored about a character, as the exact bytes of a JSON document."""
    about = {
        "char": char,
        "code": f"U+{ord(char):04X}",
        "name": name,
        "category": unicodedata.category(char),
        "bidirectional": unicodedata.bidirectional(char),
        "combining": unicodedata.combining(char),
        "mirrored": bool(unicodedata.mirrored(char)),
        "decomposition": unicodedata.decomposition(char),
        "numeric": unicodedata.numeric(char, None),
    }
    return json.dumps(about, ensure_ascii=False, separators=(",", ":"))


def source():
    """All named characters with their documents, in the order of their code points."""
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        name = unicodedata.name(char, None)
        if name is not None:
            yield char, document(char, name)


def write_rows(path):
    """Writes the rows as NDJSON; prints how many there are and the digest of all."""
    digest, rows = hashlib.sha256(), 0
    with open(path, "w", encoding="utf-8") as file:
        for char, value in source():
            file.write(f'{{"key":{json.dumps(char)},"value":{{"json":{value}}}}}\n')
            add(digest, char.encode(), value.encode())
            rows += 1
    print(rows, digest.hexdigest())


def add(digest, key, value):
    digest.update(len(key).to_bytes(4, "big") + key + len(value).to_bytes(4, "big") + value)


def check_export(path, rows, expected):
    """Compares an export in base64 with the source, row by row in order."""
    digest, count = hashlib.sha256(), 0
    with open(path, encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if "key" not in row:
                break
            key, value = (base64.b64decode(row[part]["b64"]) for part in ("key", "value"))
            add(digest, key, value)
            count += 1
        else:
            sys.exit("the export has no last line")
    if row.get("done") is not True:
        sys.exit(f"the export ended with {row}")
    if row["rows"] != count:
        sys.exit(f"the export says {row['rows']} rows and has {count}")
    if (count, digest.hexdigest()) != (int(rows), expected):
        sys.exit(f"{count} rows with digest {digest.hexdigest()}, expected {rows} with {expected}")


def check_blocks(url):
    """Scans each block page by page and compares it with the source."""
    named = dict(source())
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    for title, first, last in BLOCKS:
        expected = [(chr(c), named[chr(c)]) for c in range(first, last + 1) if chr(c) in named]
        found = list(scan(connection, chr(first), chr(last + 1)))
        if found != expected:
            differing = next((a, b) for a, b in zip(found + [None], expected + [None]) if a != b)
            sys.exit(f"{title}: {len(found)} rows, expected {len(expected)}; first: {differing}")
        print(f"  {title}: {len(found)}")


def scan(connection, start, end):
    body = {"start": start, "end": end, "limit": 5000, "enc": "b64"}
    while True:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/raw/scan", json.dumps(body), headers)
        reply = connection.getresponse()
        page = json.loads(reply.read())
        if reply.status != 200:
            sys.exit(f"scan from {start!r}: {reply.status} {page}")
        for row in page["items"]:
            yield tuple(base64.b64decode(row[part]["b64"]).decode() for part in ("key", "value"))
        if "next_cursor" not in page or page["next_cursor"] is None:
            return
        body["cursor"] = page["next_cursor"]


if __name__ == "__main__":
    commands = {"rows": write_rows, "export": check_export, "blocks": check_blocks}
    commands[sys.argv[1]](*sys.argv[2:])
