"""The channel layer: Redis pub/sub that survives idle minutes and a restarted server."""

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

from channels_redis import pubsub as channels_pubsub
from channels_redis.utils import create_pool
from redis import asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

#: Put into every local channel after a lost connection to Redis is back: what was published in
#: between is gone, so the pages must look again.
RESUBSCRIBED = {"type": "live.resubscribed"}


def _keepalive() -> dict[int, int]:
    """A vanished server (no RST) is noticed within 30 s instead of two hours."""
    wanted = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}


class ResilientPubSubLayer(channels_pubsub.RedisPubSubChannelLayer):
    """channels-redis' pub/sub layer without redis-py's 5 s socket timeout.

    With the timeout an idle websocket is cut; without a retry a restarted server is not noticed.
    """

    def __init__(self, *, url: str, prefix: str, **kwargs: Any) -> None:
        host = {
            "address": url,
            "socket_timeout": None,
            "socket_connect_timeout": 2,
            "socket_keepalive": True,
            "socket_keepalive_options": _keepalive(),
            "health_check_interval": 15,
            # Short: the receiver tries again by itself, and a publisher must not wait long.
            "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), 3),
        }
        super().__init__(hosts=[host], prefix=prefix, **kwargs)

    def _get_layer(self) -> "_LoopLayer":
        loop = asyncio.get_running_loop()
        layer: _LoopLayer | None = self._layers.get(loop)
        if layer is None:
            layer = _LoopLayer(*self._args, **self._kwargs, channel_layer=self)
            self._layers[loop] = layer
            channels_pubsub._wrap_close(self, loop)
        return layer

    async def group_send_all(self, messages: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """As `group_send` for each (group, message), in one round trip."""
        await self._get_layer().group_send_all(messages)


class _LoopLayer(channels_pubsub.RedisPubSubLoopLayer):
    """The layer of one event loop. It tells its channels when a lost connection is back."""

    _shards: list[Any]

    def __init__(self, hosts: Any = None, **kwargs: Any) -> None:
        super().__init__(hosts=hosts, **kwargs)
        self._shards = [_Connection(shard.host, self) for shard in self._shards]

    async def group_send_all(self, messages: Iterable[tuple[str, dict[str, Any]]]) -> None:
        (shard,) = self._shards  # our settings know one server
        await shard.publish_all(
            [
                (self._get_group_channel_name(group), self.channel_layer.serialize(message))
                for group, message in messages
            ]
        )

    def resubscribed(self) -> None:
        message = self.channel_layer.serialize(RESUBSCRIBED)
        for queue in self.channels.values():
            queue.put_nowait(message)


class _Connection(channels_pubsub.RedisSingleShardConnection):
    _redis: Any

    def _ensure_redis(self) -> None:
        if self._redis is None:
            pool = create_pool(self.host)
            self._redis = aioredis.Redis(connection_pool=pool)
            self._pubsub = _PubSub(pool, resubscribed=self.channel_layer.resubscribed)

    async def publish_all(self, messages: list[tuple[str, bytes]]) -> None:
        async with self._lock:
            self._ensure_redis()
            pipeline = self._redis.pipeline(transaction=False)
            for channel, message in messages:
                pipeline.publish(channel, message)
            await pipeline.execute()


class _PubSub(aioredis.client.PubSub):
    def __init__(self, pool: Any, *, resubscribed: Any) -> None:
        super().__init__(pool)
        self._resubscribed = resubscribed

    async def on_connect(self, connection: Any) -> None:
        """Called for every connection after the first."""
        await super().on_connect(connection)
        if self.subscribed:
            self._resubscribed()
