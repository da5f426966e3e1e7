"""Run a scenario of sekmet as a load: `.sekmet/bin/python sekmet_load.py SETTINGS SCENARIO USERS JOURNEYS`.

`sekmet load run` would first build a hospital (Organizations, Locations) on whatever it loads; the service is none.
Prints sekmet's summary as JSON.
"""

import json
import sys

from sekmet.config import load_settings
from sekmet.context import AppContext
from sekmet.load.runner import LoadConfig, LoadRunner


def main(settings: str, scenario: str, users: str, journeys: str) -> None:
    config = LoadConfig(
        scenario=scenario, peer="ours", users=int(users), iterations=int(journeys), duration_s=60, warmup=False
    )
    print(json.dumps(LoadRunner(AppContext(load_settings(settings)), config).run(), default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
