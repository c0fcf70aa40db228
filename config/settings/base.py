"""Settings shared by every environment. Values come from the environment through `env`."""

import os
from pathlib import Path

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from config.settings import env
from config.settings.logs import LOG_LEVEL as LOG_LEVEL
from config.settings.logs import LOGGING as LOGGING
from config.settings.logs import configure_structlog

BASE_DIR = Path(__file__).resolve().parent.parent.parent

APP_ENVIRONMENT = env.text("APP_ENVIRONMENT", "development")
#: All processes on one database together; services of it may have names of their own.
INSTALLATION = env.text("INSTALLATION", "countersign")
SERVICE_NAME = env.text("SERVICE_NAME", "countersign")

INSTALLED_APPS = [
    # `workers` stands before `channels`: both bring a runworker command, ours must win.
    "workers",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "pgtrigger",
    "pghistory",
    "django_prometheus",
    "django_structlog",
    "django_htmx",
    "csp",
    "ninja",
    "channels",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "apps.audit",
    "apps.accounts",
    "apps.filters",
    "apps.live",
    "apps.engine",
    "apps.notifications",
    "apps.streams",
    "apps.approvals",
    "apps.interventions",
    "apps.wallets",
    "apps.payments",
    "apps.automations",
    "apps.pix",
    "apps.bookings",
    "apps.console",
]

MIDDLEWARE = [
    # /health and /ready, before anything that needs what they report about.
    "apps.engine.middleware.probes",
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "config.problems.problem_middleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    # Accept-Language, or the language cookie, among LANGUAGES.
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "apps.accounts.middleware.SignedInMiddleware",
    "apps.web.drafts.DraftsMiddleware",
    "apps.audit.doors.DenialsMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "apps.console.context.shell",
            ],
        },
    },
]

DATABASES = {"default": env.database("postgres://countersign@127.0.0.1:54320/countersign")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"

# --- Signing in --------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = ["apps.accounts.backends.Backend"]
#: Roles that need a second factor besides those whose rule says so; `administrator`: superusers.
MFA_REQUIRED_ROLES = env.words("MFA_REQUIRED_ROLES")
#: Former secret keys: what they signed or encrypted stays readable.
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")
#: How many proxies stand before the site; the outermost says where a request comes from.
TRUSTED_PROXIES = env.integer("TRUSTED_PROXIES", 0, most=10)
#: Failures within THROTTLE_SECONDS of the first, then a wait: apps/accounts/rate_limits.py.
THROTTLE_SECONDS = env.integer("THROTTLE_SECONDS", 300, least=1, most=86_400)
LOGIN_ATTEMPTS = env.integer("LOGIN_ATTEMPTS", 10, least=1)
LOGIN_ATTEMPTS_PER_ADDRESS = env.integer("LOGIN_ATTEMPTS_PER_ADDRESS", 100, least=1)
CODE_ATTEMPTS = env.integer("CODE_ATTEMPTS", 5, least=1)
KEY_ATTEMPTS_PER_ADDRESS = env.integer("KEY_ATTEMPTS_PER_ADDRESS", 100, least=1)
# allauth: user name and password, then a code. No sign-up, no e-mail, no social accounts: the
# addresses of such pages are not in apps/accounts/urls.py.
ACCOUNT_ADAPTER = "apps.accounts.adapters.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "apps.accounts.forms.LoginForm",
    "reauthenticate": "apps.accounts.forms.ConfirmForm",
}
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
# Ours count failures only, audit lockouts and survive Redis: apps/accounts/throttle.py.
ACCOUNT_RATE_LIMITS = False
MFA_ADAPTER = "apps.accounts.adapters.MFAAdapter"
MFA_FORMS = {
    "authenticate": "apps.accounts.forms.CodeForm",
    "reauthenticate": "apps.accounts.forms.ConfirmCodeForm",
    "activate_totp": "apps.accounts.forms.SetupForm",
}
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_RATE_LIMITS = False
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Countersign"
#: Codes of half a minute before and after count too: phones' clocks differ.
MFA_TOTP_TOLERANCE = 1

