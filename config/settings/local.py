"""`make run`: everything on this machine, demo people with a known password."""

from config.settings.base import *  # noqa: F403

DEBUG = env.flag("DEBUG", False)  # noqa: F405
# A known key is fine here: production settings refuse to start with it.
SECRET_KEY = "local-only-not-a-secret-" + "0" * 40
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", *env.words("ALLOWED_HOSTS")]  # noqa: F405
DEMO_LOGINS = True
SIMULATORS_ALLOWED = True
# For `manage.py simdirectory`.
INSTALLED_APPS = [*INSTALLED_APPS, "apps.simulators"]  # noqa: F405
FAILPOINTS_DIR = env.text("FAILPOINTS_DIR")  # noqa: F405
# The key of the simulated Paystack.
PAYSTACK_SECRET_KEY = PAYSTACK_SECRET_KEY or "sk_test_demo"  # noqa: F405
# What the simulators of automations take.
AUTOMATIONS_WEBHOOK_SECRETS = AUTOMATIONS_WEBHOOK_SECRETS or [  # noqa: F405
    "whsec_Y291bnRlcnNpZ24tYXV0b21hdGlvbnMtZGVtbw=="
]
AI_BASE_URL = AI_BASE_URL or "http://127.0.0.1:8002/ai/v1"  # noqa: F405
AI_API_KEY = AI_API_KEY or "sk-demo-not-a-secret"  # noqa: F405
AI_MODEL = AI_MODEL or "simulated-1"  # noqa: F405
# So that the webhook sink of the simulators can be used.
OUTBOUND_ALLOWED_HOSTS = env.hosts("OUTBOUND_ALLOWED_HOSTS", "127.0.0.1,localhost")  # noqa: F405
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.MD5PasswordHasher",
]
# Without DEBUG the files of the apps are still served from where they are.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
