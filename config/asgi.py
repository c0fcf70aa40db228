"""ASGI entry: HTTP by Django, websockets by Channels."""

import os
import re

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.production")
# As `get_asgi_application` does, and before the imports below: they load models.
django.setup(set_prefix=False)

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.conf import settings  # noqa: E402

from apps.common.uploads import ENVELOPE_BYTES  # noqa: E402
from apps.live.routing import websocket_urlpatterns  # noqa: E402
from apps.live.topics import UUID_PATTERN  # noqa: E402
from config.body_limit import Roomier, limited  # noqa: E402
from config.handler import OneThreadHandler  # noqa: E402

#: Where evidence comes in: by the page, and by the API.
EVIDENCE_UPLOADS = Roomier(
    path=re.compile(
        rf"/requests/{UUID_PATTERN}/evidence/|/api/v1/approvals/{UUID_PATTERN}/evidence", re.ASCII
    ),
    most=settings.EVIDENCE_MAX_BYTES + ENVELOPE_BYTES,
)
#: Where batches come in: a page's form with a CSV file, and the API, as JSON too.
BATCHES = Roomier(
    path=re.compile(r"/interventions/batches/new/|/api/v1/intervention-batches", re.ASCII),
    most=settings.BATCH_MAX_BYTES + ENVELOPE_BYTES,
    json=True,
)

application = ProtocolTypeRouter(
    {
        "http": limited(
            OneThreadHandler(),
            most=settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
            roomier=[EVIDENCE_UPLOADS, BATCHES],
        ),
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(URLRouter(websocket_urlpatterns))
        ),
    }
)