#: The language of the sources, of the API without Accept-Language, and of whatever is kept.
LANGUAGE_CODE = "en"
#: What readers can choose from. A new one needs its catalog in locale/: docs/translating.md.
LANGUAGES = [("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = "config.formats"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"

# Requests are JSON documents and forms; nothing but evidence that comes in is larger than this.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# --- Evidence ----------------------------------------------------------------------------------
#: One file beside a request; only the addresses that take such files let this much in.
EVIDENCE_MAX_BYTES = env.integer(
    "EVIDENCE_MAX_BYTES", 10 * 1024 * 1024, least=1024, most=100 * 1024 * 1024
)
#: Dotted path of a callable that is given the bytes and raises for what must not be kept.
EVIDENCE_SCANNER = env.text("EVIDENCE_SCANNER")

# --- Batches -----------------------------------------------------------------------------------
#: One batch, as JSON or as a CSV file; 20,000 payments with a sentence each have about 3 MB.
BATCH_MAX_BYTES = env.integer("BATCH_MAX_BYTES", 8 * 1024 * 1024, least=1024, most=64 * 1024 * 1024)
#: How many payments of one batch are carried out at a time.
BATCH_CONCURRENCY = env.integer("BATCH_CONCURRENCY", 10, least=1, most=100)

# --- Bookings ----------------------------------------------------------------------------------
#: How long a seat is held for a booking that has not begun to pay.
RESERVATION_SECONDS = env.integer("RESERVATION_SECONDS", 600, least=1, most=86_400)
#: How long before the departure of the boarding stop its seats are no longer sold.
SALES_CLOSE_MINUTES = env.integer("SALES_CLOSE_MINUTES", 5, least=0, most=1440)

# --- Payment events ----------------------------------------------------------------------------
#: A larger event is quarantined; its bytes are kept up to PAYMENT_RAW_MAX_BYTES.
PAYMENT_EVENT_MAX_BYTES = env.integer(
    "PAYMENT_EVENT_MAX_BYTES", 1024 * 1024, least=1024, most=16 * 1024 * 1024
)
PAYMENT_RAW_MAX_BYTES = 16 * 1024 * 1024
#: How long the bytes of settled events are kept.
PAYMENTS_RAW_DAYS = env.integer("PAYMENTS_RAW_DAYS", 90, least=1, most=36_500)
#: `event`: a workflow for each event; `batch`: one for up to 500.
PAYMENTS_LANE = env.text("PAYMENTS_LANE", "event")
if PAYMENTS_LANE not in {"event", "batch"}:
    raise ImproperlyConfigured(f"PAYMENTS_LANE must be event or batch, not {PAYMENTS_LANE!r}")
#: So many workflows of payment events are open at a time; further events wait in the table.
PAYMENTS_MAX_OPEN = env.integer("PAYMENTS_MAX_OPEN", 100, least=1, most=10_000)
PAYMENTS_ADMIT_SECONDS = env.seconds("PAYMENTS_ADMIT_SECONDS", 0.2, least=0.02)
#: An admitted event that is not done by then is looked for in the engine.
PAYMENTS_STALE_SECONDS = env.seconds("PAYMENTS_STALE_SECONDS", 900.0, least=1.0)
#: So many quarantined events wait for a person in the engine too; the others in the table alone.
QUARANTINE_OPEN_REVIEWS = env.integer("QUARANTINE_OPEN_REVIEWS", 1000, least=0, most=10_000)
PAYMENTS_SOURCE = env.text("PAYMENTS_SOURCE", "redis")
PAYMENTS_TOPIC = env.text("PAYMENTS_TOPIC", "payments.normalized")
PAYMENTS_DLQ_TOPIC = env.text("PAYMENTS_DLQ_TOPIC", "payments.validation.dlq")
#: Topics that a person may send a quarantined event to, of the broker that PAYMENTS_SOURCE names.
REPLAY_TOPICS = env.words("REPLAY_TOPICS")
KAFKA_BOOTSTRAP_SERVERS = env.text("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092")
KAFKA_CONSUMER_GROUP = env.text("KAFKA_CONSUMER_GROUP", "countersign-payments")
#: Further options of the client, as librdkafka names them: encryption, a login, timeouts.
KAFKA_OPTIONS = env.options("KAFKA_OPTIONS")
#: What a consumer of a Redis stream has not finished for so long, another takes over.
REDIS_CLAIM_SECONDS = env.seconds("REDIS_CLAIM_SECONDS", 30.0, least=0.1)
CONSUMER_HEALTH_PORT = env.integer("CONSUMER_HEALTH_PORT", 8082, least=0, most=65535)
INFERENCE_SERVICE_URL = env.text("INFERENCE_SERVICE_URL", "http://localhost:8002")
INFERENCE_TIMEOUT_SECONDS = env.seconds("INFERENCE_TIMEOUT_SECONDS", 30.0, least=0.1)
#: The batch lane sends up to 500 events in a call (`…:batch`).
INFERENCE_BULK = env.flag("INFERENCE_BULK", False)
#: While the service is away one call tries it, so often.
INFERENCE_PROBE_SECONDS = env.seconds("INFERENCE_PROBE_SECONDS", 10.0, least=0.1)

# --- Events for others -------------------------------------------------------------------------
#: So long events that a topic has got are kept here.
OUT_EVENT_DAYS = env.integer("OUT_EVENT_DAYS", 7, least=1, most=3650)
#: Where events of Pix keys go: a Redis stream, a topic of Kafka or one of Pulsar.
DICT_EVENTS_SINK = env.choice("DICT_EVENTS_SINK", "redis", "kafka", "pulsar")
PULSAR_URL = env.text("PULSAR_URL", "pulsar://localhost:6650")
PULSAR_TOPIC = env.text("PULSAR_TOPIC", "persistent://public/default/dict-events")
PULSAR_PRODUCER_NAME = env.text("PULSAR_PRODUCER_NAME", "conn-dict-worker")

# --- Redis: live pages -------------------------------------------------------------------------
REDIS_URL = env.text("REDIS_URL", "redis://127.0.0.1:63790/0")
LIVE_PREFIX = env.text("LIVE_PREFIX", "countersign")
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "apps.live.layer.ResilientPubSubLayer",
        "CONFIG": {"url": REDIS_URL, "prefix": LIVE_PREFIX},
    }
}

