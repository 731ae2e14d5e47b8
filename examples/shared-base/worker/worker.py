"""A job: reads a list of tasks and does them."""

import yaml

TASKS = """
- {name: sum, numbers: [1, 2, 3]}
- {name: largest, numbers: [4, 9, 2]}
"""

for task in yaml.safe_load(TASKS):
    result = sum(task["numbers"]) if task["name"] == "sum" else max(task["numbers"])
    print(f"{task['name']}: {result}")
