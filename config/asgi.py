"""ASGI entry: HTTP by Django, websockets by Channels."""

import os

import django

from config import startup

startup.load_begin()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.production")
# As `get_asgi_application` does, and before the imports below: they load models.
django.setup(set_prefix=False)

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.conf import settings  # noqa: E402

import config.urls  # noqa: E402, F401 - the first request would have to wait for it
from apps.automations.local_runner import LocalRunner  # noqa: E402
from apps.engine.site_beats import SiteBeats  # noqa: E402
from apps.live.routing import websocket_urlpatterns  # noqa: E402
from apps.web import body_sizes  # noqa: E402
from config.body_limit import limited  # noqa: E402
from config.handler import OneThreadHandler  # noqa: E402
from config.lifespan import Lifespan, Part  # noqa: E402
from workers.embedded_worker import EmbeddedWorker  # noqa: E402


def _beside() -> Lifespan:
    """Return what runs beside the pages, as the settings say."""
    parts: list[Part] = []
    if settings.SITE_BEATS:
        parts.append(SiteBeats())
    if settings.LOCAL_RUNNER:
        parts.append(LocalRunner())
    if settings.START_TEMPORAL_WORKER:
        parts.append(EmbeddedWorker())
    return Lifespan(parts)


application = ProtocolTypeRouter(
    {
        "lifespan": _beside(),
        "http": limited(
            OneThreadHandler(),
            most=settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
            roomier=body_sizes.registered(),
        ),
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(URLRouter(websocket_urlpatterns))
        ),
    }
)
startup.load_end()
