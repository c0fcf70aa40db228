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
from apps.engine.site_beats import SiteBeats  # noqa: E402
from apps.live.routing import websocket_urlpatterns  # noqa: E402
from apps.web import body_sizes  # noqa: E402
from config.body_limit import limited  # noqa: E402
from config.handler import OneThreadHandler  # noqa: E402

application = ProtocolTypeRouter(
    {
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
if settings.SITE_BEATS:
    SiteBeats().start()
startup.load_end()