# --- Temporal ----------------------------------------------------------------------------------
TEMPORAL_ADDRESS = env.text("TEMPORAL_ADDRESS", "localhost:7233")
TEMPORAL_NAMESPACE = env.text("TEMPORAL_NAMESPACE", "default")
TEMPORAL_API_KEY = env.text("TEMPORAL_API_KEY")
TEMPORAL_TLS = env.flag("TEMPORAL_TLS", False)
TEMPORAL_TLS_CA_FILE = env.text("TEMPORAL_TLS_CA_FILE")
TEMPORAL_TLS_CERT_FILE = env.text("TEMPORAL_TLS_CERT_FILE")
TEMPORAL_TLS_KEY_FILE = env.text("TEMPORAL_TLS_KEY_FILE")
TEMPORAL_TLS_SERVER_NAME = env.text("TEMPORAL_TLS_SERVER_NAME")
TEMPORAL_RETENTION_DAYS = env.integer("TEMPORAL_RETENTION_DAYS", 30, least=1, most=3650)
#: Address that browsers can reach; links on every record point there. Empty: no links.
TEMPORAL_UI_URL = env.text("TEMPORAL_UI_URL").rstrip("/")

# --- Worker ------------------------------------------------------------------------------------
TEMPORAL_TASK_QUEUES = env.words("TEMPORAL_TASK_QUEUE")
MAX_CONCURRENT_WORKFLOWS = env.integer("MAX_CONCURRENT_WORKFLOWS", 100, least=2)
MAX_CONCURRENT_ACTIVITIES = env.integer("MAX_CONCURRENT_ACTIVITIES", 200, least=1)
#: Slots that were asked for by name are never scaled down to fit WORKER_THREADS.
MAX_CONCURRENT_ACTIVITIES_EXPLICIT = env.text("MAX_CONCURRENT_ACTIVITIES") != ""
MAX_CACHED_WORKFLOWS = env.integer("MAX_CACHED_WORKFLOWS", 1000, least=0)
WORKFLOW_POLLERS = env.integer("WORKFLOW_POLLERS", 10, least=2)
ACTIVITY_POLLERS = env.integer("ACTIVITY_POLLERS", 20, least=1)
#: Slots of all queues together; threads follow it. 0: the sum of what the queues ask for.
WORKER_THREADS = env.integer("WORKER_THREADS", 0)
WORKER_DRAIN_SECONDS = env.seconds("WORKER_DRAIN_SECONDS", 30.0)
HEALTH_HOST = env.text("HEALTH_HOST", "127.0.0.1")
HEALTH_PORT = env.integer("HEALTH_PORT", 8081, least=0, most=65535)
METRICS_HOST = env.text("METRICS_HOST", "127.0.0.1")
METRICS_PORT = env.integer("METRICS_PORT", 9093, least=0, most=65535)
TEMPORAL_DEPLOYMENT_NAME = env.text("TEMPORAL_DEPLOYMENT_NAME")
TEMPORAL_BUILD_ID = env.text("TEMPORAL_BUILD_ID")
if bool(TEMPORAL_DEPLOYMENT_NAME) != bool(TEMPORAL_BUILD_ID):
    raise ImproperlyConfigured("TEMPORAL_DEPLOYMENT_NAME and TEMPORAL_BUILD_ID go together")
