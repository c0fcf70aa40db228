"""Addresses of the app `accounts`. Signing out is a POST, so that a link cannot do it.

allauth looks some of them up by its own names. Its other views have no address here.
"""

from django.contrib.auth.views import LogoutView
from django.urls import URLPattern, URLResolver, path

from apps.accounts import views

login = views.LoginView.as_view()

urlpatterns: list[URLPattern | URLResolver] = [
    path("login/", login, name="account_login"),
    path("login/", login, name="login"),
    path("login/code/", views.CodeView.as_view(), name="mfa_authenticate"),
    path("login/cancel/", views.login_cancel, name="login_cancel"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("account/confirm/", views.ConfirmView.as_view(), name="account_reauthenticate"),
    path("account/confirm/code/", views.ConfirmCodeView.as_view(), name="mfa_reauthenticate"),
    path("account/password/", views.PasswordView.as_view(), name="account_change_password"),
    path("account/security/", views.security, name="account_security"),
    path("account/security/sessions/end/", views.sessions_end, name="account_sessions_end"),
    path(
        "account/security/sessions/<int:session_id>/end/",
        views.session_end,
        name="account_session_end",
    ),
    path("account/security/app/", views.SetupView.as_view(), name="mfa_activate_totp"),
    path("account/security/app/remove/", views.setup_remove, name="mfa_deactivate_totp"),
    path("account/security/codes/", views.recovery_codes, name="mfa_view_recovery_codes"),
    path(
        "account/security/codes/download/",
        views.recovery_codes_download,
        name="mfa_download_recovery_codes",
    ),
]
