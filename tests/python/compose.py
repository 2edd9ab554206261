"""docker-compose.yml against the schema of the Compose specification, and against what the tests of brokers expect of it."""

import json
import re
import sys
from pathlib import Path

import jsonschema_rs
import yaml

text = Path("docker-compose.yml").read_text()
compose = yaml.safe_load(text)
validator = jsonschema_rs.validator_for(json.loads(Path(sys.argv[1]).read_text()))
faults = [f"{'/'.join(map(str, fault.instance_path))}: {fault.message}" for fault in validator.iter_errors(compose)]
assert not faults, faults
# A schema that takes anything would prove nothing.
assert not validator.is_valid({"services": {"a": {"imagge": "b"}}})

services = compose["services"]
servers = Path("tests/brokers/servers.rs").read_text()
brokers = dict(zip(re.findall(r'const NAME: &\'static str = "(\w+)";', servers), re.findall(r'const VARIABLE: &\'static str = "(\w+)";', servers)))
assert len(brokers) == 4 and set(services) == set(brokers), (set(services), brokers)

# What the head of the file tells people to export are the addresses where its services listen, on loopback alone.
exported = dict(re.findall(r"(INLET_TEST_\w+)=(\S+)", text))
assert set(exported) == set(brokers.values()), exported
for name, service in services.items():
    address = exported[brokers[name]].removeprefix("http://")
    port = address.removeprefix("127.0.0.1:")
    assert service["ports"] == [f"{address}:{port}"], (name, address)
    inside = {**service.get("environment", {}), "command": " ".join(service.get("command", []))}
    assert name == "rabbitmq" or any(re.search(rf"\b{port}\b", str(value)) for value in inside.values()), f"{name} is not told its port {port}"
advertised = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
assert advertised == f"PLAINTEXT://{exported['INLET_TEST_KAFKA']}", advertised

# The servers are those that scripts/brokers.sh installs.
pom = Path("scripts/brokers/pom.xml").read_text()
kafka = re.search(r"<artifactId>kafka_[\d.]+</artifactId><version>([\d.]+)</version>", pom)[1]
moto = re.search(r"^moto==(.+)$", Path("scripts/brokers/requirements.txt").read_text(), re.MULTILINE)[1]
assert services["kafka"]["image"] == f"apache/kafka:{kafka}", services["kafka"]["image"]
assert services["sqs"]["image"] == f"motoserver/moto:{moto}", services["sqs"]["image"]
