"""What is wrong with an expression: before anything runs, or with the values it meets."""

from apps.common.errors import Invalid


class NotAllowed(Invalid):
    """The expression is none, or does more than expressions may. It never runs."""

    code = "expression_not_allowed"


class Failed(Invalid):
    """The expression has no value for these inputs. Another attempt would find the same."""

    code = "expression_failed"
