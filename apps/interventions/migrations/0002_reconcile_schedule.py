"""The reconciler runs every five minutes. An operator may change or pause the row."""

from django.db import migrations


def put(apps, schema_editor):
    schedules = apps.get_model("engine", "WorkflowSchedule")
    schedules.objects.using(schema_editor.connection.alias).get_or_create(
        name="reconcile-interventions",
        defaults={
            "workflow_type": "ReconcileInterventionsWorkflow",
            "task_queue": "intervention-critical",
            "cron": "*/5 * * * *",
            "args": [{"limit": 200}],
            "note": "Settles reservations whose workflow is closed.",
        },
    )


class Migration(migrations.Migration):
    dependencies = [
        ("interventions", "0001_initial"),
        ("engine", "0001_initial"),
    ]

    operations = [migrations.RunPython(put, migrations.RunPython.noop)]
