"""Drives a gateway with Convoy's own SDK, as its README does. Prints what came of it as JSON.

INLET_URL   https://…/api/v1/projects/<id>      INLET_KEY   the project's key
RECEIVER    the URL that an endpoint is made for
"""

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

from convoy import Convoy
from convoy.utils.webhook import Webhook

URL = os.environ["INLET_URL"]
convoy = Convoy({"api_key": os.environ["INLET_KEY"], "uri": URL})


def must(answer, status, message):
    body, got = answer
    assert got == status, (got, body)
    assert body["status"] is True and body["message"] == message, body
    return body["data"]


source = must(
    convoy.source.create({}, {"name": "sdk", "type": "http", "verifier": {"type": "noop"}}),
    201, "Source created successfully")
endpoint = must(
    convoy.endpoint.create({}, {
        "name": "receiver", "url": os.environ["RECEIVER"], "description": "of the SDK",
        "secret": "a-secret-of-the-sdk", "events": ["*"],
    }), 201, "Endpoint created successfully")
# The shape that the SDK documents: with configurations that ask for nothing.
subscription = must(
    convoy.subscription.create({}, {
        "alert_config": {"count": 0, "threshold": ""}, "endpoint_id": endpoint["uid"],
        "filter_config": {"event_types": ["payment.success"]}, "name": "all of them",
        "retry_config": {"duration": "", "retry_count": 0, "type": ""}, "source_id": source["uid"],
    }), 201, "Subscription created successfully")

pushed = must(
    convoy.event.create({}, {
        "endpoint_id": endpoint["uid"], "event_type": "payment.success",
        "data": {"event": "payment.success", "data": {"status": "Completed"}},
    }), 201, "Event queued successfully")


def wait_for(what, look):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit(f"waited for {what}")


def delivered():
    page = must(convoy.event_delivery.all({"eventId": pushed["uid"]}), 200, "Event deliveries fetched successfully")
    return next((one for one in page["content"] if one["status"] == "Failure"), None)


# The receiver says 410 at first: the delivery is given up.
failed = wait_for("the delivery to be given up", delivered)
events = must(convoy.event.all({}), 200, "App events fetched successfully")
assert [one["uid"] for one in events["content"]] == [pushed["uid"]], events
found = must(convoy.event.find(pushed["uid"], {}), 200, "Endpoint event fetched successfully")
assert found["data"]["data"] == {"status": "Completed"}, found
must(convoy.event_delivery.find(failed["uid"], {}), 200, "Event Delivery fetched successfully")
attempts = must(convoy.delivery_attempt.all(failed["uid"], {}), 200, "Event delivery attempts fetched successfully")
must(convoy.delivery_attempt.find(failed["uid"], attempts[0]["uid"], {}), 200,
     "Event delivery attempt fetched successfully")
must(convoy.event_delivery.resend(failed["uid"], {}), 200, "App event processed for retry successfully")

for name, api, one, listed, got in [
    ("Source", convoy.source, source, "Sources", "Source"),
    ("Subscription", convoy.subscription, subscription, "Subscriptions", "Subscription"),
]:
    page = must(api.all({"perPage": 5}), 200, f"{listed} fetched successfully")
    assert [item["uid"] for item in page["content"]] == [one["uid"]], page
    must(api.find(one["uid"], {}), 200, f"{got} fetched successfully")
must(convoy.endpoint.all({}), 200, "Endpoints fetched successfully")
must(convoy.source.update(source["uid"], {}, {"name": "sdk 2", "type": "http", "is_disabled": True}), 202,
     "Source updated successfully")
must(convoy.endpoint.update(endpoint["uid"], {}, {"name": "receiver 2", "url": os.environ["RECEIVER"]}), 202,
     "Endpoint updated successfully")
# The SDK leaves a slash out between its base and this path.
with_slash = Convoy({"api_key": os.environ["INLET_KEY"], "uri": URL + "/"})
must(with_slash.endpoint.find(endpoint["uid"], {}), 200, "Endpoint fetched successfully")


class Receiver(BaseHTTPRequestHandler):
    """Keeps what the SDK's own check of signatures reads."""

    received = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.received.append((body, self.headers["X-Convoy-Signature"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


with HTTPServer(("127.0.0.1", 0), Receiver) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    signed = must(
        convoy.endpoint.create({}, {
            "name": "signed", "url": f"http://127.0.0.1:{server.server_port}/", "secret": "another-secret",
            "advanced_signatures": False,
        }), 201, "Endpoint created successfully")
    more = [must(
        convoy.event.create({}, {"endpoint_id": signed["uid"], "event_type": "payment.failed", "data": {"n": n},
                                 "idempotency_key": f"key-{n}"}),
        201, "Event queued successfully") for n in range(3)]
    assert [(one["event_type"], one["idempotency_key"]) for one in more] == [("payment.failed", f"key-{n}") for n in range(3)], more
    wait_for("three deliveries", lambda: len(Receiver.received) == 3)
    server.shutdown()
for body, signature in Receiver.received:
    assert Webhook("another-secret").verify_signature(body, signature) is True, (body, signature)
    assert Webhook("a-wrong-secret").verify_signature(body, signature) == "Invalid signature.", signature

# Lists by the cursors that they give, forward and back.
query, seen = {"perPage": 1, "endpointId": signed["uid"]}, []
while True:
    page = must(convoy.event.all(query), 200, "App events fetched successfully")
    seen += [one["uid"] for one in page["content"]]
    if not page["pagination"]["has_next_page"]:
        break
    query["next_page_cursor"] = page["pagination"]["next_page_cursor"]
assert seen == [one["uid"] for one in reversed(more)], seen
assert page["pagination"]["has_prev_page"] is True, page["pagination"]
found = must(convoy.event_delivery.all({"status": ["Success", "Retry"], "endpointId": signed["uid"]}),
             200, "Event deliveries fetched successfully")
assert len(found["content"]) == 3, found

must(convoy.subscription.update(subscription["uid"], {}, {
    "name": "some of them", "endpoint_id": endpoint["uid"], "source_id": source["uid"],
    "filter_config": {"event_types": ["payment.failed"]},
}), 202, "Subscription updated successfully")
refused, status = convoy.subscription.create({}, {"name": "nobody's", "endpoint_id": "none", "source_id": source["uid"]})
assert (status, refused) == (400, {"status": False, "message": "failed to find endpoint by id"}), (status, refused)
# The SDK sends a body with what it deletes.
for api, one, message in [
    (convoy.subscription, must(convoy.subscription.create({}, {
        "name": "of no use", "endpoint_id": signed["uid"], "source_id": source["uid"]}), 201, "Subscription created successfully"),
     "Subscription deleted successfully"),
    (convoy.source, must(convoy.source.create({}, {"name": "of no use", "type": "http"}), 201, "Source created successfully"),
     "Source deleted successfully"),
    (convoy.endpoint, signed, "Endpoint deleted successfully"),
]:
    must(api.delete(one["uid"], {}, {}), 200, message)
gone, status = with_slash.endpoint.find(signed["uid"], {})
assert (status, gone) == (404, {"status": False, "message": "Resource not found"}), (status, gone)

print(json.dumps({"event": pushed["uid"], "delivery": failed["uid"], "source": source["uid"],
                  "subscription": subscription["uid"], "endpoint": endpoint["uid"]}))
