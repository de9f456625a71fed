"""`recserve config schema`: the JSON Schema of the service file, for editors."""

from recserve.cli.output import print_json


def schema() -> None:
    """Print the JSON Schema of the service file: its keys, what they mean and what they may be."""
    from recserve.config.schema import schema as schema_of_service_file

    print_json(schema_of_service_file())