#: Where workflows are written and tested it finds what is not deterministic (ADR 11).
WORKFLOW_SANDBOX = env.flag("WORKFLOW_SANDBOX", True)
TEMPORAL_DEBUG = env.flag("TEMPORAL_DEBUG", False)
# The SDK takes any value, even "false", as on, and then detects no deadlocks: it never sees it.
os.environ.pop("TEMPORAL_DEBUG", None)

# --- Relay -------------------------------------------------------------------------------------
RELAY_MAX_IN_FLIGHT = env.integer("RELAY_MAX_IN_FLIGHT", 20, least=1, most=200)
RELAY_MAX_IN_FLIGHT_PER_QUEUE = env.integer("RELAY_MAX_IN_FLIGHT_PER_QUEUE", 10, least=1)
RELAY_CALL_SECONDS = env.seconds("RELAY_CALL_SECONDS", 10.0, least=0.1)
RELAY_LEASE_SECONDS = env.seconds("RELAY_LEASE_SECONDS", 15.0, least=0.2)
RELAY_POLL_SECONDS = env.seconds("RELAY_POLL_SECONDS", 1.0, least=0.05)
RELAY_MAX_ATTEMPTS = env.integer("RELAY_MAX_ATTEMPTS", 20, least=1)
#: So long settled commands are kept in the outbox.
ENGINE_COMMAND_DAYS = env.integer("ENGINE_COMMAND_DAYS", 7, least=1, most=3650)
SWEEP_SECONDS = env.seconds("SWEEP_SECONDS", 5.0, least=0.1)
#: Whether a process of the site beats for the Workers page.
SITE_BEATS = True
#: Whether a process of the site runs executions that need no engine.
LOCAL_RUNNER = True
#: Whether it has a worker inside.
START_TEMPORAL_WORKER = env.flag("START_TEMPORAL_WORKER", False)

# --- Sagas -------------------------------------------------------------------------------------
#: Timeouts are settings because a kill costs as much as the timeout that notices it.
ACTIVITY_TIMEOUT_SECONDS = env.seconds("ACTIVITY_TIMEOUT_SECONDS", 300.0, least=0.5)
ACTIVITY_HEARTBEAT_SECONDS = env.seconds("ACTIVITY_HEARTBEAT_SECONDS", 30.0, least=0.5)
WORKFLOW_TASK_TIMEOUT_SECONDS = env.seconds("WORKFLOW_TASK_TIMEOUT_SECONDS", 10.0, least=1.0)
SAGA_DEADLINE_SECONDS = env.seconds("SAGA_DEADLINE_SECONDS", 1800.0, least=1.0)

