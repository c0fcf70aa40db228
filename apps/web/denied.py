"""A page or a verb that somebody may not have."""

from django.core.exceptions import PermissionDenied


class Denied(PermissionDenied):
    """403. Says what was asked for, so that the trail can: `apps.audit.doors` records it.

    `permission`: the one that is missing. `action`, `subject_type`: of the verb, for a form that
    was sent. `page`: what was asked for, where that is not the address of the request.
    """

    def __init__(
        self, permission: str = "", *, action: str = "", subject_type: str = "", page: str = ""
    ) -> None:
        # Without a text: the page of a 403 has its own words.
        super().__init__()
        self.permission = permission
        self.action = action
        self.subject_type = subject_type
        self.page = page
