"""Admin of users, roles, API keys, second factors and sessions."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.contrib.auth.views import LogoutView
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import RedirectView

from apps.accounts import change_log, services, views
from apps.accounts.forms import PersonForm
from apps.accounts.models import APIKey, RoleRule, User, UserSession
from apps.accounts.roles import ROLES
from apps.audit.services import refusals
from apps.common.errors import NotAllowed
from apps.common.language import lazy as _
from apps.web.admin import BaseAdmin, ReadOnlyAdmin, acting
from apps.web.admin_forms import ServiceFormAdmin
from apps.web.admin_verbs import Given, Line, verb
from apps.web.refusals import refusal_of

admin.site.unregister(Group)
# E-mail addresses play no part here, and allauth's list of second factors shows their secrets.
admin.site.unregister([EmailAddress, Authenticator])


def _second_factor_line(user: User, request: HttpRequest) -> Line:
    own = user.pk == request.user.pk
    note = (
        gettext("It is your own: somebody else has to remove it.")
        if own
        else gettext("They are signed out everywhere.")
    )
    return Line(note, blocked=own)


@admin.register(User)
class UserAdmin(BaseAdmin, DjangoUserAdmin):
    """Users. They are deactivated, never deleted, because their signatures name them.

    Every change of an account is in the audit trail, with what was before.
    """

    form = PersonForm
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": ("first_name", "last_name", "email", "senior")}),
        (_("Roles"), {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        (_("Dates"), {"fields": ("last_login", "date_joined")}),
    )
    readonly_fields = ("last_login", "date_joined")
    raw_id_fields = ("senior",)
    filter_horizontal = ()
    list_display = ("username", "name", "email", "roles", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser")
    search_exact = ("username", "email")
    search_help_text = _("An exact user name or e-mail address.")
    ordering = ("username",)
    actions = ("second_factor_reset",)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[User]":
        return super().get_queryset(request).prefetch_related("groups")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Only a superuser makes superusers; nobody changes their own roles."""
        fields, me = super().get_readonly_fields(request, obj), acting(request)
        if me.is_superuser:
            return fields
        own = ["groups", "is_staff"] if obj is not None and obj.pk == me.pk else []
        return [*fields, "is_superuser", *own]

    def get_form(
        self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Bind the form to the user who fills it in."""
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.by = acting(request)
        return form

    def formfield_for_manytomany(
        self, db_field: Any, request: HttpRequest, **kwargs: Any
    ) -> "forms.ModelMultipleChoiceField[Any] | None":
        """Show roles as check boxes: there are few of them."""
        if db_field.name == "groups":
            kwargs["widget"] = forms.CheckboxSelectMultiple
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    @admin.display(description=_("name"))
    def name(self, user: User) -> str:
        return user.get_full_name()

    @admin.display(description=_("roles"))
    def roles(self, user: User) -> str:
        return ", ".join(sorted(group.name for group in user.groups.all()))

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Only superusers change a superuser's account, because that includes the password."""
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or not obj.is_superuser or acting(request).is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Remembers what was; `save_related` ends the same transaction."""
        form.was = change_log.user_state(obj.pk)
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The groups too are written now: record what is different."""
        super().save_related(request, form, formsets, change)
        change_log.user_changed(
            user_id=form.instance.pk, was=form.was, by=acting(request), via="admin"
        )

    @method_decorator(sensitive_post_parameters())
    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        """As Django's, in one transaction with its audit entry. Refused to the administrator who
        removed the user's second factor within the last day."""
        person = self.get_object(request, unquote(id))
        if request.method != "POST" or person is None:
            return super().user_change_password(request, id, form_url)
        record: dict[str, Any] = {"subject_type": "user", "subject_id": person.pk}
        try:
            with refusals(action="user.change", by=acting(request), via="admin", **record):
                return self._password_changed(request, person, id, form_url)
        except NotAllowed as error:
            refusal = refusal_of(error)
            self.message_user(request, f"{refusal.what} {refusal.next_step}", messages.ERROR)
            return redirect("admin:accounts_user_change", person.pk)

    def _password_changed(
        self, request: HttpRequest, person: User, id: str, form_url: str
    ) -> HttpResponse:
        me = acting(request)
        with transaction.atomic():
            services.password_apart(user=person, by=me)
            was = change_log.user_state(person.pk)
            response = super().user_change_password(request, id, form_url)
            change_log.user_changed(user_id=person.pk, was=was, by=me, via="admin")
            if was is not None and was.secret != change_log.password_of(person.pk):
                services.sessions_end(
                    user=person,
                    by=me,
                    via="admin",
                    keep=request.session.session_key,
                    why="the password was changed",
                )
        return response

    @verb(
        _("Remove second factor"),
        title=_("Remove second factor"),
        explanation=_(
            "Make sure on another way that it is really them. Their next sign-in "
            "needs the password alone; a role that asks for a second factor has them "
            "set up a new one before anything else."
        ),
        button=_("Remove"),
        line=_second_factor_line,
    )
    def second_factor_reset(self, user: User, given: Given) -> str:
        """Reset the second factor of users who lost their phone and their recovery codes."""
        if not self.has_change_permission(given.request, user):
            raise NotAllowed(
                _("A superuser's second factor is removed by superusers only."),
                code="permission_denied",
            )
        services.second_factor_reset(user=user, **given.asked)
        return gettext("Removed, and signed out everywhere.")


# The site has no hooks for these, and its addresses are made from the attributes later. One door,
# one page for one's own password: a second way in would be a way around the second factor.
admin.site.login = views.admin_login  # type: ignore[method-assign]
admin.site.logout = LogoutView.as_view()  # type: ignore[assignment,method-assign]
admin.site.password_change = RedirectView.as_view(  # type: ignore[method-assign,assignment]
    pattern_name="account_change_password"
)


@admin.register(Group)
class GroupAdmin(BaseAdmin, DjangoGroupAdmin):
    """Roles. Their permissions follow the table in the code and what is added here.

    The roles of that table keep their names and cannot be deleted: rules and code name them.
    """

    search_exact = ("name",)
    ordering = ("name",)
    filter_horizontal = ()

    def formfield_for_manytomany(
        self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any
    ) -> "forms.ModelMultipleChoiceField[Any] | None":
        """Show permissions as check boxes: a list cuts their names off in a narrow window, and a
        click without a key held down loses what was chosen."""
        if db_field.name == "permissions":
            kwargs["widget"] = forms.CheckboxSelectMultiple
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Group | None = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        if not acting(request).is_superuser:
            # Whoever could give their own role a permission would have all of them.
            fields = [*fields, "permissions"]
        return [*fields, "name"] if obj is not None and obj.name in ROLES else fields

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        allowed = super().has_delete_permission(request, obj)
        return allowed and (obj is None or obj.name not in ROLES)

    def save_model(self, request: HttpRequest, obj: Group, form: Any, change: bool) -> None:
        """Remembers what was; `save_related` ends the same transaction."""
        form.was = change_log.role_state(obj.pk)
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The permissions too are written now: record what is different."""
        super().save_related(request, form, formsets, change)
        change_log.role_changed(
            group_id=form.instance.pk, was=form.was, by=acting(request), via="admin"
        )

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        change_log.role_deleted(group=obj, by=acting(request), via="admin")
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[Group]") -> None:
        with transaction.atomic():
            for group in queryset:
                change_log.role_deleted(group=group, by=acting(request), via="admin")
            super().delete_queryset(request, queryset)


class RoleRuleForm(forms.Form):
    """Rules of a role, such as a required second factor."""

    group = forms.ModelChoiceField(Group.objects.order_by("name"), label=_("Role"))
    mfa_required = forms.BooleanField(
        required=False,
        label=_("Second factor"),
        help_text=_("Nobody works in this role without a second factor."),
    )


@admin.register(RoleRule)
class RoleRuleAdmin(ServiceFormAdmin):
    """Rules of the roles. Only superusers change them."""

    list_display = ("group", "mfa_required")
    list_select_related = ("group",)
    ordering = ("group__name",)
    search_exact = ("group",)
    search_help_text = _("The exact id of a role.")
    service_form = RoleRuleForm
    new_label = _("Rule for a role")
    edit_label = _("Change")

    def granted(self, request: HttpRequest, action: str = "change") -> bool:
        return acting(request).is_superuser

    def put(self, request: HttpRequest, data: dict[str, Any]) -> Model:
        return change_log.role_rule_put(
            group_id=data["group"].pk,
            mfa_required=data["mfa_required"],
            by=acting(request),
            via="admin",
        )


@admin.register(APIKey)
class APIKeyAdmin(ReadOnlyAdmin):
    """API keys. They can only be revoked; their secret is not stored and cannot be shown."""

    list_display = (
        "name",
        "prefix",
        "user",
        "scope_list",
        "created_at",
        "last_used_at",
        "expires_at",
        "revoked_at",
    )
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("user",)
    date_hierarchy = "created_at"
    ordering = ("-created_at", "-id")
    search_exact = ("prefix",)
    search_help_text = _("The prefix: what stands between the first and the second underscore.")
    exclude = ("secret_hash",)
    actions = ("revoke",)

    @admin.display(description=_("scopes"))
    def scope_list(self, key: APIKey) -> str:
        return ", ".join(key.scopes)

    def verb_rows(self, request: HttpRequest, rows: "QuerySet[Any]") -> "QuerySet[Any]":
        return rows.select_related("user")

    @verb(
        _("Revoke"),
        title=_("Revoke keys"),
        explanation=_(
            "Programs that use these keys are refused from now on. There is no way "
            "back: make a new key instead."
        ),
        button=_("Revoke"),
        line=lambda key, request: Line(gettext("It acts for {user}.").format(user=key.user)),
        with_reason=False,
    )
    def revoke(self, key: APIKey, given: Given) -> str:
        """End the chosen keys at once."""
        services.api_key_revoke(key=key, by=given.by, via="admin")
        return gettext("Revoked: it opens nothing any more.")


@admin.register(Authenticator)
class AuthenticatorAdmin(ReadOnlyAdmin):
    """Second factors. Secrets are not shown; the list of users has the verb that removes one."""

    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter = ("type",)
    list_select_related = ("user",)
    search_exact = ("user",)
    search_help_text = _("The exact id of a person.")
    exclude = ("data",)


@admin.register(UserSession)
class UserSessionAdmin(ReadOnlyAdmin):
    """Sessions. The session key is not shown, because it would let its reader sign in."""

    list_display = ("user", "on", "address", "created_at", "last_seen_at")
    list_select_related = ("user",)
    date_hierarchy = "last_seen_at"
    ordering = ("-last_seen_at", "-pk")
    search_exact = ("user", "address")
    search_help_text = _("The exact id of a person, or an address.")
    exclude = ("session",)
    actions = ("end",)

    def verb_rows(self, request: HttpRequest, rows: "QuerySet[Any]") -> "QuerySet[Any]":
        return rows.select_related("user")

    @admin.display(description=_("Device"))
    def on(self, row: UserSession) -> str:
        return row.device

    @verb(
        _("End"),
        title=_("End sessions"),
        explanation=_(
            "These browsers are signed out at their next request; live pages close within a minute."
        ),
        button=_("End"),
        line=lambda row, request: Line(gettext("It is a session of {user}.").format(user=row.user)),
        with_reason=False,
    )
    def end(self, row: UserSession, given: Given) -> str:
        """Sign the chosen browsers out."""
        services.session_end(session_id=row.pk, user=row.user, by=given.by, via="admin")
        return gettext("Ended.")