# --- Automations -------------------------------------------------------------------------------
#: Slots of the automations' queue, and whether they were asked for by name.
TEMPORAL_MAX_CONCURRENT_WORKFLOWS = env.integer("TEMPORAL_MAX_CONCURRENT_WORKFLOWS", 10, least=2)
TEMPORAL_MAX_CONCURRENT_ACTIVITIES = env.integer("TEMPORAL_MAX_CONCURRENT_ACTIVITIES", 5, least=1)
TEMPORAL_MAX_CONCURRENT_ACTIVITIES_EXPLICIT = env.text("TEMPORAL_MAX_CONCURRENT_ACTIVITIES") != ""
#: Of a run, without the time in which it waits for people and delays; of a node's try.
TEMPORAL_WORKFLOW_TIMEOUT_MINUTES = env.number(
    "TEMPORAL_WORKFLOW_TIMEOUT_MINUTES", 30.0, least=0.01
)
TEMPORAL_ACTIVITY_TIMEOUT_MINUTES = env.number("TEMPORAL_ACTIVITY_TIMEOUT_MINUTES", 5.0, least=0.01)
TEMPORAL_NODE_TIMEOUT_MINUTES = env.number(
    "TEMPORAL_NODE_TIMEOUT_MINUTES", TEMPORAL_ACTIVITY_TIMEOUT_MINUTES, least=0.01
)
#: Attempts in all: of a run, each of which goes on where the last one failed, and of a node.
TEMPORAL_WORKFLOW_MAX_RETRIES = env.integer("TEMPORAL_WORKFLOW_MAX_RETRIES", 3, least=1, most=100)
TEMPORAL_ACTIVITY_MAX_RETRIES = env.integer("TEMPORAL_ACTIVITY_MAX_RETRIES", 3, least=1, most=100)
#: Pauses before the second attempt, what each is multiplied by, and the longest.
TEMPORAL_WORKFLOW_INITIAL_INTERVAL_SECONDS = env.seconds(
    "TEMPORAL_WORKFLOW_INITIAL_INTERVAL_SECONDS", 1.0, least=0.01
)
TEMPORAL_ACTIVITY_INITIAL_INTERVAL_SECONDS = env.seconds(
    "TEMPORAL_ACTIVITY_INITIAL_INTERVAL_SECONDS", 1.0, least=0.01
)
TEMPORAL_WORKFLOW_BACKOFF_COEFFICIENT = env.number(
    "TEMPORAL_WORKFLOW_BACKOFF_COEFFICIENT", 2.0, least=1.0
)
TEMPORAL_MAX_INTERVAL_SECONDS = env.seconds("TEMPORAL_MAX_INTERVAL_SECONDS", 10.0, least=0.01)
#: So long a process that runs executions without the engine may be silent before the next one
#: takes them over.
AUTOMATIONS_LEASE_SECONDS = env.seconds("AUTOMATIONS_LEASE_SECONDS", 30.0, least=0.5)
#: Off: graphs run in the process that takes the request, without the engine.
ENABLE_TEMPORAL_FEATURES = env.flag("ENABLE_TEMPORAL_FEATURES", True)
#: Definitions that somebody starts in the engine: `accept` or `refuse`.
AUTOMATIONS_BARE_STARTS = env.choice("AUTOMATIONS_BARE_STARTS", "accept", "refuse")

# --- Pix keys ----------------------------------------------------------------------------------
#: Start to close of an activity of this queue, in seconds. None of them works longer than 25.
PIX_ACTIVITY_TIMEOUT = env.seconds("PIX_ACTIVITY_TIMEOUT", 30.0, least=1.0)
#: The rulebook under which new claims of keys are opened.
CLAIMS_RULEBOOK = env.choice("CLAIMS_RULEBOOK", "source", "dict")
#: How often the directory is asked what has changed.
DIRECTORY_POLL_SECONDS = env.seconds("DIRECTORY_POLL_SECONDS", 60.0, least=0.1)
#: Decisions that somebody sends to a workflow in the engine: `accept`, or `review` by a person.
CLAIMS_BARE_SIGNALS = env.choice("CLAIMS_BARE_SIGNALS", "accept", "review")
#: Sends the codes that prove who has a phone (apps/pix/phone_codes.py); empty: none are sent, and
#: no phone becomes a key.
PIX_PHONE_CODE_SENDER = env.text("PIX_PHONE_CODE_SENDER", "apps.pix.phone_codes.to_requester")

#: How long a claim, and an assignment by somebody else, keeps others from signing.
CLAIM_SECONDS = env.seconds("CLAIM_SECONDS", 1800.0, least=1.0)
ASSIGN_SECONDS = env.seconds("ASSIGN_SECONDS", 86400.0, least=1.0)

# --- Automations -------------------------------------------------------------------------------
#: Login of the role as which `database` nodes work, and the tables that they may read or write.
AUTOMATIONS_DATABASE_URL = env.own_login(
    "AUTOMATIONS_DATABASE_URL", other_than=DATABASES["default"].get("USER", "")
)
AUTOMATIONS_TABLES = env.tables("AUTOMATIONS_TABLES")

