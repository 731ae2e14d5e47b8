"""The health check: exits with 0 if the program answers as it should."""

import json
import sys
import urllib.request

with urllib.request.urlopen("http://127.0.0.1:8000/health", timeout=4) as answer:
    sys.exit(json.load(answer) != {"status": "well"})
