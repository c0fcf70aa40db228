"""Settings of the tests: real servers whose addresses the test session puts in the environment."""

from config.settings.base import *  # noqa: F403
from config.settings.base import DATABASES

DEBUG = False
SECRET_KEY = "test-only-not-a-secret-" + "0" * 40
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", "testserver"]
DEMO_LOGINS = True
SIMULATORS_ALLOWED = True
PAYSTACK_SECRET_KEY = "sk_test_demo"  # noqa: S105 - of the simulator
# Speed only: thousands of logins are not what the tests measure.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
DATABASES["default"]["OPTIONS"]["pool"]["min_size"] = 1
# What tests load in their own process is no site.
SITE_BEATS = False
LOCAL_RUNNER = False