# --- Working time ------------------------------------------------------------------------------
#: Due dates, reminders and escalations count in these hours (`apps.approvals.business_hours`).
WORKING_DAYS = env.text("WORKING_DAYS", "1-5")
WORKING_HOURS = env.text("WORKING_HOURS", "09:00-17:00")
WORKING_TIME_ZONE = env.text("WORKING_TIME_ZONE", "UTC")
WORKING_HOLIDAYS = env.words("WORKING_HOLIDAYS")

# --- The outside world -------------------------------------------------------------------------
EXECUTOR_URL = env.text("EXECUTOR_URL", "http://127.0.0.1:8002/executor")
EXECUTOR_TIMEOUT_SECONDS = env.seconds("EXECUTOR_TIMEOUT_SECONDS", 30.0, least=0.1)
#: Charges the cards of riders.
PAYMENT_SERVICE_URL = env.text("PAYMENT_SERVICE_URL", "http://127.0.0.1:8002/payments")
PAYMENT_SERVICE_TIMEOUT_SECONDS = env.seconds("PAYMENT_SERVICE_TIMEOUT_SECONDS", 30.0, least=0.1)

# --- Pix keys: the directory's bridge ------------------------------------------------------------
BRIDGE_GRPC_ADDR = env.host_port("BRIDGE_GRPC_ADDR", "localhost:50051")
#: One call; those of activities are given less.
BRIDGE_GRPC_TIMEOUT = env.seconds("BRIDGE_GRPC_TIMEOUT", 30.0, least=0.1)
BRIDGE_GRPC_TLS = env.flag("BRIDGE_GRPC_TLS", False)
BRIDGE_GRPC_TLS_CA_FILE = env.text("BRIDGE_GRPC_TLS_CA_FILE")
BRIDGE_GRPC_TLS_CERT_FILE = env.text("BRIDGE_GRPC_TLS_CERT_FILE")
BRIDGE_GRPC_TLS_KEY_FILE = env.text("BRIDGE_GRPC_TLS_KEY_FILE")
if bool(BRIDGE_GRPC_TLS_CERT_FILE) != bool(BRIDGE_GRPC_TLS_KEY_FILE):
    raise ImproperlyConfigured("BRIDGE_GRPC_TLS_CERT_FILE and BRIDGE_GRPC_TLS_KEY_FILE go together")
if BRIDGE_GRPC_TLS_CA_FILE + BRIDGE_GRPC_TLS_CERT_FILE and not BRIDGE_GRPC_TLS:
    raise ImproperlyConfigured(
        "BRIDGE_GRPC_TLS must be on for BRIDGE_GRPC_TLS_CA_FILE and …_CERT_FILE"
    )
#: Buckets of the directory that hold otherwise than in apps/pix/bridge/buckets.py.
DIRECTORY_BUCKETS = env.rates("DIRECTORY_BUCKETS")
#: A synchronisation that would repair more of a type of keys asks a person first.
SYNC_REPAIR_PERCENT = env.integer("SYNC_REPAIR_PERCENT", 5, least=0, most=100)

# --- Wallets: Paystack -------------------------------------------------------------------------
PAYSTACK_URL = env.text("PAYSTACK_URL", "http://127.0.0.1:8002/paystack")
PAYSTACK_TIMEOUT_SECONDS = env.seconds("PAYSTACK_TIMEOUT_SECONDS", 5.0, least=0.1)
#: Bearer of the calls and key of the webhooks' signatures. Empty: every signature is wrong.
PAYSTACK_SECRET_KEY = env.text("PAYSTACK_SECRET_KEY").strip()
#: The key before it: webhooks that it signed are still taken.
PAYSTACK_SECRET_KEY_OLD = env.text("PAYSTACK_SECRET_KEY_OLD").strip()
PAYSTACK_CURRENCIES = env.currencies("PAYSTACK_CURRENCIES", "NGN,GHS,ZAR,KES,USD")
#: The most of one top-up, in major units of its currency.
TOPUP_MAX = env.amount("TOPUP_MAX", "1000000.00")
#: How long a top-up waits for its payment.
TOPUP_WAIT_SECONDS = env.seconds("TOPUP_WAIT_SECONDS", 600.0, least=1.0)
#: How often Paystack is asked meanwhile, and how often what nobody waits for any more is looked at.
TOPUP_POLL_SECONDS = env.seconds("TOPUP_POLL_SECONDS", 15.0, least=0.1)
#: Who writes the invoices. Lines of the address are separated by `|`.
INVOICE_COMPANY_NAME = env.text("INVOICE_COMPANY_NAME", "Countersign Transport Ltd")
INVOICE_COMPANY_ADDRESS = env.text("INVOICE_COMPANY_ADDRESS", "1 Example Road|Lagos")
INVOICE_COMPANY_TAX_ID = env.text("INVOICE_COMPANY_TAX_ID")

