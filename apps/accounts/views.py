"""Pages for signing in, the second factor, and the user's own account.

They derive from allauth's views, with our templates. No other view of allauth has an address.
"""

from typing import Any, cast
from urllib.parse import urlsplit

from allauth.account.decorators import reauthentication_required
from allauth.account.internal.stagekit import clear_login
from allauth.account.views import LoginView as AllauthLoginView
from allauth.account.views import ReauthenticateView
from allauth.mfa.base.views import AuthenticateView
from allauth.mfa.base.views import ReauthenticateView as ReauthenticateByCodeView
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.flows import view_recovery_codes
from allauth.mfa.totp.internal.auth import clear_totp_secret
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.sessions.models import Session
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.http import urlencode
from django.utils.translation import gettext, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.generic.edit import FormView

from apps.accounts import services
from apps.accounts.adapters import AccountAdapter, MFAAdapter
from apps.accounts.addresses import client_address
from apps.accounts.crypto import InvalidToken
from apps.accounts.forms import PasswordChangeForm, SetupForm
from apps.accounts.models import APIKey, User, UserSession
from apps.common.errors import DomainError
from apps.web.denied import Denied
from apps.web.fragments import person
from apps.web.qr import qr_svg
from apps.web.refusals import refusal_of

FRESH = "allauth.mfa"


class Throttled:
    """Answers 429 with `Retry-After` when the form was refused because of too many tries."""

    request: HttpRequest

    def form_invalid(self, form: Any) -> HttpResponse:
        response = cast(HttpResponse, super().form_invalid(form))  # type: ignore[misc]
        if seconds := getattr(self.request, "retry_after", 0):
            response.status_code = 429
            response["Retry-After"] = str(seconds)
        return response


# --- in ------------------------------------------------------------------------------------------
class LoginView(Throttled, AllauthLoginView):
    """Sign in by user name and password, then by code if there is a second factor."""

    template_name = "accounts/login.html"


@method_decorator(sensitive_post_parameters("code"), name="dispatch")
class CodeView(Throttled, AuthenticateView):
    """Second step of signing in: the code."""

    template_name = "accounts/code.html"


@require_POST
def login_cancel(request: HttpRequest) -> HttpResponse:
    """Leave the second step and return to the login form."""
    if not request.user.is_authenticated:
        clear_login(request)
    return redirect("login")


@method_decorator([never_cache, sensitive_post_parameters("password")], name="dispatch")
class ConfirmView(Throttled, ReauthenticateView):
    """Confirm by password before a sensitive action."""

    template_name = "accounts/confirm.html"


@method_decorator([never_cache, sensitive_post_parameters("code")], name="dispatch")
class ConfirmCodeView(Throttled, ReauthenticateByCodeView):
    """Confirm by code before a sensitive action."""

    template_name = "accounts/confirm.html"


# --- my account ----------------------------------------------------------------------------------
@login_required
@require_GET
@never_cache
def security(request: HttpRequest) -> HttpResponse:
    """The user's own sessions, second factor and API keys."""
    user = person(request)
    now = timezone.now()
    factors = {row.type: row for row in Authenticator.objects.filter(user=user)}
    codes = factors.get(Authenticator.Type.RECOVERY_CODES)
    alive = Session.objects.filter(expire_date__gt=now).values("pk")
    keys = APIKey.objects.filter(user=user, revoked_at=None).order_by("-created_at")
    return render(
        request,
        "accounts/security.html",
        {
            "sessions": UserSession.objects.filter(user=user, session_id__in=alive).order_by(
                "-last_seen_at"
            )[:50],
            "current": request.session.session_key,
            "totp": factors.get(Authenticator.Type.TOTP),
            "codes_left": len(_unused(codes)) if codes else 0,
            "keys": [key for key in keys[:50] if key.usable(now)],
        },
    )


@login_required
@require_POST
def session_end(request: HttpRequest, session_id: int) -> HttpResponse:
    """End one of the user's own sessions; if it is this one, redirect to the login."""
    user = person(request)
    try:
        services.session_end(session_id=session_id, user=user, by=user, via="page")
    except DomainError as error:
        messages.warning(request, refusal_of(error).what)
    else:
        if not Session.objects.filter(pk=request.session.session_key).exists():
            # Or the middleware would write it again at the end of this request.
            request.session.flush()
            return redirect("login")
        messages.success(request, gettext("That session has ended."))
    return redirect("account_security")


@login_required
@require_POST
def sessions_end(request: HttpRequest) -> HttpResponse:
    """End all of the user's sessions except this one."""
    user = person(request)
    ended = services.sessions_end(
        user=user, by=user, via="page", keep=request.session.session_key, why="asked for"
    )
    text = ngettext(
        "Signed out in {ended} other place.", "Signed out in {ended} other places.", ended
    ).format(ended=ended)
    messages.success(request, text if ended else gettext("You were signed in nowhere else."))
    return redirect("account_security")


