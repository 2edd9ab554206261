"""Drives a gateway with Convoy's own SDK, as its README does. Prints what came of it as JSON.

INLET_URL   https://…/api/v1/projects/<id>      INLET_KEY   the project's key
RECEIVER    the URL that an endpoint is made for
"""

import json
import os
import time

from convoy import Convoy

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

print(json.dumps({"event": pushed["uid"], "delivery": failed["uid"], "source": source["uid"],
                  "subscription": subscription["uid"], "endpoint": endpoint["uid"]}))
