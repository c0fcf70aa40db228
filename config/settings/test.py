"""Settings of the tests: real servers whose addresses the test session puts in the environment."""

from config.settings.base import *  # noqa: F403
from config.settings.base import DATABASES

DEBUG = False
SECRET_KEY = "test-only-not-a-secret-" + "0" * 40
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", "testserver"]
DEMO_LOGINS = True
SIMULATORS_ALLOWED = True
INSTALLED_APPS = [*INSTALLED_APPS, "apps.simulators"]  # noqa: F405
PAYSTACK_SECRET_KEY = "sk_test_demo"  # noqa: S105 - of the simulator
AUTOMATIONS_WEBHOOK_SECRETS = ["whsec_Y291bnRlcnNpZ24tYXV0b21hdGlvbnMtZGVtbw=="]
AI_BASE_URL = AI_BASE_URL or "http://127.0.0.1:9/ai/v1"  # noqa: F405
AI_MODEL = "simulated-1"
AI_API_KEY = "sk-demo-not-a-secret"
# Speed only: thousands of logins are not what the tests measure.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
DATABASES["default"]["OPTIONS"]["pool"]["min_size"] = 1
# What tests load in their own process is no site.
SITE_BEATS = False
LOCAL_RUNNER = False
