import django.db.models.functions.text
from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Nobody who asks for an intervention waits for an index of millions of them.
    atomic = False

    dependencies = [
        ('interventions', '0003_depth'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='batchitem',
            name='line',
            field=models.PositiveIntegerField(default=0, help_text='Where it began in the file; 0: it came from a program.'),
        ),
        AddIndexConcurrently(
            model_name='intervention',
            index=models.Index(condition=models.Q(('status', 'executed')), fields=['target', 'amount', '-settled_at'], name='intervention_paid'),
        ),
        AddIndexConcurrently(
            model_name='intervention',
            index=models.Index(condition=models.Q(('region', ''), _negated=True), fields=['region', '-created_at', '-id'], name='intervention_region'),
        ),
        AddIndexConcurrently(
            model_name='intervention',
            index=models.Index(django.db.models.functions.text.Left('region', 2), models.OrderBy(models.F('created_at'), descending=True), models.OrderBy(models.F('id'), descending=True), condition=models.Q(('region', ''), _negated=True), name='intervention_country'),
        ),
    ]
