"""`recserve store schema`: the JSON Schema of registry files, for editors."""

from recserve.cli.output import print_json


def schema() -> None:
    """Print the JSON Schema of a registry file: its keys, what they mean and what they may be."""
    from recserve.feature_store.schema import schema as schema_of_registry

    print_json(schema_of_registry())
