"""Sends what the Python client refuses to send and other producers do not: a header whose name is
not UTF-8. By librdkafka itself, as the wheel has it."""

import ctypes
from pathlib import Path

import confluent_kafka

#: Of rd_kafka_vtype_t.
END, TOPIC, VALUE, FLAGS, HEADERS = 0, 1, 4, 7, 10
COPY = 2
_Pointer, _Text, _Size, _Int = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int


def send_with_header(address: str, topic: str, value: bytes, name: bytes) -> None:
    """Send a message whose only header has that name; return when the broker has it."""
    rd = _library()
    error = ctypes.create_string_buffer(500)
    conf = rd.rd_kafka_conf_new()
    told = rd.rd_kafka_conf_set(conf, b"bootstrap.servers", address.encode(), error, 500)
    assert told == 0, error.value
    producer = rd.rd_kafka_new(0, conf, error, 500)
    headers = rd.rd_kafka_headers_new(1)
    assert rd.rd_kafka_header_add(headers, name, len(name), b"v", 1) == 0
    failed = rd.rd_kafka_producev(
        _Pointer(producer),
        *(_Int(TOPIC), _Text(topic.encode())),
        *(_Int(VALUE), _Text(value), _Size(len(value))),
        *(_Int(FLAGS), _Int(COPY)),
        *(_Int(HEADERS), _Pointer(headers)),
        _Int(END),
    )
    assert failed == 0, failed
    assert rd.rd_kafka_flush(producer, 30_000) == 0
    rd.rd_kafka_destroy(producer)


def _library() -> ctypes.CDLL:
    folder = Path(confluent_kafka.__file__).parent.with_name("confluent_kafka.libs")
    rd = ctypes.CDLL(str(next(folder.glob("librdkafka*"))))
    for name, result, given in (
        ("rd_kafka_conf_new", _Pointer, []),
        ("rd_kafka_conf_set", _Int, [_Pointer, _Text, _Text, _Text, _Size]),
        ("rd_kafka_new", _Pointer, [_Int, _Pointer, _Text, _Size]),
        ("rd_kafka_headers_new", _Pointer, [_Size]),
        ("rd_kafka_header_add", _Int, [_Pointer, _Text, _Size, _Text, _Size]),
        ("rd_kafka_flush", _Int, [_Pointer, _Int]),
        ("rd_kafka_destroy", None, [_Pointer]),
    ):
        function = getattr(rd, name)
        function.restype, function.argtypes = result, given
    return rd
