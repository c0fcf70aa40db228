from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("approvals", "0004_search_statistics")]

    operations = [
        migrations.AddField(
            model_name="approvalrequest",
            name="clock_id",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                help_text="The workflow that keeps the clock, by the newest start; empty: none was started",
                max_length=200,
            ),
        )
    ]
