"""A real Prometheus beside the gateway: scrapes its loopback endpoint, evaluates rules, answers queries.

In: a netlab Host, a folder, targets, rule files. Out: Prometheus (start, wait_up, query, series, stop).
Its storage and port are its own; it listens on the namespace's loopback only and is ended with the test.
"""

import json
import os
import time
import urllib.parse

import yaml

PORT = 19090


class Prometheus:
    def __init__(self, host, folder, target="127.0.0.1:15000", rules=(), interval="250ms"):
        self.host, self.folder = host, folder
        os.makedirs(folder, exist_ok=True)
        self.config = os.path.join(folder, "prometheus.yaml")
        self.log = os.path.join(folder, "prometheus.log")
        with open(self.config, "w") as file:
            yaml.safe_dump({
                "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
                "rule_files": list(rules),
                "scrape_configs": [{"job_name": "sluice", "metrics_path": "/stats/prometheus", "static_configs": [{"targets": [target]}]}],
            }, file)
        self.process = None

    def start(self):
        self.process = self.host.start(
            "prometheus", f"--config.file={self.config}", f"--storage.tsdb.path={self.folder}/data", "--storage.tsdb.retention.size=64MB",
            f"--web.listen-address=127.0.0.1:{PORT}", "--log.level=info", log=self.log)
        return self

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)
        self.process = None

    def get(self, path, **parameters):
        """The `data` of an answer of its API; its error as an AssertionError."""
        url = f"http://127.0.0.1:{PORT}/api/v1/{path}?{urllib.parse.urlencode(parameters, doseq=True)}"
        done = self.host.run("curl", "-sS", "--max-time", "10", url, check=False)
        assert done.returncode == 0, f"{path}: {done.stderr}\n{self.log_tail()}"
        answer = json.loads(done.stdout)
        assert answer["status"] == "success", f"{parameters}: {answer.get('error')}"
        return answer["data"]

    def log_tail(self):
        with open(self.log, errors="replace") as file:
            return "".join(file.readlines()[-20:])

    def wait_up(self, scrapes=3, timeout_s=30):
        """Until so many scrapes were good; the last error if they were not."""
        deadline, why = time.monotonic() + timeout_s, ""
        while time.monotonic() < deadline:
            try:
                targets = self.get("targets")["activeTargets"]
                why = targets[0]["lastError"] if targets else "no target is known yet"
                samples = self.get("query", query='count_over_time(up{job="sluice"}[1m])')["result"]
                if not why and targets[0]["health"] == "up" and samples and float(samples[0]["value"][1]) >= scrapes:
                    return self
            except AssertionError as not_yet:
                why = str(not_yet)
            time.sleep(0.2)
        raise AssertionError(f"Prometheus does not scrape: {why}\n{self.log_tail()}")

    def value(self, expression):
        """The one value of an instant query."""
        result = self.get("query", query=expression)["result"]
        assert len(result) == 1, f"{expression}: {result}"
        return float(result[0]["value"][1])
