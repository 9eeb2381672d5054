"""A backend in Python publishes by HTTP, with the standard library alone.

ROOMCAST_URL=http://127.0.0.1:8000 ROOMCAST_API_KEY=rck_… python3 examples/python/publish.py chat:lobby "hello"
"""
import json, os, sys, time, uuid
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

url = os.environ.get("ROOMCAST_URL", "http://127.0.0.1:8000")
room, text = sys.argv[1], sys.argv[2]
body = json.dumps({"event": "said", "data": {"text": text}, "from": "python"}).encode()
headers = {
    "content-type": "application/json",
    "authorization": "Bearer " + os.environ.get("ROOMCAST_API_KEY", ""),
    # Names this publish: however often it is sent, it is one event.
    "idempotency-key": str(uuid.uuid4()),
}
if not os.environ.get("ROOMCAST_API_KEY"):
    del headers["authorization"]  # a server on this machine, with nothing configured

for attempt in range(5):
    try:
        request = Request(f"{url}/v1/rooms/{quote(room, safe='')}/events", body, headers)
        with urlopen(request, timeout=10) as answer:
            print("published at", json.load(answer)["position"])
            break
    except HTTPError as error:
        problem = json.load(error)
        if error.code < 500 and error.code != 429:
            sys.exit(f"refused: {problem['detail']}")
        time.sleep(problem.get("retryMs", 1000) / 1000)
    except URLError:
        time.sleep(0.1 * 2**attempt)
else:
    sys.exit("the server could not be reached")
