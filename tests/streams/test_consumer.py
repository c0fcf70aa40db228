"""The loop that takes records in, without a broker."""

import os
import signal
import subprocess
import sys

from tests.support import flooded


def test_signals_on_top_of_each_other_end_it_while_the_broker_is_away() -> None:
    script = (
        "import os, signal, django; django.setup()\n"
        "from apps.streams.consumer import Consumer\n"
        "from apps.streams.records import BrokerAway\n"
        "class Away:\n"
        "    def poll(self, seconds):\n"
        "        print('began', flush=True)\n"
        "        raise BrokerAway('away')\n"
        "    def close(self):\n"
        "        pass\n"
        "consumer = Consumer(Away(), {})\n"
        "for number in (signal.SIGINT, signal.SIGTERM):\n"
        "    signal.signal(number, lambda number, frame: consumer.stop())\n"
        "consumer.run()\n"
        "os._exit(0)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings.test"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdout and process.stdout.readline() == b"began\n"
        assert flooded(process, signal.SIGTERM, signal.SIGINT) == 0
