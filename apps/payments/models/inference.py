"""What is known of the inference service, shared by all workers."""

from django.db import models


class InferenceBreaker(models.Model):
    """The breaker of one step's calls: after failures in a row nobody calls for a while."""

    step = models.CharField(max_length=30, primary_key=True)
    failures = models.PositiveIntegerField(default=0, help_text="In a row.")
    open_until = models.DateTimeField(null=True, blank=True, help_text="Then one call probes.")
    last_error = models.CharField(max_length=300, blank=True)

    class Meta:
        db_table = "payments_inference_breaker"
        ordering = ["step"]

    def __str__(self) -> str:
        return self.step
