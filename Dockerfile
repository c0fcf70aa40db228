# One image for every process; the command chooses which:
#   uvicorn config.asgi:application …   manage.py runworker   manage.py runrelay
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
COPY requirements/base.txt /tmp/base.txt
# Every wheel is checked against its hash; nothing is compiled here.
RUN /opt/venv/bin/pip install --require-hashes --only-binary :all: -r /tmp/base.txt

FROM python:3.11-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=config.settings.production \
    HEALTH_HOST=0.0.0.0 \
    METRICS_HOST=0.0.0.0 \
    HEALTHCHECK_URL=http://127.0.0.1:8000/health
RUN groupadd --gid 10001 countersign \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin countersign
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY manage.py ./
COPY config config
COPY apps apps
COPY workers workers
COPY templates templates
# The key and the addresses are for this one command: nothing connects, nothing is kept.
RUN SECRET_KEY=only-while-the-image-is-built-0123456789abcdefghijklmnopqrstuvwxyz \
    ALLOWED_HOSTS=localhost DATABASE_URL=postgres://build@localhost/build \
    REDIS_URL=redis://localhost:6379/0 TEMPORAL_ADDRESS=localhost:7233 \
    EXECUTOR_URL=https://localhost/executor PAYMENT_SERVICE_URL=https://localhost/payments \
    PAYSTACK_SECRET_KEY=only-while-the-image-is-built \
    python manage.py collectstatic --no-input
USER 10001:10001
EXPOSE 8000 8081 9093
# A worker's container sets HEALTHCHECK_URL to its own port. The site answers only to its own hosts.
HEALTHCHECK --interval=10s --timeout=6s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(r.Request(os.environ['HEALTHCHECK_URL'], headers={'Host': os.environ.get('ALLOWED_HOSTS', 'localhost').split(',')[0]}), timeout=5)"]
CMD ["uvicorn", "config.asgi:application", "--lifespan", "on", "--host", "0.0.0.0", "--port", "8000", "--timeout-graceful-shutdown", "20"]
