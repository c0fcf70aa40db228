from django.apps import AppConfig

from apps.common.language import lazy as _


class InterventionsConfig(AppConfig):
    name = "apps.interventions"
    label = "interventions"
    verbose_name = _("Interventions")

    def ready(self) -> None:
        """Register the app with the shared apps."""
        from apps.interventions.registration import (
            batches,
            interventions,
            search,
            shell,
            texts,
            transfers,
        )
        from apps.live.topics import CODE_PATTERN, Topic, register
        from apps.notifications import kinds

        texts.register()
        shell.register()
        search.register()
        interventions.register()
        batches.register()
        transfers.register()
        kinds.register(
            kinds.NotificationKind("intervention", _("What I asked for was carried out, or failed"))
        )
        budget = "interventions.view_budget"
        register(Topic("budgets", permission=budget))
        register(Topic("budget", pattern=CODE_PATTERN, permission=budget))
        policy = "interventions.view_policy"
        register(Topic("policies", permission=policy))
        register(Topic("policy", pattern=CODE_PATTERN, permission=policy))
