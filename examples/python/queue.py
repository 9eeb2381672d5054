"""A backend in Python writes a command into the durable queue on NATS, by NATS's own protocol.

ROOMCAST_NATS=nats://127.0.0.1:4222 python3 examples/python/queue.py chat:lobby "hello"

With the package nats-py it is: await js.publish("roomcast-commands.python", body, headers={"Nats-Msg-Id": id})
"""
import json, os, socket, sys, uuid
from urllib.parse import urlsplit

nats = urlsplit(os.environ.get("ROOMCAST_NATS", "nats://127.0.0.1:4222"))
namespace = os.environ.get("ROOMCAST_NAMESPACE", "roomcast")
room, text = sys.argv[1], sys.argv[2]
command = {"do": "publish", "room": room, "event": "said", "data": {"text": text}, "from": "python"}
body = json.dumps(command).encode()
# Names the command: written twice within the window it is one, applied twice it is still one event.
headers = f"NATS/1.0\r\nNats-Msg-Id: {uuid.uuid4()}\r\n\r\n".encode()

with socket.create_connection((nats.hostname, nats.port or 4222), timeout=10) as connection:
    lines = connection.makefile("rb")
    lines.readline()  # INFO
    options = json.dumps({"verbose": False, "headers": True, "lang": "python"})
    size = f"{len(headers)} {len(headers) + len(body)}"
    connection.sendall(
        f"CONNECT {options}\r\nSUB answer 1\r\nHPUB {namespace}-commands.python answer {size}\r\n".encode()
        + headers + body + b"\r\n"
    )
    while not lines.readline().startswith(b"MSG answer"):
        pass
    answer = json.loads(lines.readline())
if "error" in answer:
    sys.exit(f"refused: {answer['error']['description']}")
print("in the queue as", answer["seq"], "of", answer["stream"])