# --- Audit -------------------------------------------------------------------------------------
AUDIT_SEAL_SECONDS = env.seconds("AUDIT_SEAL_SECONDS", 0.5, least=0.05)
#: How often the chain is verified a bit further, and a bit of it again.
AUDIT_VERIFY_SECONDS = env.seconds("AUDIT_VERIFY_SECONDS", 10.0, least=0.1)
#: A file that the head of the chain is appended to, outside the database. Empty: log lines only.
AUDIT_ANCHOR_FILE = env.text("AUDIT_ANCHOR_FILE")
#: How often at most.
AUDIT_ANCHOR_SECONDS = env.seconds("AUDIT_ANCHOR_SECONDS", 60.0)

# --- E-mail and webhooks -----------------------------------------------------------------------
#: Where people reach the site: links in e-mails begin with it.
SITE_URL = env.site_url("SITE_URL", "http://127.0.0.1:8000")
_mail = env.mail()
#: Without EMAIL_URL e-mail is off: no rows are written, and the settings page says so.
EMAIL_ENABLED: bool = _mail["EMAIL_ENABLED"]
EMAIL_BACKEND: str = _mail["EMAIL_BACKEND"]
EMAIL_HOST: str = _mail.get("EMAIL_HOST") or "localhost"
EMAIL_PORT: int = _mail.get("EMAIL_PORT") or 25
EMAIL_HOST_USER: str = _mail.get("EMAIL_HOST_USER") or ""
EMAIL_HOST_PASSWORD: str = _mail.get("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_TLS: bool = _mail.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL: bool = _mail.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = env.seconds("EMAIL_TIMEOUT_SECONDS", 10.0, least=0.1)
DEFAULT_FROM_EMAIL = env.sender("EMAIL_FROM", "Countersign <countersign@localhost.localdomain>")
#: How often the relay's leader looks for messages to send.
NOTIFY_SECONDS = env.seconds("NOTIFY_SECONDS", 1.0, least=0.05)
#: One call, answer included.
WEBHOOK_TIMEOUT_SECONDS = env.seconds("WEBHOOK_TIMEOUT_SECONDS", 10.0, least=0.1)
#: How long an event is tried before it is given up.
WEBHOOK_RETRY_SECONDS = env.seconds("WEBHOOK_RETRY_SECONDS", 86_400.0, least=1.0)

# --- Calls to others ---------------------------------------------------------------------------
#: Where calls to an address that a person gave may go although it is not on the public internet,
#: also without TLS (apps/outbound).
OUTBOUND_ALLOWED_HOSTS = env.hosts("OUTBOUND_ALLOWED_HOSTS")

# --- Automations -------------------------------------------------------------------------------
#: Values of AUTOMATION_SECRET_<NAME> and the hosts that they may be sent to, by name.
AUTOMATION_SECRETS = env.secrets("AUTOMATION_SECRET_")
#: Sign what `webhook` nodes send; while there are two, each message has both signatures.
AUTOMATIONS_WEBHOOK_SECRETS = env.webhook_secrets("AUTOMATIONS_WEBHOOK_SECRET")
#: An OpenAI-compatible server, for `ai_agent` nodes. Empty: there are none.
AI_BASE_URL = env.http_url("AI_BASE_URL")
AI_API_KEY = env.text("AI_API_KEY").strip()
AI_MODEL = env.text("AI_MODEL").strip()

# --- Demo and simulators -----------------------------------------------------------------------
DEMO_LOGINS = False
SIMULATORS_ALLOWED = False
#: Where fault tests hold processes: apps/common/failpoints.py. Empty: nowhere.
FAILPOINTS_DIR = ""

# --- Browser security --------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "font-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"

# --- Logs --------------------------------------------------------------------------------------
configure_structlog()
