from django.apps import AppConfig

from apps.common.language import lazy as _


class AuditConfig(AppConfig):
    name = "apps.audit"
    label = "audit"
    verbose_name = _("Audit trail")

    def ready(self) -> None:
        from apps.audit.list_exports import ExportRecorder
        from apps.web import exports

        exports.record_with(ExportRecorder())
