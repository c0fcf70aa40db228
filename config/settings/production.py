"""Production: every server and secret from the environment; refuses to start on a default."""

from django.core.exceptions import ImproperlyConfigured

from config.settings import env
from config.settings.base import *  # noqa: F403

DEBUG = False
if env.flag("DEBUG", False):
    raise ImproperlyConfigured("DEBUG must not be on in production")

SECRET_KEY = env.required("SECRET_KEY")
# A former key opens what was sealed and signed under it: a weak one is as good as the key itself.
for _name, _keys in (
    ("SECRET_KEY", [SECRET_KEY]),
    ("each of SECRET_KEY_FALLBACKS", SECRET_KEY_FALLBACKS),  # noqa: F405
):
    if any(len(_key) < 50 or "not-a-secret" in _key or len(set(_key)) < 10 for _key in _keys):
        raise ImproperlyConfigured(f"{_name} must be at least 50 random characters")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS")
if not ALLOWED_HOSTS or "*" in ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS must name the hosts that the site is served under")
for _variable in ("REDIS_URL", "TEMPORAL_ADDRESS", "EXECUTOR_URL", "PAYMENT_SERVICE_URL"):
    env.required(_variable)
PAYSTACK_URL = env.text("PAYSTACK_URL", "https://api.paystack.co")
if env.required("PAYSTACK_SECRET_KEY").strip() == "sk_test_demo":
    raise ImproperlyConfigured("PAYSTACK_SECRET_KEY must not be the one of the simulator")
if "whsec_Y291bnRlcnNpZ24tYXV0b21hdGlvbnMtZGVtbw==" in AUTOMATIONS_WEBHOOK_SECRETS:  # noqa: F405
    raise ImproperlyConfigured("AUTOMATIONS_WEBHOOK_SECRET must not be the one of the demo")
if "not-a-secret" in AI_API_KEY:  # noqa: F405
    raise ImproperlyConfigured("AI_API_KEY must not be the one of the simulator")
if AI_BASE_URL.startswith("http:") and not env.listed(AI_BASE_URL, OUTBOUND_ALLOWED_HOSTS):  # noqa: F405
    raise ImproperlyConfigured("AI_BASE_URL must begin with https://, or be allowed by name")
if any(env.this_machine(host) for host in OUTBOUND_ALLOWED_HOSTS):  # noqa: F405
    raise ImproperlyConfigured("OUTBOUND_ALLOWED_HOSTS must not name this machine in production")
if not env.this_machine(BRIDGE_GRPC_ADDR):  # noqa: F405
    # Keys and tax ids go there. Beside us stands a proxy that speaks TLS for us.
    for _variable in ("TLS", "TLS_CA_FILE", "TLS_CERT_FILE", "TLS_KEY_FILE"):
        env.required(f"BRIDGE_GRPC_{_variable}")
    if not BRIDGE_GRPC_TLS:  # noqa: F405
        raise ImproperlyConfigured("BRIDGE_GRPC_TLS must be on: BRIDGE_GRPC_ADDR is not here")
PIX_PHONE_CODE_SENDER = env.text("PIX_PHONE_CODE_SENDER", "")
if PIX_PHONE_CODE_SENDER == "apps.pix.phone_codes.to_requester":
    raise ImproperlyConfigured("PIX_PHONE_CODE_SENDER must send to the phone, not to who asks")
# Whoever reaches the engine could run anything, without a name.
AUTOMATIONS_BARE_STARTS = env.choice("AUTOMATIONS_BARE_STARTS", "refuse", "accept")
# Likewise, whoever reaches the engine could decide, without a name.
CLAIMS_BARE_SIGNALS = env.choice("CLAIMS_BARE_SIGNALS", "review", "accept")
DICT_EVENTS_SINK = env.choice("DICT_EVENTS_SINK", "pulsar", "redis", "kafka")
if env.text("FAILPOINTS_DIR"):
    raise ImproperlyConfigured("FAILPOINTS_DIR must not be set in production")
if env.text("EMAIL_URL"):
    # Mails without them would come from nobody and lead nowhere.
    for _variable in ("SITE_URL", "EMAIL_FROM"):
        env.required(_variable)
DATABASES = {"default": env.database()}

APP_ENVIRONMENT = env.text("APP_ENVIRONMENT", "production")
HEALTH_HOST = env.text("HEALTH_HOST", "0.0.0.0")  # noqa: S104 - probes come from outside the pod
METRICS_HOST = env.text("METRICS_HOST", "0.0.0.0")  # noqa: S104 - so does the scrape

# Workflows that do not run the same twice were found before: by the tests, in the sandbox (ADR 11).
WORKFLOW_SANDBOX = env.flag("WORKFLOW_SANDBOX", False)

TRUSTED_PROXIES = env.integer("TRUSTED_PROXIES", 1, most=10)
# Behind a proxy that terminates TLS. SECURE_TLS=false is for a check on one machine only.
_tls = env.flag("SECURE_TLS", True)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = _tls
# The probes of an orchestrator speak plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^health$", r"^health/temporal$", r"^ready$"]
SESSION_COOKIE_SECURE = _tls
CSRF_COOKIE_SECURE = _tls
SECURE_HSTS_SECONDS = 31_536_000 if _tls else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _tls
# Whether browsers' preload lists name the domain is its owner's decision, not this site's.
SILENCED_SYSTEM_CHECKS = ["security.W021"]
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
