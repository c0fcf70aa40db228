"""People, roles and keys in the admin."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from apps.accounts import services
from apps.accounts.models import APIKey, User
from apps.adminbase import BaseAdmin, ReadOnlyAdmin, acting
from apps.adminverbs import Line, confirmed_action

admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(BaseAdmin, DjangoUserAdmin):
    """People. Nobody is deleted who may have signed something: accounts are switched off."""

    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("Roles", {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    readonly_fields = ("last_login", "date_joined")
    filter_horizontal = ()
    list_display = ("username", "name", "email", "roles", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser")
    search_exact = ("username", "email")
    search_help_text = "An exact user name or e-mail address."
    ordering = ("username",)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[User]":
        return super().get_queryset(request).prefetch_related("groups")

    def formfield_for_manytomany(
        self, db_field: Any, request: HttpRequest, **kwargs: Any
    ) -> "forms.ModelMultipleChoiceField[Any] | None":
        """Roles as boxes to tick: there are few, and all of them are seen."""
        if db_field.name == "groups":
            kwargs["widget"] = forms.CheckboxSelectMultiple
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    @admin.display(description="name")
    def name(self, user: User) -> str:
        return user.get_full_name()

    @admin.display(description="roles")
    def roles(self, user: User) -> str:
        return ", ".join(sorted(group.name for group in user.groups.all()))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False


@admin.register(Group)
class GroupAdmin(BaseAdmin, DjangoGroupAdmin):
    """Roles. Their permissions follow the table in the code and what is added here."""

    search_exact = ("name",)
    ordering = ("name",)
    filter_horizontal = ()


@admin.register(APIKey)
class APIKeyAdmin(ReadOnlyAdmin):
    """Keys. The secret is not kept, so it cannot be shown; a key can only be ended."""

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
    search_help_text = "The prefix: what stands between the first and the second underscore."
    exclude = ("secret_hash",)
    actions = ("revoke",)

    @admin.display(description="scopes")
    def scope_list(self, key: APIKey) -> str:
        return ", ".join(key.scopes)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return self.granted(request)

    @admin.action(description="Revoke…", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: "QuerySet[APIKey]") -> HttpResponse:
        """End the chosen keys at once."""

        def run(key: APIKey, reason: str, stamp: str) -> str:
            services.api_key_revoke(key=key, by=acting(request), via="admin")
            return "Revoked: it opens nothing any more."

        return confirmed_action(
            self,
            request,
            queryset.select_related("user"),
            action="revoke",
            title="Revoke keys",
            explanation="Programs that use these keys are refused from now on. "
            "There is no way back: make a new key instead.",
            button="Revoke",
            line=lambda key: Line(pk=str(key.pk), label=str(key), note=f"acts for {key.user}"),
            run=run,
            with_reason=False,
        )