@method_decorator([login_required, never_cache, sensitive_post_parameters()], name="dispatch")
class PasswordView(Throttled, FormView):
    """Change the password: asks for the old one and ends every other session."""

    template_name = "accounts/password.html"
    form_class = PasswordChangeForm
    success_url = reverse_lazy("account_security")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "user": self.request.user}

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        user = person(self.request)
        services.password_change(
            user=user,
            password=form.cleaned_data["new_password1"],
            keep=self.request.session.session_key,
            by=user,
            via="page",
        )
        update_session_auth_hash(self.request, user)
        # The session has a new key now, and the row of the old one went with it.
        services.session_begin(
            session_key=str(self.request.session.session_key),
            user=user,
            address=client_address(self.request),
            user_agent=self.request.headers.get("User-Agent", ""),
        )
        messages.success(self.request, gettext("Password changed. Other sessions have ended."))
        return super().form_valid(form)


# --- second factor -------------------------------------------------------------------------------
@method_decorator(
    [
        login_required,
        never_cache,
        reauthentication_required(app=FRESH),
        sensitive_post_parameters("code"),
    ],
    name="dispatch",
)
class SetupView(Throttled, FormView):
    """Set up the authenticator app. Also open to users who must do so before anything else."""

    template_name = "accounts/setup.html"
    form_class = SetupForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if Authenticator.objects.filter(user=person(request), type="totp").exists():
            return redirect(_next(request) or "account_security")
        return super().dispatch(request, *args, **kwargs)

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "user": self.request.user}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        user = person(self.request)
        secret = context["form"].secret
        return {
            **context,
            "qr": qr_svg(
                MFAAdapter().build_totp_url(user, secret),
                label=gettext("QR code for your authenticator app"),
            ),
            "secret": " ".join(secret[i : i + 4] for i in range(0, len(secret), 4)),
            "due": user.second_factor_due,
            "next": _next(self.request),
        }

    def form_valid(self, form: SetupForm) -> HttpResponse:
        clear_totp_secret(self.request)
        # Only now: with the factor there, the code just typed is the confirmation.
        return redirect(_with_next("mfa_view_recovery_codes", self.request, fresh="1"))


@login_required
@never_cache
@reauthentication_required(app=FRESH)
@require_http_methods(["GET", "POST"])
def setup_remove(request: HttpRequest) -> HttpResponse:
    """GET explains the consequences, POST removes the second factor."""
    if request.method == "POST":
        user = person(request)
        try:
            services.totp_remove(user=user, by=user, via="page")
        except DomainError as error:
            messages.warning(request, error.detail)
        else:
            messages.success(request, gettext("Your second factor is removed."))
        return redirect("account_security")
    if not _has_second_factor(request):
        return redirect("account_security")
    return render(request, "accounts/setup_remove.html")


@login_required
@never_cache
@reauthentication_required(app=FRESH)
@require_http_methods(["GET", "POST"])
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """GET shows the unused codes; POST makes new ones."""
    if not _has_second_factor(request):
        return redirect("account_security")
    if request.method == "POST":
        user = person(request)
        try:
            services.recovery_codes_renew(user=user, by=user, via="page")
        except DomainError as error:
            messages.warning(request, error.detail)
            return redirect("account_security")
        messages.success(request, gettext("New codes. The former ones open nothing any more."))
        return redirect("mfa_view_recovery_codes")
    return render(
        request,
        "accounts/recovery_codes.html",
        {
            "codes": [_spaced(code) for code in _my_codes(request)],
            "fresh": "fresh" in request.GET,
            "next": _next(request) or reverse("account_security"),
        },
    )


@login_required
@never_cache
@reauthentication_required(app=FRESH)
@require_GET
def recovery_codes_download(request: HttpRequest) -> HttpResponse:
    """The unused codes as a text file."""
    codes = _my_codes(request)
    lines = [
        gettext("Countersign recovery codes of {username}").format(
            username=person(request).username
        ),
        "",
    ]
    lines += [_spaced(code) for code in codes]
    lines += [
        "",
        gettext("Each works once, instead of a code of the app. Keep them off the phone."),
        "",
    ]
    response = HttpResponse("\n".join(lines), content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="countersign-recovery-codes.txt"'
    return response


def _has_second_factor(request: HttpRequest) -> bool:
    return Authenticator.objects.filter(user=person(request), type="totp").exists()


def _my_codes(request: HttpRequest) -> list[str]:
    codes, _ = view_recovery_codes(request)
    if codes is None:
        raise Http404
    return _unused(codes.instance)


def _unused(row: Authenticator) -> list[str]:
    """The unused codes; none when they cannot be decrypted because the key is gone."""
    try:
        return list(row.wrap().get_unused_codes())
    except InvalidToken:
        return []


def _spaced(code: str) -> str:
    half = len(code) // 2
    return f"{code[:half]} {code[half:]}"


def _next(request: HttpRequest) -> str:
    """The page that the user wanted, if it is on this site."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    return wanted if wanted and AccountAdapter(request).is_safe_url(wanted) else ""


def _with_next(name: str, request: HttpRequest, **query: str) -> str:
    if wanted := _next(request):
        query["next"] = wanted
    return f"{reverse(name)}?{urlencode(query)}" if query else reverse(name)


def admin_login(request: HttpRequest, extra_context: Any = None) -> HttpResponse:
    """Redirect the admin's login to the site's; its own form would skip the second factor."""
    user = cast("User", request.user)
    wanted = _next(request) or reverse("admin:index")
    if not user.is_authenticated:
        return redirect(f"{reverse('login')}?{urlencode({'next': wanted})}")
    if user.is_staff:
        return redirect(wanted)
    # Where they wanted to go is what the trail names, not this door.
    raise Denied("staff", page=urlsplit(wanted).path)
