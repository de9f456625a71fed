"""`recserve features schema`: the JSON Schema of fg.json, for editors."""

from recserve.cli.output import print_json


def schema() -> None:
    """Print the JSON Schema of fg.json: types, keys, what they mean and what they may be."""
    from recserve.features.docs.schema import schema as schema_of_fg_json

    print_json(schema_of_fg_json())
