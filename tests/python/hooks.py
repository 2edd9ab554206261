"""Ids that are there, for calls that would else only ever ask for what is not.

INLET_IDS is a JSON object: the name of a parameter of a path -> an id.
"""

import json
import os

import schemathesis

IDS = json.loads(os.environ["INLET_IDS"])


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    operation = context.operation
    if not isinstance(path_parameters, dict):
        return path_parameters
    for name, value in list(path_parameters.items()):
        # The project is always ours; of the others every second one. What would be gone is left alone.
        is_kept = operation.method.upper() != "DELETE" and not operation.path.endswith("/revoke")
        if name == "projectID" or (is_kept and name in IDS and sum(map(ord, str(value))) % 2 == 0):
            path_parameters[name] = IDS.get(name, value)
    return path_parameters
