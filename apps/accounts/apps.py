from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models.signals import post_migrate

from apps.common.language import lazy as _


class AccountsConfig(AppConfig):
    name = "apps.accounts"
    label = "accounts"
    verbose_name = _("People and keys")

    def ready(self) -> None:
        """Connect the roles and the trail of logins."""
        from apps.accounts import receivers, registration, roles

        registration.register()
        post_migrate.connect(roles.ensure, dispatch_uid="accounts.roles")
        user_logged_in.connect(receivers.login_recorded, dispatch_uid="accounts.login")
        user_logged_out.connect(receivers.logout_recorded, dispatch_uid="accounts.logout")
        user_login_failed.connect(
            receivers.login_failure_recorded, dispatch_uid="accounts.login_failed"
        )
