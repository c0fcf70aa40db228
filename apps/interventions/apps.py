from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:
    from apps.accounts.models import User


class InterventionsConfig(AppConfig):
    name = "apps.interventions"
    label = "interventions"
    verbose_name = "Interventions"

    def ready(self) -> None:
        from apps.interventions import leader_tasks
        from apps.interventions.registration import batches, interventions, shell, texts, transfers
        from apps.live.topics import CODE_PATTERN, UUID_PATTERN, Topic, register
        from apps.notifications import kinds

        texts.register()
        shell.register()
        interventions.register()
        leader_tasks.register_all()
        batches.register()
        transfers.register()
        kinds.register(
            kinds.NotificationKind("intervention", "What I asked for was carried out, or failed")
        )
        view = "interventions.view_intervention"
        # The list shows everybody their own; the message says no more than "look again".
        register(Topic("interventions"))
        register(Topic("intervention", pattern=UUID_PATTERN, permission=view, owner=_asked_for))
        budget = "interventions.view_budget"
        register(Topic("budgets", permission=budget))
        register(Topic("budget", pattern=CODE_PATTERN, permission=budget))
        policy = "interventions.view_policy"
        register(Topic("policies", permission=policy))
        register(Topic("policy", pattern=CODE_PATTERN, permission=policy))


def _asked_for(user: "User", intervention_id: str) -> bool:
    from apps.interventions.models import Intervention

    return Intervention.objects.filter(pk=intervention_id, requested_by=user).exists()
