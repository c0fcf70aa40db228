"""The metrics at METRICS_PORT: ours, the SDK's and the connection pool's."""

import socket
import urllib.request
from collections.abc import Iterable
from contextlib import suppress

from django.db import connections
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from temporalio.runtime import PrometheusConfig

from apps.engine.contracts import RunStatus

# `…_created` series would double every counter.
disable_created_metrics()

#: Seconds. Beyond 30 s, because the alert on slow tasks needs the 95th percentile above it.
BUCKETS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    *(10.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0),
)

WORKFLOW_COMPLETIONS = Counter(
    "workflow_completions_total", "Workflow runs that completed here.", ["workflow_type"]
)
WORKFLOW_FAILURES = Counter(
    "workflow_failures_total", "Workflow runs that failed here.", ["workflow_type"]
)
WORKFLOW_CANCELLATIONS = Counter(
    "workflow_cancellations_total", "Workflow runs that ended cancelled here.", ["workflow_type"]
)
ACTIVITY_EXECUTIONS = Counter(
    "activity_execution_total",
    "Attempts of activities, local and remote. status: success, failure, cancelled.",
    ["activity_type", "status"],
)
ACTIVITY_LATENCY = Histogram(
    "activity_latency_seconds",
    "Time of an attempt, waiting for a thread included.",
    ["activity_type"],
    buckets=BUCKETS,
)
TASKS = Counter(
    "conn_dict_worker_tasks_processed_total",
    "As activity_execution_total, under the name that dashboards of the source use.",
    ["task_type", "status"],
)
TASK_DURATION = Histogram(
    "conn_dict_worker_task_duration_seconds",
    "As activity_latency_seconds, under the name that dashboards of the source use.",
    ["task_type"],
    buckets=BUCKETS,
)
HEALTH = Gauge("conn_dict_worker_health_status", "1: ready for work; 0: starting, ill or draining.")
ACTIVE_WORKFLOWS = Gauge(
    "conn_dict_worker_active_workflows",
    "Workflows that this worker executes now: a workflow task or an activity of theirs runs.",
)
ACTIVE_ACTIVITIES = Gauge(
    "conn_dict_worker_active_activities", "Activities that this worker executes now."
)
CACHED_WORKFLOWS = Gauge(
    "countersign_worker_cached_workflows", "Open workflows in this worker's cache."
)
OPEN_WORKFLOWS = Gauge(
    "countersign_open_workflows", "Open people-facing workflows of the whole system (the mirror)."
)
RELAY_PENDING = Gauge(
    "countersign_relay_pending_commands", "Commands that wait for the relay, up to 10,000."
)
RELAY_PARKED = Gauge(
    "countersign_relay_parked_commands", "Commands that wait for an operator, up to 10,000."
)
RELAY_LAG = Gauge(
    "countersign_relay_lag_seconds", "Age of the oldest command that the relay still has to send."
)
EVENTS_LAG = Gauge(
    "countersign_events_lag_seconds",
    "Age of the oldest event that the topic's broker has not got.",
    ["topic"],
)
NOTICES_DROPPED = Counter(
    "countersign_mirror_notices_dropped_total",
    "Notices of runs that were not written; the sweeper finds those runs.",
)
INPUTS_REFUSED = Counter(
    "countersign_inputs_refused_total",
    "Inputs from outside that did not fit. what: start, signal, query, update.",
    ["what"],
)
REFUSALS_DROPPED = Counter(
    "countersign_refusals_dropped_total", "Refused inputs that the audit trail does not have."
)


def activity_done(activity_type: str, *, status: str, seconds: float) -> None:
    """Count one attempt under both names."""
    ACTIVITY_EXECUTIONS.labels(activity_type, status).inc()
    ACTIVITY_LATENCY.labels(activity_type).observe(seconds)
    TASKS.labels(activity_type, status).inc()
    TASK_DURATION.labels(activity_type).observe(seconds)


def workflow_ended(workflow_type: str, status: RunStatus) -> None:
    """Count one run whose end the server has accepted; continue-as-new is not an end."""
    counters = {
        RunStatus.COMPLETED: WORKFLOW_COMPLETIONS,
        RunStatus.FAILED: WORKFLOW_FAILURES,
        RunStatus.CANCELLED: WORKFLOW_CANCELLATIONS,
    }
    if counter := counters.get(status):
        counter.labels(workflow_type).inc()


def announce(*, workflow_types: Iterable[str], activity_types: Iterable[str]) -> None:
    """Create the series at 0, so that the first event shows as an increase."""
    for workflow_type in workflow_types:
        WORKFLOW_COMPLETIONS.labels(workflow_type)
        WORKFLOW_FAILURES.labels(workflow_type)
    for activity_type in activity_types:
        for status in ("success", "failure"):
            ACTIVITY_EXECUTIONS.labels(activity_type, status)
            TASKS.labels(activity_type, status)
        ACTIVITY_LATENCY.labels(activity_type)
        TASK_DURATION.labels(activity_type)


# --- the connection pool ------------------------------------------------------------------------
class PoolCollector(Collector):
    """psycopg_pool's own figures as `db_pool_…`, read at scrape time without a query."""

    GAUGES = ("pool_min", "pool_max", "pool_size", "pool_available", "requests_waiting")

    def collect(self) -> Iterable[Metric]:
        pool = getattr(connections["default"], "pool", None)
        figures = pool.get_stats() if pool is not None else {}
        for name, value in figures.items():
            title = f"db_pool_{name.removeprefix('pool_')}"
            description = f"psycopg_pool: {name}"
            if name in self.GAUGES:
                yield GaugeMetricFamily(title, description, value=value)
            else:
                yield CounterMetricFamily(title, description, value=value)

    def describe(self) -> Iterable[Metric]:
        # Registration must not open a pool.
        return []


# --- the scrape ---------------------------------------------------------------------------------
class Scrape:
    """Renders the registry and appends the output of the SDK's own exporter."""

    def __init__(self, registry: CollectorRegistry = REGISTRY, *, sdk_port: int = 0) -> None:
        self.registry = registry
        self.sdk_port = sdk_port

    def __call__(self) -> bytes:
        """Return the text format, without the SDK's part if its exporter does not answer."""
        return generate_latest(self.registry) + self._sdk()

    def _sdk(self) -> bytes:
        if not self.sdk_port:
            return b""
        address = f"http://127.0.0.1:{self.sdk_port}/metrics"
        with suppress(OSError), urllib.request.urlopen(address, timeout=2) as answer:
            return bytes(answer.read())
        return b""


def sdk_exporter(port: int) -> PrometheusConfig:
    """Return the configuration of the SDK's exporter, on its own port, with Prometheus' naming
    conventions."""
    return PrometheusConfig(
        bind_address=f"127.0.0.1:{port}",
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
    )


def free_port() -> int:
    """Return a port that is free now; it may be taken the next moment: then try again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
