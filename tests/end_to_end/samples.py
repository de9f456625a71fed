"""The samples of the vendor's documentation, as calls on the Python client."""

from __future__ import annotations

RAW_3 = [0.24689289764507472, 0.005758482924454689, 0.6765301324940026, 0.18137273055602343]
RAW_4 = [0.9965264740966043, 0.659596586238391, 0.16396649403055896, 0.08364986620265635]
CLICK = [[0.94433516, 0.49145547], [0.94433516, 0.49145597]]

PYTHON_SAMPLE = [
    ("add_user_fea", "user_id", "u001d", "STRING"),
    ("add_user_fea", "age", 12, "INT"),
    ("add_user_fea", "weight", 129.8, "FLOAT"),
    ("add_item_id", "item_0001"),
    ("add_item_id", "item_0002"),
    ("add_item_id", "item_0003"),
    ("add_user_fea", "raw_3", RAW_3, "list<double>"),
    ("add_user_fea", "raw_4", RAW_4, "list<double>"),
    ("add_user_fea", "map_1", {"0": 0.37845234405201145}, "map<int,float>"),
    ("add_user_fea", "map_2", {"866": 4143, "1627": 2451}, "map<int,int>"),
    ("add_context_fea", "id_2", [866], "list<int>"),
    ("add_context_fea", "id_2", [7022, 1], "list<int>"),
    ("add_context_fea", "id_2", [7022, 1], "list<int>"),
    ("add_user_fea", "click", CLICK, "list<list<float>>"),
]
#: What the sample for Java sends: a number as the user's id, and two entries for one item.
JAVA_SAMPLE = [
    ("add_item_id", "7033"),
    ("add_user_fea", "user_id", 33981, "int"),
    ("add_user_fea", "raw_3", RAW_3, "List<double>"),
    ("add_user_fea", "map_1", {"866": 4143, "1627": 2451}, "map<string,int>"),
    ("add_user_fea", "click", [[1.1, 2.2, 3.3], [4.4, 5.5]], "list<list<float>>"),
    ("add_context_fea", "id_2", [3.0, 4.0], "List<double>"),
    ("add_context_fea", "id_2", [5.0], "List<double>"),
]
